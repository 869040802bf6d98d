"""KernelSession: one kernel as the agent uses it: frames in, cells executed, results out."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatialclaw_ros.errors import KernelError
from spatialclaw_ros.kernel.broker import Broker
from spatialclaw_ros.kernel.cell import CellResult
from spatialclaw_ros.kernel.channels import Channels
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.execution import Execution, failed
from spatialclaw_ros.kernel.folders import KernelFolders
from spatialclaw_ros.kernel.process import SandboxedProcess
from spatialclaw_ros.limits import CancelToken, Deadline

if TYPE_CHECKING:
    from spatialclaw_ros.frames.snapshot import Snapshot

MOST_KEPT_FILES = 4000
MOST_KEPT_BYTES = 256 << 20
"""Exported images that a session keeps for the variables of its earlier questions; beyond either, only the latest
export stays.
"""


class KernelSession:
    """A running kernel. Made by KernelPool.acquire; one thread at a time may begin or execute, `close` may be called
    from any.

    id: unique in this process. sandbox_level: 'bwrap', 'landlock' or 'none'. frames_folder: where snapshots are
    exported on the host; frames_path_inside: the same folder, read-only, as the kernel sees it.
    """

    def __init__(
        self,
        session_id: str,
        config: KernelConfig,
        folders: KernelFolders,
        process: SandboxedProcess,
        channels: Channels,
        broker: Broker,
        on_close: Callable[[KernelSession], None] = lambda session: None,
    ) -> None:
        self.id = session_id
        self.sandbox_level = process.level
        self.frames_folder = folders.frames
        self.frames_path_inside = str(folders.frames)
        self.scratch_folder = str(folders.scratch)
        self.max_result_bytes = config.max_result_bytes
        self.max_kept_bytes = MOST_KEPT_BYTES
        self._config = config
        self._folders = folders
        self._process = process
        self._channels = channels
        self._broker = broker
        self._on_close = on_close
        self._lock = threading.Lock()
        self._closed = False
        self._results = 0
        self.cells = 0
        """How many were begun, of which the watchdog takes note."""
        channels.watch(process.pidfd)
        broker.start(self, config)

    @property
    def alive(self) -> bool:
        return not self._closed and self._process.alive

    @property
    def pid(self) -> int:
        """Process id on the host of the kernel's outermost process."""
        return self._process.pid

    @property
    def checks(self) -> dict[str, str]:
        """What the kernel's own self-test at its start came to: guarantee to "" (holds) or what broke it."""
        return dict(self._process.report["checks"])

    def begin(self, snapshot: Snapshot, session_info: dict[str, Any], cancel: CancelToken, deadline: Deadline) -> bool:
        """Export the snapshot into the kernel's folder and bind its names there. Variables of earlier goals stay.

        True where images of earlier snapshots were removed, since they exceeded `max_kept_bytes`.
        Raises: KernelError (dead, or the workbench refused the frames), Canceled, TimeLimitReached.
        """
        cancel.raise_if_set()
        deadline.raise_if_over()
        sizes = _sizes(self.frames_folder)
        keep = len(sizes) < MOST_KEPT_FILES and sum(sizes.values()) <= self.max_kept_bytes
        manifest = Path(snapshot.export(self.frames_folder, session=session_info, keep_others=keep))
        self._folders.show_frames()
        left = sizes if keep else _sizes(self.frames_folder)
        inside = f"{self.frames_path_inside}/{manifest.relative_to(self.frames_folder)}"
        code = f"import spatialclaw_ros.workbench.session as _s; _s.begin({json.dumps(inside)}); del _s"
        result = self._execute(code, deadline.remaining(), cancel, silent=True)
        if result.status == "ok":
            return bool(sizes.keys() - left.keys())
        cancel.raise_if_set()
        deadline.raise_if_over()
        problem = f"{result.error.name}: {result.error.message}" if result.error else result.status
        raise KernelError(f"the kernel could not take the frames of {inside}: {problem}")

    def execute(self, code: str, timeout: float | None = None, cancel: CancelToken | None = None) -> CellResult:
        """Run one cell. timeout: seconds, None = the configured limit.

        Never raises for anything that the cell does: a cell that runs out of time or is cancelled is interrupted and
        keeps its variables ('timeout', 'interrupted'); one that does not react loses its kernel ('died', as for a
        kernel that crashed).
        """
        seconds = self._config.cell_timeout if timeout is None else max(0.0, timeout)
        return self._execute(code, seconds, cancel or CancelToken(), silent=False)

    def close(self) -> None:
        """End the kernel and remove its folders. A cell that runs meanwhile comes back as 'died'."""
        if self._closed:
            return
        self._closed = True
        self._broker.end_cell()
        self._process.kill("its session was closed")
        self._channels.wake()
        with self._lock:
            self._broker.close()
            self._channels.close()
            self._process.close()
            self._folders.remove()
        self._on_close(self)

    def end(self, reason: str) -> None:
        """Kill the kernel now; whoever executes is told `reason`. The session still has to be closed."""
        self._process.kill(reason)

    def next_result_file(self) -> Path:
        """A fresh name in the kernel's read-only folder for a result of the broker; `show_result` lets it be read."""
        folder = self.frames_folder / "results"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folders.show(folder)
        self._results += 1
        return folder / f"{self._results}.bin"

    def show_result(self, path: Path) -> None:
        """Let the kernel read a result that was written."""
        self._folders.show(path)

    def _execute(self, code: str, seconds: float, cancel: CancelToken, silent: bool) -> CellResult:
        if "\0" in code or not code.isprintable() and "\ud800" <= max(code) <= "\udfff":
            return failed("error", "SyntaxError", "the cell holds characters that are not text")
        with self._lock:
            if self._closed or not self._process.alive:
                return failed("died", "KernelDied", self._process.end_reason or "the kernel is not running")
            if cancel.is_set():
                return failed("interrupted", "KeyboardInterrupt", cancel.reason)
            return self._run(code, seconds, cancel, silent)

    def _run(self, code: str, seconds: float, cancel: CancelToken, silent: bool) -> CellResult:
        cell = CancelToken()
        self.cells += 1
        self._broker.begin_cell(cell)
        forget = cancel.on_cancel(self._channels.wake)
        try:
            return Execution(self._process, self._channels, self._config).run(code, seconds, cancel, cell, silent)
        finally:
            forget()
            self._broker.end_cell()


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file there, by name."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file(follow_symlinks=False)}
