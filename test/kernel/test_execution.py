"""Execution: how long it waits for the kernel's messages, and no longer than needed."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from spatialclaw_ros.kernel.channels import KernelMessage
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.execution import IDLE_SECONDS, Execution
from spatialclaw_ros.limits import CancelToken


class LateStream:
    """Channels whose reply comes at once, and whose output stream says idle only after a wait of its own length."""

    shell, control, iopub = "shell", "control", "iopub"
    refused = 0

    def __init__(self) -> None:
        self.asked_waits: list[float] = []
        self._replied = False

    def request(self, *_: Any) -> str:
        return "request"

    def wait(self, seconds: float) -> set[int]:
        self.asked_waits.append(seconds)
        return set()

    def waiting(self, _channel: str) -> bool:
        return False

    def receive(self, channel: str) -> KernelMessage | None:
        if channel == "shell" and not self._replied:
            self._replied = True
            return KernelMessage("execute_reply", "request", {"status": "ok"}, {})
        if channel == "iopub" and len(self.asked_waits) > 3:
            return KernelMessage("status", "request", {"execution_state": "idle"}, {})
        return None


def test_after_the_reply_the_cells_limit_no_longer_cuts_the_waits() -> None:
    channels = LateStream()
    execution = Execution(SimpleNamespace(pidfd=-1), channels, KernelConfig())  # type: ignore[arg-type]
    begin = time.monotonic()
    result = execution.run("x", 0.0, CancelToken(), CancelToken())
    spent = time.monotonic() - begin
    assert result.status == "ok"
    assert min(channels.asked_waits[1:]) > IDLE_SECONDS - spent - 0.01
