"""Text of a cell kept within a number of bytes: the head and the tail, with a count of what fell between."""

from __future__ import annotations

from collections import deque

HEAD_SHARE = 0.5


class LimitedText:
    """Collects text; keeps the first and the last half of `max_bytes`, encoded as UTF-8. Memory stays bounded on the
    way.
    """

    def __init__(self, max_bytes: int) -> None:
        self._head_left = int(max_bytes * HEAD_SHARE)
        self._tail_limit = max_bytes - self._head_left
        self._head: list[bytes] = []
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._dropped = 0

    def add(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        if self._head_left > 0:
            part, data = data[: self._head_left], data[self._head_left :]
            self._head.append(part)
            self._head_left -= len(part)
        if not data:
            return
        if len(data) > self._tail_limit:
            cut = len(data) - self._tail_limit
            self._dropped += cut
            data = data[cut:]
        self._tail.append(data)
        self._tail_bytes += len(data)
        while self._tail_bytes > self._tail_limit:
            over = self._tail_bytes - self._tail_limit
            first = self._tail.popleft()
            if len(first) > over:
                self._tail.appendleft(first[over:])
            removed = min(len(first), over)
            self._tail_bytes -= removed
            self._dropped += removed

    def finish(self) -> tuple[str, int]:
        """The text, and how many bytes it lacks; where some fell out, a line in its middle says so."""
        head = b"".join(self._head).decode("utf-8", "replace")
        tail = b"".join(self._tail).decode("utf-8", "replace")
        if not self._dropped:
            return (b"".join(self._head) + b"".join(self._tail)).decode("utf-8", "replace"), 0
        return f"{head}\n[... {self._dropped} bytes left out ...]\n{tail}", self._dropped
