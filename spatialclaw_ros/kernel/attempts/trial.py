"""Trial: one run of a probe as its judge sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spatialclaw_ros.kernel.attempts.attempt import REPORT
from spatialclaw_ros.kernel.cell import CellResult
from spatialclaw_ros.kernel.channels import KernelMessage

if TYPE_CHECKING:
    from spatialclaw_ros.kernel.session import KernelSession


@dataclass
class Trial:
    """text: all that came back in words, cut to the limits. kept: bytes of text that the host kept.

    session: the kernel that the probe ran in, None for a plain process. arrived: every message that reached the host,
    whichever request it claimed to belong to; malformed: how many it refused. served: monotonic times, s, at which the
    broker's handler was called. ended: monotonic time of the cell's end. bystander: another session, run meanwhile.
    """

    secret: str
    mark: str
    text: str
    kept: int
    ended: float
    result: CellResult | None = None
    session: KernelSession | None = None
    arrived: list[KernelMessage] = field(default_factory=list)
    malformed: int = 0
    served: list[float] = field(default_factory=list)
    bystander: Callable[[], KernelSession] | None = None

    def said(self, key: str) -> str:
        """What the probe reported under 'got', 'refused' or 'failed'; "" where it did not."""
        for line in reversed(self.text.splitlines()):
            if line.startswith(REPORT):
                return _value(line.removeprefix(REPORT), key)
        return ""

    @property
    def reported(self) -> bool:
        return any(line.startswith(REPORT) for line in self.text.splitlines())


def _value(report: str, key: str) -> str:
    try:
        return str(json.loads(report).get(key, ""))
    except (ValueError, AttributeError):
        return ""  # a cell can print anything: then it reported nothing


@contextmanager
def overheard(session: KernelSession) -> Iterator[list[KernelMessage]]:
    """What a reader without any checks of its own would have taken from this kernel's messages."""
    channels: Any = session._channels
    receive, heard = channels.receive, []

    def recording(channel: Any) -> KernelMessage | None:
        message = receive(channel)
        if message is not None:
            heard.append(message)
        return message

    channels.receive = recording
    try:
        yield heard
    finally:
        del channels.receive
