"""Nothing is left behind: no process, no socket, no folder, however the host ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.kernel import isolation, process_tree
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.pool import KernelPool
from spatialclaw_ros.limits import CancelToken, Deadline

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
HOST = """
import sys, time
from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.pool import KernelPool
from spatialclaw_ros.limits import CancelToken, Deadline
store = FrameStore("spatialclaw-lifetest")
pool = KernelPool(KernelConfig(sandbox=sys.argv[1]), lambda m, p, s, c: {}, store)
pool.start()
session = pool.acquire(CancelToken(), Deadline(60))
print(session.pid, store.folder, flush=True)
session.execute("import time; time.sleep(600)", 600)
"""


def works(level: str) -> bool:
    return isolation.probe(levels=(level,)).level == level


@pytest.fixture(params=isolation.LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    if not works(request.param):
        pytest.skip(f"this machine does not offer {request.param}")
    return request.param


def wait_for_end(handles: list[int], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    left = set(handles)
    while left and time.monotonic() < end:
        left -= set(select.select(left, [], [], 0.2)[0])
    return not left


def wait_gone(path: Path, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while path.exists() and time.monotonic() < end:
        threading.Event().wait(0.02)
    return not path.exists()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_host_that_is_ended_by_a_signal_leaves_nothing(level: str, ending: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HOST, level], stdout=subprocess.PIPE, text=True, env=environment
    ) as host:
        try:
            assert host.stdout is not None
            pid, folder = host.stdout.readline().split()
            family = [member for member in process_tree.descendants(host.pid) if member != host.pid]
            assert int(pid) in family
            handles = [os.pidfd_open(member) for member in family]
        finally:
            host.send_signal(ending)
        host.wait(10)
    try:
        assert wait_for_end(handles)
    finally:
        for handle in handles:
            os.close(handle)
    assert wait_gone(Path(folder))


def test_closing_a_pool_leaves_no_process_and_no_folder(level: str) -> None:
    store = FrameStore("spatialclaw-lifetest")
    pool = KernelPool(KernelConfig(sandbox=level), lambda m, p, s, c: {}, store)
    try:
        pool.start()
        session = pool.acquire(CancelToken(), Deadline(60))
        members = process_tree.descendants(session.pid)
        session.close()
        assert not any(Path(f"/proc/{member}").exists() for member in members)
        pool.close()
        assert not list(store.folder.glob("kernel-*"))
    finally:
        pool.close()
        store.close()
    assert not store.folder.exists()


def test_tree_that_is_killed_while_it_forks_leaves_no_child() -> None:
    """A kernel may be ended at the moment when its wrapper starts it: a child that no list has yet goes too."""
    forks = "import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(60)\n    time.sleep(0.001)"
    for _ in range(3):
        wrapper = subprocess.Popen([sys.executable, "-I", "-S", "-c", forks], start_new_session=True)
        while len(process_tree.descendants(wrapper.pid)) < 3:
            assert wrapper.poll() is None
        process_tree.kill(wrapper.pid)
        wrapper.wait(5)
        assert no_member_left(wrapper.pid)


def no_member_left(group: int, seconds: float = 10.0) -> bool:
    """Whether every process of the group ends in time; one that nobody reaps has ended."""
    end = time.monotonic() + seconds
    while living := [each for each in psutil.process_iter() if is_living_member(each, group)]:
        if time.monotonic() > end:
            for each in living:
                each.kill()
            return False
        time.sleep(0.02)
    return True


def is_living_member(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def test_kernel_outlives_the_thread_that_asked_for_it(level: str) -> None:
    store = FrameStore("spatialclaw-lifetest")
    pool = KernelPool(KernelConfig(sandbox=level), lambda m, p, s, c: {}, store)
    try:
        starter = threading.Thread(target=pool.start)
        starter.start()
        starter.join(60)
        session = pool.acquire(CancelToken(), Deadline(60))
        assert session.execute("print('alive')", 20).stdout == "alive\n"
        session.close()
    finally:
        pool.close()
        store.close()


def test_processor_time_beyond_the_limit_ends_the_kernel_with_the_reason() -> None:
    store = FrameStore("spatialclaw-lifetest")
    pool = KernelPool(KernelConfig(max_cpu_seconds=1.0), lambda m, p, s, c: {}, store)
    try:
        pool.start()
        session = pool.acquire(CancelToken(), Deadline(60))
        assert session.execute("print('short')", 20).stdout == "short\n"
        result = session.execute("while True: pass", 60)
        assert result.status == "died" and result.error is not None
        assert "processor time" in result.error.message and "1 s" in result.error.message
        session.close()
    finally:
        pool.close()
        store.close()


def test_acquire_ends_at_once_when_cancelled() -> None:
    store = FrameStore("spatialclaw-lifetest")
    pool = KernelPool(KernelConfig(), lambda m, p, s, c: {}, store)
    pool.level = "none"  # nothing starts before start(): acquire can only wait
    pool._starting = True
    cancel = CancelToken()
    threading.Timer(0.2, cancel.cancel).start()
    begin = time.monotonic()
    with pytest.raises(Exception, match="cancelled"):
        pool.acquire(cancel, Deadline(60))
    assert time.monotonic() - begin < 5
    store.close()
