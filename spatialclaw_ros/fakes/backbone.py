"""ScriptedBackbone: a backbone in process that says what a list or a function tells it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from spatialclaw_ros.backbones.chat import Message, Purpose, Reply
from spatialclaw_ros.errors import BackboneError, Canceled, SpatialClawError
from spatialclaw_ros.limits import CancelToken, Deadline

ReplyMaker = Callable[[Sequence[Message], Purpose], "str | Reply | SpatialClawError"]


@dataclass(frozen=True)
class RecordedChat:
    """One call of `chat`."""

    messages: tuple[Message, ...]
    purpose: Purpose


class ScriptedBackbone:
    """Replies in order, or from a function of (messages, purpose); an error in place of a reply is raised.

    calls: what was asked, in order. block(): makes every later call wait until `unblock()`, a cancel or the
    deadline; `waiting` is set while a call waits, so that a test needs no sleep.
    An exhausted script raises BackboneError.
    """

    name = "scripted"

    def __init__(
        self, replies: Iterable[str | Reply | SpatialClawError] | ReplyMaker, sees_pictures: bool = True
    ) -> None:
        self._make = replies if callable(replies) else None
        self._replies = iter(()) if callable(replies) else iter(list(replies))
        self._lock = threading.Lock()
        self._free = threading.Event()
        self._free.set()
        self.waiting = threading.Event()
        self.sees_pictures = sees_pictures
        self.calls: list[RecordedChat] = []
        self.closed = False

    def chat(self, messages: Sequence[Message], purpose: Purpose, cancel: CancelToken, deadline: Deadline) -> Reply:
        """Raises: Canceled, TimeLimitReached, or the scripted error."""
        cancel.raise_if_set()
        deadline.raise_if_over()
        with self._lock:
            self.calls.append(RecordedChat(tuple(messages), purpose))
            scripted = self._make(messages, purpose) if self._make else next(self._replies, None)
        self._wait_until_free(cancel, deadline)
        if scripted is None:
            raise BackboneError(f"the script has no reply for call {len(self.calls)} ({purpose})")
        if isinstance(scripted, Exception):
            raise scripted
        reply = Reply(scripted) if isinstance(scripted, str) else scripted
        size = sum(len(message.text) for message in messages)
        return replace(reply, model=reply.model or "scripted", request_bytes=reply.request_bytes or size)

    def block(self) -> None:
        self._free.clear()

    def unblock(self) -> None:
        self._free.set()

    def close(self) -> None:
        self.closed = True
        self._free.set()

    def _wait_until_free(self, cancel: CancelToken, deadline: Deadline) -> None:
        if self._free.is_set():
            return
        wake = threading.Event()
        unregister = cancel.on_cancel(wake.set)
        self.waiting.set()
        try:
            while not self._free.is_set():
                if wake.wait(min(0.005, deadline.remaining())):
                    raise Canceled(cancel.reason)
                deadline.raise_if_over()
        finally:
            self.waiting.clear()
            unregister()
