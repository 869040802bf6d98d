"""Attempts to exhaust the machine: processes, threads, memory, files, descriptors and time.

Each dose lies beyond the limits of `run.LIMITS` and is harmless where nothing limits it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import resource
import signal
import tempfile
import threading
import time
import zipfile
from pathlib import Path

from spatialclaw_ros.kernel.attempts.attempt import Targets, attempt
from spatialclaw_ros.kernel.attempts.judges import told_secret

MEBIBYTE = 1 << 20
HOLD_SECONDS = 1.5
"""A dose is held so long: several times what the watchdog takes to look again."""
CHILDREN, THREADS, DESCRIPTORS = 20, 150, 1100
MEMORY_BYTES, ADDRESS_BYTES = 448 * MEBIBYTE, 6 << 30
FILE_BYTES, FILES = 24 * MEBIBYTE, 12
PART_BYTES = 8 * MEBIBYTE
BUSY_SECONDS = 2.5
TIMEOUT = 0.3


def _held(what: str) -> str:
    time.sleep(HOLD_SECONDS)
    return f"held {what} for {HOLD_SECONDS:g} s"


@attempt()
def fork_bomb(targets: Targets) -> object:
    """Start processes as fast as it can."""
    children = []
    try:
        for _ in range(CHILDREN):
            child = os.fork()
            if child == 0:
                time.sleep(HOLD_SECONDS + 1)
                os._exit(0)
            children.append(child)
        return _held(f"{len(children)} processes")
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@attempt(ends=("threads",), breaks=True, quick=False)
def thread_bomb(targets: Targets) -> object:
    """Start threads as fast as it can."""
    stop = threading.Event()
    try:
        for _ in range(THREADS):
            threading.Thread(target=stop.wait, daemon=True).start()
        return _held(f"{THREADS} threads")
    except RuntimeError as error:
        raise OSError(str(error)) from error
    finally:
        stop.set()


@attempt(ends=("memory",), breaks=True)
def memory_bomb(targets: Targets) -> object:
    """Fill memory with arrays."""
    import numpy as np

    kept = np.ones(MEMORY_BYTES, np.uint8)
    return _held(f"{kept.nbytes >> 20} MiB of memory")


@attempt(ends=("memory",), breaks=True, quick=False)
def shared_memory_bomb(targets: Targets) -> object:
    """Fill memory through a shared anonymous map, which a look at private memory alone would miss."""
    with mmap.mmap(-1, MEMORY_BYTES) as kept:
        for start in range(0, MEMORY_BYTES, PART_BYTES):
            kept[start : start + PART_BYTES] = b"\1" * PART_BYTES
        return _held(f"{MEMORY_BYTES >> 20} MiB of shared memory")


@attempt()
def address_space_bomb(targets: Targets) -> object:
    """Reserve more address space than the machine has memory."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE, which Python names from 3.12 on
    with mmap.mmap(-1, ADDRESS_BYTES, flags=flags):
        return f"reserved {ADDRESS_BYTES >> 30} GiB"


@attempt()
def huge_shape(targets: Targets) -> object:
    """Make an array of a shape whose zeros take no memory until they are touched."""
    import numpy as np

    return f"made an array of {np.zeros((ADDRESS_BYTES >> 20, MEBIBYTE), np.uint8).nbytes >> 30} GiB"


@attempt(ends=("memory",), breaks=True, quick=False)
def zip_bomb(targets: Targets) -> object:
    """Load an .npz of some megabytes that unpacks to more than the memory limit."""
    import numpy as np

    path = Path(tempfile.mkdtemp()) / "bomb.npz"
    _write_zeros(path)
    with np.load(path) as archive:
        kept = archive["zeros"]
        return _held(f"{kept.nbytes >> 20} MiB unpacked")


def _write_zeros(path: Path) -> None:
    from numpy.lib import format as npy

    zipped = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with zipped as archive, archive.open("zeros.npy", "w", force_zip64=True) as member:
        npy.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (MEMORY_BYTES,)})
        for _ in range(MEMORY_BYTES // PART_BYTES):
            member.write(bytes(PART_BYTES))


class Payload:
    """Unpickles to the content of a file: the code of a pickle runs where it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.read_text, (Path(self.path),)  # type: ignore[return-value]


@attempt(told_secret)
def load_pickle(targets: Targets) -> object:
    """Load an array whose pickle runs code; that code reads a file of the host."""
    import numpy as np

    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        file.write(_array_with(pickle.dumps(Payload(targets["file"]))))
        file.flush()
        return np.load(file.name, allow_pickle=True)


def _array_with(pickled: bytes) -> bytes:
    """An .npy file of objects; NumPy hands what follows its header to pickle."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + pickled


@attempt()
def huge_file(targets: Targets) -> object:
    """Write a file beyond the largest that is allowed."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, FILE_BYTES)
        return f"wrote a file of {FILE_BYTES >> 20} MiB"


@attempt(ends=("files",), breaks=True, quick=False)
def many_files(targets: Targets) -> object:
    """Fill the scratch folder with files of an allowed size."""
    folder = Path(tempfile.mkdtemp())
    for number in range(FILES):
        (folder / str(number)).write_bytes(b"\1" * PART_BYTES)
    return _held(f"{FILES * PART_BYTES >> 20} MiB of files")


@attempt(ends=("files", "memory"), breaks=True, quick=False)
def hidden_files(targets: Targets) -> object:
    """Fill the scratch folder with files that have no name any more."""
    with contextlib.ExitStack() as kept:
        for _ in range(FILES):
            file = kept.enter_context(tempfile.TemporaryFile())
            file.write(b"\1" * PART_BYTES)
            file.flush()
        return _held(f"{FILES * PART_BYTES >> 20} MiB of files without a name")


@attempt()
def descriptor_bomb(targets: Targets) -> object:
    """Open files until there are no descriptors left."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kept: list[int] = []
    try:
        while len(kept) < DESCRIPTORS:
            kept.append(os.open(os.devnull, os.O_RDONLY))
        return f"opened {len(kept)} descriptors"
    finally:
        for descriptor in kept:
            os.close(descriptor)


@attempt()
def lift_own_limits(targets: Targets) -> object:
    """Raise the limits that were set for it."""
    bounds = resource.getrlimit(resource.RLIMIT_AS)
    if bounds[1] == resource.RLIM_INFINITY:
        return "has no limit of its address space"
    try:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError as error:  # Python's word for a refusal here
        raise PermissionError(str(error)) from error
    return "lifted it"


@attempt(timeout=TIMEOUT, ends=("timeout",))
def run_for_ever(targets: Targets) -> object:
    """Compute without end."""
    end = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < end:
        pass
    return f"ran for {BUSY_SECONDS:g} s"


@attempt(timeout=TIMEOUT, ends=("limit",), breaks=True, quick=False)
def ignore_interrupts(targets: Targets) -> object:
    """Compute without end, with interrupts ignored and blocked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    return run_for_ever(targets)


@attempt(timeout=TIMEOUT, ends=("limit",), breaks=True, quick=False)
def swallow_interrupts(targets: Targets) -> object:
    """Compute without end, catching every interrupt."""
    end = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < end:
        try:
            run_for_ever(targets)
        except KeyboardInterrupt:
            continue
    return f"ran for {BUSY_SECONDS:g} s"
