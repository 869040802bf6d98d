"""The watchdog: ends a kernel whose processes together hold more than their share, which no rlimit counts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from spatialclaw_ros.kernel import process_tree
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.session import KernelSession

PERIOD = 0.2
MEBIBYTE = 1 << 20
BUBBLEWRAP_PROCESSES = 2


class Watchdog:
    """Looks at every session a few times a second, on a thread of its own, until closed."""

    def __init__(self, config: KernelConfig, sessions: Callable[[], list[KernelSession]]) -> None:
        self._config = config
        self._sessions = sessions
        self._cells: dict[str, tuple[int, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kernel-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            sessions = self._sessions()
            self._cells = {session.id: self._cells.get(session.id, (0, 0.0)) for session in sessions}
            for session in sessions:
                reason = self._excess(session) if session.alive else ""
                if reason:
                    session.end(reason)

    def _excess(self, session: KernelSession) -> str:
        """What is too much, or ""."""
        use = process_tree.measure(session.pid)
        if use.resident > self._config.memory_bytes:
            held, most = use.resident // MEBIBYTE, self._config.memory_bytes // MEBIBYTE
            return f"the kernel held {held} MiB of memory, its limit is {most} MiB; work on fewer or smaller arrays"
        if use.processes > self._config.max_processes + BUBBLEWRAP_PROCESSES:
            return f"the kernel had {use.processes} processes, its limit is {self._config.max_processes}"
        if use.threads > self._config.max_threads:
            return f"the kernel had {use.threads} threads, its limit is {self._config.max_threads}"
        used = use.cpu_seconds - self._used_before(session, use.cpu_seconds)
        if used > self._config.max_cpu_seconds:
            return (
                f"the kernel used {used:.0f} s of processor time since its last cell began, its limit is "
                f"{self._config.max_cpu_seconds:g} s; do less per cell, and leave no thread running"
            )
        scratch = _folder_bytes(session.scratch_folder) + process_tree.nameless_bytes(session.pid)
        if scratch > self._config.max_scratch_bytes:
            most = self._config.max_scratch_bytes // MEBIBYTE
            return f"the kernel wrote {scratch // MEBIBYTE} MiB of files, its limit is {most} MiB"
        return ""

    def _used_before(self, session: KernelSession, now: float) -> float:
        """Processor time of the kernel when its last cell began, as far as a look a few times a second can tell."""
        cells, before = self._cells[session.id]
        if session.cells != cells:
            before = now
            self._cells[session.id] = session.cells, before
        return before


def _folder_bytes(folder: str) -> int:
    """Bytes of the files below a folder, by blocks, links not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue  # removed meanwhile
    return total
