"""One cell's round trip: send it, read what comes back, and stop it in time: by message, then by SIGKILL."""

from __future__ import annotations

import time
from typing import Any

from spatialclaw_ros.errors import KernelError
from spatialclaw_ros.kernel.cell import CellError, CellResult, CellStatus
from spatialclaw_ros.kernel.channels import Channels, KernelMessage
from spatialclaw_ros.kernel.collector import CellCollector
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.process import SandboxedProcess
from spatialclaw_ros.limits import CancelToken

MESSAGES_A_TURN = 256
"""Messages read before the clock is looked at again: a flood must not hold up a timeout."""
INTERRUPT_AGAIN = 0.25
"""Seconds between interrupts: one that arrives before the cell's first line is ignored by the kernel."""
IDLE_SECONDS = 2.0
"""Time that the output stream may lag behind the reply before it counts as broken."""
NO_LIMIT = 3600.0


class Execution:
    """Runs one request to its end. `run` returns for everything that a kernel can do; it never raises for it."""

    def __init__(self, process: SandboxedProcess, channels: Channels, config: KernelConfig) -> None:
        self._process = process
        self._channels = channels
        self._config = config
        self._collector = CellCollector(config)
        self._request = ""
        self._reply: dict[str, Any] | None = None
        self._replied_at = 0.0
        self._idle = False
        self._stop: CellStatus | None = None
        self._stop_reason = ""
        self._interrupts_open: set[str] = set()
        self._interrupted_at = 0.0
        self._stopped_at = 0.0

    def run(
        self, code: str, timeout: float, cancel: CancelToken, cell: CancelToken, silent: bool = False
    ) -> CellResult:
        """cancel: stops the cell. cell: set as soon as the cell is being stopped, so that broker requests end too."""
        start = time.monotonic()
        content = {"code": code, "silent": silent, "store_history": False, "user_expressions": {}}
        content |= {"allow_stdin": False, "stop_on_error": False}
        refused = self._channels.refused
        try:
            self._request = self._channels.request(self._channels.shell, "execute_request", content)
        except KernelError as error:
            return self._died(str(error), start)
        while not self._done():
            ready = self._channels.wait(self._patience(start + timeout))
            ended = self._process.pidfd in ready
            more = self._read()
            if ended and not more:
                return self._died(self._process.how_it_ended(), start)
            problem = self._stop_in_time(start, timeout, cancel, cell)
            if problem:
                self._process.kill(problem)
                return self._died(problem, start)
        if self._stop == "timeout":
            self._collector.note(f"{self._stop_reason} (kernel.cell_timeout, or what the goal had left)")
        if self._channels.refused > refused:
            self._collector.note(f"{self._channels.refused - refused} messages of the kernel were refused as malformed")
        reply = self._reply or {}
        status: CellStatus = self._stop or ("ok" if reply.get("status") == "ok" else "error")
        return self._collector.result(status, reply, time.monotonic() - start)

    def _done(self) -> bool:
        return self._reply is not None and self._idle and not self._interrupts_open

    def _patience(self, deadline: float) -> float:
        now = time.monotonic()
        if self._stop is not None:
            return INTERRUPT_AGAIN / 2
        if self._reply is not None:
            return self._replied_at + IDLE_SECONDS - now  # the cell's limit no longer counts
        return min(deadline - now, NO_LIMIT)

    def _read(self) -> bool:
        """Take what has arrived; True where more may be waiting."""
        for _ in range(MESSAGES_A_TURN):
            message = self._channels.receive(self._channels.iopub)
            refused_or_none = message is None
            if message is not None and message.parent == self._request:
                self._take_output(message)
            if refused_or_none and not self._channels.waiting(self._channels.iopub):
                break
        else:
            return True
        while (reply := self._channels.receive(self._channels.shell)) is not None:
            if reply.parent == self._request and reply.type == "execute_reply" and self._reply is None:
                self._reply, self._replied_at = reply.content, time.monotonic()
        while (reply := self._channels.receive(self._channels.control)) is not None:
            self._interrupts_open.discard(reply.parent)
        return False

    def _take_output(self, message: KernelMessage) -> None:
        if message.type == "status":
            self._idle = self._idle or message.content.get("execution_state") == "idle"
        else:
            self._collector.add(message)

    def _stop_in_time(self, start: float, timeout: float, cancel: CancelToken, cell: CancelToken) -> str:
        """Interrupt a cell that has to end; returns why the kernel has to be killed, or ""."""
        now = time.monotonic()
        if self._stop is None:
            if cancel.is_set():
                self._begin_stop("interrupted", cancel.reason, cell)
            elif now > start + timeout and self._reply is None:
                self._begin_stop("timeout", f"the cell ran for {timeout:g} s, its limit", cell)
            elif self._reply is not None and not self._idle and now > self._replied_at + IDLE_SECONDS:
                return "the kernel's output stream broke (a message beyond the limit, or a cell that closed it)"
            return ""
        if now > self._stopped_at + self._config.interrupt_grace:
            grace = f"{self._config.interrupt_grace:g} s after being interrupted"
            return f"{self._stop_reason}; it did not stop within {grace}, so its kernel was ended"
        if self._reply is None and now > self._interrupted_at + INTERRUPT_AGAIN:
            self._interrupt()
        return ""

    def _begin_stop(self, status: CellStatus, reason: str, cell: CancelToken) -> None:
        self._stop, self._stop_reason, self._stopped_at = status, reason, time.monotonic()
        cell.cancel(reason)
        self._interrupt()

    def _interrupt(self) -> None:
        self._interrupted_at = time.monotonic()
        try:
            self._interrupts_open.add(self._channels.request(self._channels.control, "interrupt_request", {}))
        except KernelError:
            return  # it takes no message any more; the grace period ends it

    def _died(self, reason: str, start: float) -> CellResult:
        self._collector.note("the kernel is gone: its variables are lost")
        content = {"status": "error", "ename": "KernelDied", "evalue": reason}
        return self._collector.result("died", content, time.monotonic() - start)


def failed(status: CellStatus, name: str, message: str) -> CellResult:
    """The result of a cell that was never sent."""
    return CellResult(status=status, error=CellError(name, message))
