"""The chat interface that every backbone implements: messages with text and pictures in, one reply out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from spatialclaw_ros.limits import CancelToken, Deadline

Role = Literal["system", "user", "assistant"]
Purpose = Literal["plan", "main", "locate", "ask"]
"""What a request is for; sampling settings differ by purpose."""


@dataclass(frozen=True)
class Picture:
    """An encoded picture of a message. data: JPEG or PNG bytes; mime: 'image/jpeg' or 'image/png'; size in pixels."""

    data: bytes
    mime: str
    width: int
    height: int
    label: str = ""


@dataclass(frozen=True)
class Message:
    """One turn of the conversation; parts are texts and pictures in reading order. Never changed once sent."""

    role: Role
    parts: tuple[str | Picture, ...]

    @property
    def text(self) -> str:
        """The message's text parts, joined by blank lines."""
        return "\n\n".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True)
class Reply:
    """What came back. reasoning: the thinking that the server returned apart from the text, if any."""

    text: str
    reasoning: str = ""
    model: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    request_bytes: int = 0


class Backbone(Protocol):
    """A vision-language model.

    `chat` blocks the calling thread and returns within `deadline`, or raises: Canceled (soon after the token is set),
    TimeLimitReached, BackboneUnreachable, BackboneAuthenticationError, BackboneError.
    """

    name: str
    sees_pictures: bool

    def chat(self, messages: Sequence[Message], purpose: Purpose, cancel: CancelToken, deadline: Deadline) -> Reply: ...

    def close(self) -> None: ...
