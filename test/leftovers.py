"""What a test run must not leave behind: processes that outlive it, and folders in shared memory.

Processes are known by an environment variable that children inherit, and by having been seen as descendants while
a test ran (a sandboxed kernel has an environment of its own). Folders are known by the process number in their name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

import psutil

MARK = "SPATIALCLAW_TEST_RUN"
SHARED_MEMORY = Path("/dev/shm")
GRACE = 5.0
"""Seconds that a process may take to end after the last test."""


class Leftovers:
    """Watches one pytest process."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(8)
        self._seen: dict[int, float] = {}
        self._myself = psutil.Process()

    def look(self) -> None:
        """Remember this process's descendants. Called while a test's processes still run."""
        for process in self._myself.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                self._seen[process.pid] = process.create_time()

    def processes(self) -> list[str]:
        """The processes of this run that still live after a short grace, as 'pid command'."""
        end = time.monotonic() + GRACE
        while (living := self._living()) and time.monotonic() < end:
            psutil.wait_procs(living, timeout=0.2)
        return [_describe(process) for process in living]

    def folders(self) -> list[str]:
        """Folders of this run in shared memory. This process's own count too: whoever made one has to close it."""
        owners = {os.getpid(), *self._seen}
        found = SHARED_MEMORY.glob("spatialclaw-*-*") if SHARED_MEMORY.is_dir() else ()
        return sorted(str(path) for path in found if _owner(path) in owners)

    def _living(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if process != self._myself and self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if self._seen.get(process.pid) == process.create_time():
                return True
            return process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False


def _owner(folder: Path) -> int:
    pid = folder.name.split("-")[1]
    return int(pid) if pid.isdecimal() else -1


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return str(process.pid)
