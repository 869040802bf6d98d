"""Request bodies of the chat-completions protocol, assembled from messages that are serialised once."""

from __future__ import annotations

import base64
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from spatialclaw_ros.backbones.chat import Message, Picture


class BodyBuilder:
    """Assembles request bodies; thread-safe.

    A conversation only grows, so each message is turned into JSON once and its bytes are joined into every later
    request: a server that caches prompts sees the same prefix byte for byte, and 32 pictures cost one copy instead of
    an encoding.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._serialised: dict[int, tuple[weakref.ref[Message], bytes]] = {}

    def build(self, messages: Sequence[Message], settings: Mapping[str, Any]) -> bytes:
        """A JSON object with `settings` first and the messages last."""
        head = orjson.dumps(dict(settings))[:-1]
        comma = b"," if settings else b""
        return b"".join((head, comma, b'"messages":[', b",".join(map(self._message, messages)), b"]}"))

    def _message(self, message: Message) -> bytes:
        key = id(message)
        with self._lock:
            known = self._serialised.get(key)
        if known is not None and known[0]() is message:
            return known[1]
        data = serialise(message)
        with self._lock:
            self._serialised[key] = (weakref.ref(message, lambda gone: self._forget(key, gone)), data)
        return data

    def _forget(self, key: int, gone: weakref.ref[Message]) -> None:
        # No lock: the callback may run inside `build` on the thread that holds it. A dict's own operations are atomic.
        known = self._serialised.get(key)
        if known is not None and known[0] is gone:
            self._serialised.pop(key, None)


def serialise(message: Message) -> bytes:
    """One message as JSON: plain text as a string, anything with pictures as a list of parts with data URLs."""
    if not any(isinstance(part, Picture) for part in message.parts):
        return orjson.dumps({"role": message.role, "content": _clean(message.text)})
    parts = b",".join(map(_part, message.parts))
    return b"".join((b'{"role":', orjson.dumps(message.role), b',"content":[', parts, b"]}"))


def _part(part: str | Picture) -> bytes:
    if isinstance(part, str):
        return orjson.dumps({"type": "text", "text": _clean(part)})
    url = b"".join((b'"data:', part.mime.encode("ascii"), b";base64,", base64.b64encode(part.data), b'"'))
    return b'{"type":"image_url","image_url":{"url":' + url + b"}}"


def _clean(text: str) -> str:
    """Text that JSON can carry: lone surrogates (from undecodable output of a cell) become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
