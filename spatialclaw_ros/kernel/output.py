"""A cell's output inside the kernel, kept within its limits before it is sent: the head at once, the tail at the end.

A cell that prints without end must cost neither memory nor its kernel: the host closes the connection on a message
beyond its limit. The host's own limits hold all the same, for a cell can undo what happens in its own process.
"""

from __future__ import annotations

import threading
from typing import Any

from ipykernel.displayhook import ZMQShellDisplayHook
from ipykernel.iostream import OutStream
from ipykernel.zmqshell import ZMQDisplayPublisher

from spatialclaw_ros.kernel.cell import LEFT_OUT_BYTES, LEFT_OUT_PICTURES, MIME_CELL, PICTURE_TYPES
from spatialclaw_ros.kernel.text_limit import HEAD_SHARE, TextTail

DEFAULT_TEXT_BYTES = 64 << 10
DEFAULT_PICTURES = 16
DEFAULT_PICTURE_BYTES = 4 << 20


class CellOutput:
    """What the running cell may still send. Streams, displays and values of expressions share it, in their order."""

    def __init__(self) -> None:
        self.streams: list[CellStream] = []
        self._lock = threading.RLock()  # an interrupt handler may print while the interrupted code holds it
        self.set_limits(DEFAULT_TEXT_BYTES, DEFAULT_PICTURES, DEFAULT_PICTURE_BYTES)

    def set_limits(self, text_bytes: int, pictures: int, picture_bytes: int) -> None:
        """picture_bytes: of one picture, decoded."""
        self._text_bytes, self._pictures, self._picture_bytes = text_bytes, pictures, picture_bytes
        self.start_cell()

    def start_cell(self) -> None:
        with self._lock:
            self._head_left = int(self._text_bytes * HEAD_SHARE)
            self._tail = TextTail(self._text_bytes - self._head_left)
            self._pictures_left = self._pictures
            self._pictures_refused = 0

    def head_of(self, text: str) -> str:
        """The part of the text that is to be sent now; the rest is held until the cell ends."""
        with self._lock:
            if text.isascii() and len(text) <= self._head_left:
                self._head_left -= len(text)
                return text
            return self._divided(text)

    def _divided(self, text: str) -> str:
        data = text.encode("utf-8", "replace")
        head = data[: self._head_left].decode("utf-8", "ignore")  # no half characters
        size = len(head) if head.isascii() else len(head.encode())
        if size == len(data):
            self._head_left -= size
            return head
        self._head_left = 0
        self._tail.add(data[size:])
        return head

    def allowed(self, data: dict[str, Any]) -> dict[str, Any]:
        """Of a display's content by MIME type, what is to be sent now: what the host reads, within the limits."""
        if MIME_CELL in data:
            return {MIME_CELL: data[MIME_CELL]}
        for mime in PICTURE_TYPES:
            if mime in data:
                return {mime: data[mime]} if self._takes_picture(data[mime]) else {}
        text = data.get("text/plain")
        head = self.head_of(f"{text}\n") if isinstance(text, str) else ""
        return {"text/plain": head.removesuffix("\n")} if head else {}

    def _takes_picture(self, picture: Any) -> bool:
        """picture: its bytes, or base64 text of them."""
        size = len(picture) if isinstance(picture, bytes) else len(str(picture)) * 3 // 4
        with self._lock:
            fits = self._pictures_left > 0 and size <= self._picture_bytes
            if fits:
                self._pictures_left -= 1
            else:
                self._pictures_refused += 1
        return fits

    def end_cell(self) -> dict[str, Any] | None:
        """The content of the cell's last stream message: its tail, and what was left out; None where nothing was
        held back. The streams are flushed before, so that the head comes first.
        """
        with self._lock:
            kept, missing, pictures = self._tail.kept(), self._tail.missing(), self._pictures_refused
        if not kept and not pictures:
            return None
        for stream in self.streams:
            stream.flush()
        text = kept.decode("utf-8", "ignore")
        missing += len(kept) - len(text.encode())
        return {"name": "stdout", "text": text, LEFT_OUT_BYTES: missing, LEFT_OUT_PICTURES: pictures}


OUTPUT = CellOutput()
"""This kernel's: there is one to a process, and the streams that ipykernel makes have to find it."""


class CellStream(OutStream):
    """stdout or stderr of the cells."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        OUTPUT.streams.append(self)

    def write(self, string: str) -> int:
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string).__name__}")
        head = OUTPUT.head_of(string)
        if head:
            super().write(head)
        return len(string)


class CellDisplayHook(ZMQShellDisplayHook):
    """The value of a cell's last expression."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        super().write_format_data(OUTPUT.allowed(format_dict), md_dict)


class CellDisplayPublisher(ZMQDisplayPublisher):
    """What display() and show() send."""

    def publish(self, data: Any, metadata: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        allowed = OUTPUT.allowed(data)
        if allowed:
            super().publish(allowed, metadata, **kwargs)
