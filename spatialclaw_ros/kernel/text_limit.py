"""Text of a cell kept within a number of bytes: the head and the tail, with a count of what fell between.

Used on both sides: inside the kernel, so that no message grows beyond what the host reads, and on the host, which
believes nothing that a kernel says about itself.
"""

from __future__ import annotations

from collections import deque

HEAD_SHARE = 0.5


def gap(count: int) -> str:
    """The line that stands for bytes which were left out."""
    return f"\n[... {count} bytes left out ...]\n"


def shortened(text: str, max_bytes: int) -> str:
    """The text, or its head and tail with the count between them; about max_bytes of UTF-8."""
    if len(text) <= max_bytes // 4:
        return text
    limited = LimitedText(max_bytes)
    limited.add(text)
    return limited.finish()[0]


class TextTail:
    """The last `max_bytes` of the UTF-8 text that it is given.

    What was added is counted before it is kept, and what is missing is worked out at the end, so that an interrupt in
    between cannot make the count drift.
    """

    def __init__(self, max_bytes: int) -> None:
        self._limit = max_bytes
        self._parts: deque[bytes] = deque()
        self._seen = 0
        self._held = 0

    def add(self, data: bytes) -> None:
        self._seen += len(data)
        if len(data) > self._limit:
            data = data[-self._limit :]
        self._parts.append(data)
        self._held += len(data)
        while self._held > self._limit and self._parts:
            first = self._parts.popleft()
            over = self._held - self._limit
            if len(first) > over:
                self._parts.appendleft(first[over:])
            self._held -= min(len(first), over)

    def kept(self) -> bytes:
        return b"".join(self._parts)

    def missing(self) -> int:
        """Bytes that were added and are no longer kept."""
        return self._seen - sum(map(len, self._parts))


class LimitedText:
    """Collects text; keeps the first and the last half of `max_bytes`, encoded as UTF-8. Memory stays bounded on the
    way.
    """

    def __init__(self, max_bytes: int) -> None:
        self._head_left = int(max_bytes * HEAD_SHARE)
        self._head: list[bytes] = []
        self._tail = TextTail(max_bytes - self._head_left)
        self._skipped = 0

    def add(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        if self._head_left > 0:
            part, data = data[: self._head_left], data[self._head_left :]
            self._head.append(part)
            self._head_left -= len(part)
        if data:
            self._tail.add(data)

    def skip(self, count: int) -> None:
        """Bytes that the sender itself left out here: what follows belongs to the tail."""
        if count > 0:
            self._skipped += count
            self._head_left = 0

    def finish(self) -> tuple[str, int]:
        """The text, and how many bytes it lacks; where some fell out, a line in its middle says so."""
        head, tail = b"".join(self._head), self._tail.kept()
        dropped = self._tail.missing() + self._skipped
        if not dropped:
            return (head + tail).decode("utf-8", "replace"), 0
        return f"{head.decode('utf-8', 'replace')}{gap(dropped)}{tail.decode('utf-8', 'replace')}", dropped
