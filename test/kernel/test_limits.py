"""Every limit of a kernel that a cell runs into is told in a sentence with its figure, as its error or in a note."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.kernel.cell import CellResult
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.pool import KernelPool
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken, Deadline

pytestmark = pytest.mark.process

CALL = "from spatialclaw_ros.workbench import broker_client as b\n"
PICTURE = "{'shape': [4000, 3000, 3], 'data': bytes(36_000_000)}"
FLOOD = "for n in range(300): b.call('ask', {'images': [{'frame': 0}], 'question': str(n)})"
LIMITS = {
    "text": ("print('x' * 200_000)", "bytes left out"),
    "pictures": (
        "from PIL import Image\nfor _ in range(20): display(Image.new('RGB', (4, 4)))",
        "at most 16 pictures of up to 4096 KiB a cell",
    ),
    "request size": (
        CALL + f"b.call('ask', {{'images': [{PICTURE}], 'question': 'what?'}})",
        "expected 1 to 33554432 (kernel.max_request_bytes)",
    ),
    "requests per second": (CALL + FLOOD, "more than 50 requests a second (kernel.max_requests_per_second)"),
    "cell time": ("while True: pass", "the cell ran for 0.5 s, its limit"),
    "file size": ("with open('/tmp/f', 'wb') as f: f.write(bytes(8 << 20))", "a file may have at most 4 MiB"),
    "address space": ("import numpy as np\nnp.ones(1 << 40)", "at most 32768 MiB of memory"),
    "open files": ("held = [open('/dev/null') for _ in range(100_000)]", "open files"),
    "processes": ("import subprocess\nsubprocess.run(['/bin/true'])", "at most 1 process"),
}
FATAL = {
    "memory": ("x = [bytearray(b'x') * (64 << 20) for _ in range(64)]\nwhile True: pass", "its limit is 768 MiB"),
    "threads": (
        "import threading, time\nfor _ in range(400): threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "time.sleep(60)",
        "its limit is 256",
    ),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    store = FrameStore("spatialclaw-kerneltest")
    made = KernelPool(KernelConfig(memory_bytes=768 << 20, max_file_bytes=4 << 20), repeat, store)
    made.start()
    yield made
    made.close()
    store.close()


@pytest.fixture(scope="module")
def kernel(pool: KernelPool) -> Iterator[KernelSession]:
    session = pool.acquire(CancelToken(), Deadline(60.0))
    yield session
    session.close()


def repeat(_method: str, params: dict, _session: KernelSession, _cancel: CancelToken) -> dict:
    return {"text": params["question"], "reasoning": ""}


def told(result: CellResult) -> str:
    """What the model, and with it the trace, gets to know of a cell besides pictures and variables."""
    error = f"{result.error.name}: {result.error.message}" if result.error else ""
    return "\n".join((result.stdout, error, *result.notes))


@pytest.mark.parametrize("name", LIMITS)
def test_limit_is_told_with_its_figure_and_the_kernel_lives(kernel: KernelSession, name: str) -> None:
    code, figure = LIMITS[name]
    result = kernel.execute(code, 0.5 if name == "cell time" else 30.0)
    assert figure in told(result)
    assert kernel.execute("print('alive')").stdout == "alive\n"


@pytest.mark.parametrize("name", FATAL)
def test_limit_that_ends_the_kernel_is_told_with_its_figure(pool: KernelPool, name: str) -> None:
    code, figure = FATAL[name]
    session = pool.acquire(CancelToken(), Deadline(60.0))
    try:
        result = session.execute(code, 30.0)
        assert (result.status, figure in told(result)) == ("died", True), told(result)
    finally:
        session.close()
