"""The store's folder is private, goes with its process, and dead processes' folders go with the next."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spatialclaw_ros.frames import store as store_module
from spatialclaw_ros.frames.store import FrameStore


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    return process.pid


def _leave(root: Path, pid: int, prefix: str = "spatialclaw") -> Path:
    folder = root / f"{prefix}-{pid}-0badcafe"
    (folder / "ring").mkdir(parents=True)
    (folder / "ring" / "00000000.color").write_bytes(b"left behind")
    (folder / "lock").touch()
    return folder


def test_folders_are_private(tmp_path: Path) -> None:
    store = FrameStore(root=tmp_path)
    assert store.folder.name.startswith(f"spatialclaw-{os.getpid()}-")
    assert all((path.stat().st_mode & 0o777) == 0o700 for path in (store.folder, store.make_folder("ring")))
    store.close()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/x", "lock"])
def test_folder_names_cannot_lead_elsewhere(store: FrameStore, name: str) -> None:
    with pytest.raises(ValueError, match="plain folder name"):
        store.make_folder(name)


def test_close_removes_everything_and_may_be_repeated(tmp_path: Path) -> None:
    store = FrameStore(root=tmp_path)
    (store.make_folder("ring") / "file").write_bytes(b"x")
    store.close()
    store.close()
    assert not list(tmp_path.iterdir())


def test_stale_folder_of_a_dead_process_is_removed_by_the_next_store(tmp_path: Path, dead_pid: int) -> None:
    left = _leave(tmp_path, dead_pid)
    FrameStore(root=tmp_path).close()
    assert not left.exists()


def test_folder_of_a_live_process_stays(tmp_path: Path) -> None:
    left = _leave(tmp_path, os.getppid())
    FrameStore(root=tmp_path).close()
    assert left.is_dir()


def test_folder_whose_lock_is_held_stays_though_its_pid_seems_dead(tmp_path: Path, dead_pid: int) -> None:
    """So it looks from another PID namespace that shares /dev/shm."""
    left = _leave(tmp_path, dead_pid)
    with open(left / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        FrameStore(root=tmp_path).close()
    assert left.is_dir()


def test_folder_of_another_user_stays(tmp_path: Path, dead_pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left = _leave(tmp_path, dead_pid)
    store = FrameStore("another", tmp_path)
    store.prefix = "spatialclaw"
    real = os.geteuid()
    monkeypatch.setattr(store_module.os, "geteuid", lambda: real + 1)
    assert store.remove_stale() == [] and left.is_dir()
    monkeypatch.undo()
    assert store.remove_stale() == [left]
    store.close()


def test_other_names_and_links_stay(tmp_path: Path, dead_pid: int) -> None:
    other = _leave(tmp_path, dead_pid, "fastdds")
    target = tmp_path / "precious"
    target.mkdir()
    link = tmp_path / f"spatialclaw-{dead_pid}-abc"
    link.symlink_to(target)
    FrameStore(root=tmp_path).close()
    assert other.is_dir() and target.is_dir() and link.is_symlink()


@pytest.mark.process
def test_killed_process_leaves_a_folder_that_the_next_store_removes(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from spatialclaw_ros.frames.store import FrameStore\n"
        "store = FrameStore(root=Path(sys.argv[1])); print(store.folder, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    folder = Path(process.stdout.readline().strip())
    try:
        FrameStore(root=tmp_path).close()
        assert folder.is_dir(), "a live process's folder was removed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        process.stdout.close()
    assert folder.is_dir()
    FrameStore(root=tmp_path).close()
    assert not folder.exists()


@pytest.mark.process
def test_process_that_forgets_to_close_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from spatialclaw_ros.frames.store import FrameStore\n"
        "store = FrameStore(root=Path(sys.argv[1])); assert store.folder.is_dir()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    assert not list(tmp_path.iterdir())
