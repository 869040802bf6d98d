"""Session: a kernel and what it was asked; and what is known of a session whose kernel is gone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.snapshot import Snapshot

MAX_KEPT_FRAMES = 2000
"""Frames of earlier questions of a session that its cells may still name."""

MAX_KEPT_BYTES = 256 << 20
"""Images of earlier questions that a session holds on to, where nothing else is said."""

MAX_LOST_NAMES = 1000
"""Names of lost variables that a session remembers, the latest."""

ENDED_UNUSED = "it ended between two questions"


@dataclass(frozen=True)
class Loss:
    """A session's kernel is gone. why: a clause; names: the variables that went and were not made again since."""

    why: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Past:
    """What a session was asked before: of kernels that are gone, and of the one that still has its variables.

    loss: of the latest kernel that is gone, even with nothing answered; None = no kernel of this session was lost.
    told: whether a client has been told of it.
    """

    lost: tuple[tuple[str, str], ...] = ()
    earlier: tuple[tuple[str, str], ...] = ()
    loss: Loss | None = None
    told: bool = False


@dataclass
class Session:
    """A kernel and what it has been asked.

    frames: by index, of this and of earlier questions, the newest last. history: questions and answers; lost: how many
    of the first of them were asked of kernels that are gone; loss, told: as in Past. names: the variables that cells
    made, as last reported. note: what the model has to know of the session at its next cell. end: why the kernel ended,
    where a cell saw it. used: steady time, s, of the last use.
    """

    kernel: Any
    id: str = ""
    frames: dict[int, Frame] = field(default_factory=dict)
    history: list[tuple[str, str]] = field(default_factory=list)
    snapshot: Snapshot | None = None
    lost: int = 0
    loss: Loss | None = None
    told: bool = False
    names: tuple[str, ...] = ()
    note: str = ""
    end: str = ""
    used: float = field(default_factory=time.monotonic)

    @classmethod
    def after(cls, past: Past, kernel: Any, session_id: str) -> Session:
        """A session that goes on in a fresh kernel."""
        return cls(kernel, session_id, history=list(past.lost), lost=len(past.lost), loss=past.loss, told=past.told)

    def past(self) -> Past:
        """What the next question has to know."""
        loss = self.loss
        if loss is not None:
            loss = replace(loss, names=tuple(name for name in loss.names if name not in self.names))
        return Past(tuple(self.history[: self.lost]), tuple(self.history[self.lost :]), loss, self.told)

    def lose(self, why: str) -> Past:
        """What the next question has to know once the kernel is gone for this reason."""
        before = self.loss.names if self.loss is not None else ()
        names = tuple(dict.fromkeys((*before, *self.names)))[-MAX_LOST_NAMES:]
        return Past(tuple(self.history), (), Loss(why, names))

    def remember_frames(self, frames: Sequence[Frame], max_bytes: int = MAX_KEPT_BYTES) -> None:
        """Let cells name these frames, too; copies, since the caller's may hold decoded pixels.

        max_bytes: of the images of earlier questions; the oldest frames beyond it leave.
        """
        current = {frame.index for frame in frames}
        for frame in frames:
            self.frames.pop(frame.index, None)
            self.frames[frame.index] = replace(frame)
        for index in list(self.frames)[: max(0, len(self.frames) - MAX_KEPT_FRAMES)]:
            del self.frames[index]
        room = max_bytes
        for index in [index for index in reversed(self.frames) if index not in current]:
            room -= _size(self.frames[index])
            if room < 0:
                del self.frames[index]


def _size(frame: Frame) -> int:
    payloads = (frame.color_payload, frame.depth_payload)
    return sum(payload.data.nbytes for payload in payloads if payload is not None)
