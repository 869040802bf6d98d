"""From a kernel's messages to one CellResult: every field bounded in number and size, and checked for its type."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from spatialclaw_ros.kernel.cell import (
    LEFT_OUT_BYTES,
    LEFT_OUT_PICTURES,
    MIME_CELL,
    PICTURE_METADATA,
    PICTURE_TYPES,
    CellError,
    CellResult,
    CellStatus,
    ShownPicture,
    Variable,
)
from spatialclaw_ros.kernel.channels import KernelMessage
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.picture_size import picture_size
from spatialclaw_ros.kernel.text_limit import LimitedText

MAX_TOTAL_PICTURE_BYTES = 32 << 20
MAX_PICTURE_SIDE = 8192
MAX_VARIABLES = 200
MAX_NAMES = 10_000
MAX_NOTES = 50
MAX_LABEL = 200
MAX_LINE = 500
MAX_ERROR = 4000
MAX_TRACEBACK = 16_000
MAX_ANSWER_BYTES = 1 << 20
MAX_ANSWER_DEPTH = 32
"""Lists and maps within each other: whoever walks through an answer may do so by recursion."""
MAX_STAMP = (1 << 31) * 10**9 - 1
"""ns: the latest that a ROS time can say, whose seconds are an int32."""
MAX_COUNT = 1 << 48
"""A kernel's word on how much it left out counts up to here."""
_LINE = re.compile(r"^Cell line (\d{1,9})\b", re.MULTILINE)
_COLOUR_CODES = re.compile(r"\x1b\[[0-9;]*m")


class CellCollector:
    """Takes one cell's messages in order. `result` builds the outcome; it never raises for anything a kernel sent."""

    def __init__(self, config: KernelConfig) -> None:
        self._config = config
        self._text = LimitedText(config.max_output_bytes)
        self._pictures: list[ShownPicture] = []
        self._picture_bytes = 0
        self._left_out = 0
        self._unusable = 0
        self._cell: dict[str, Any] = {}
        self._notes: list[str] = []

    def add(self, message: KernelMessage) -> None:
        """An output message of this cell."""
        content = message.content
        if message.type == "stream":
            self._text.skip(_count(content.get(LEFT_OUT_BYTES)))
            self._left_out += _count(content.get(LEFT_OUT_PICTURES))
            self._add_text(content.get("text"))
        elif message.type in ("display_data", "update_display_data", "execute_result"):
            data = content.get("data")
            if isinstance(data, dict):
                metadata = content.get("metadata")
                self._add_display(data, metadata if isinstance(metadata, dict) else {})

    def note(self, sentence: str) -> None:
        self._notes.append(sentence)

    def result(self, status: CellStatus, reply: dict[str, Any], duration: float) -> CellResult:
        """reply: the content of the execute reply, {} where none came."""
        stdout, dropped = self._text.finish()
        notes = [*_strings(self._cell.get("notes"), MAX_NOTES), *self._notes]
        if self._left_out:
            limits = f"{self._config.max_pictures} pictures of up to {self._config.max_picture_bytes >> 10} KiB a cell"
            notes.append(f"{self._left_out} pictures were left out: at most {limits}")
        if self._unusable:
            notes.append(f"{self._unusable} pictures were not readable JPEG or PNG data")
        calls = self._cell.get("tool_calls")
        return CellResult(
            status=status,
            stdout=stdout,
            error=_error(reply) if reply.get("status") == "error" else None,
            pictures=tuple(self._pictures),
            variables=_variables(self._cell.get("variables")),
            names=_names(self._cell.get("names")),
            answer=self._answer(notes),
            notes=tuple(notes),
            tool_calls=min(calls, 1 << 31) if type(calls) is int and calls > 0 else 0,
            duration=duration,
            truncated_bytes=dropped,
        )

    def _add_text(self, text: Any) -> None:
        if isinstance(text, str):
            self._text.add(text)

    def _add_display(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        if isinstance(data.get(MIME_CELL), dict):
            self._cell = data[MIME_CELL]
            return
        for mime in PICTURE_TYPES:
            if mime in data:
                details = metadata.get(PICTURE_METADATA)
                self._add_picture(mime, data[mime], details if isinstance(details, dict) else {})
                return
        text = data.get("text/plain")
        if isinstance(text, str):
            self._text.add(text + "\n")

    def _add_picture(self, mime: str, encoded: Any, details: dict[str, Any]) -> None:
        if not isinstance(encoded, str):
            self._unusable += 1
            return
        room = MAX_TOTAL_PICTURE_BYTES - self._picture_bytes
        length = len(encoded) * 3 // 4
        if len(self._pictures) >= self._config.max_pictures or length > min(room, self._config.max_picture_bytes):
            self._left_out += 1
            return
        try:
            data = base64.b64decode(encoded.replace("\n", ""), validate=True)
        except (binascii.Error, ValueError):
            self._unusable += 1
            return
        size = picture_size(data, mime)
        if size is None or max(size) > MAX_PICTURE_SIDE:
            self._unusable += 1
            return
        self._picture_bytes += len(data)
        self._pictures.append(
            ShownPicture(
                data=data,
                mime=mime,
                label=_line(details.get("label"), MAX_LABEL),
                width=size[0],
                height=size[1],
                frame_index=_whole(details.get("frame_index")),
                stamp=_whole(details.get("stamp")),
                source=_line(details.get("source"), MAX_LABEL),
            )
        )

    def _answer(self, notes: list[str]) -> dict[str, Any] | None:
        answer = self._cell.get("answer")
        if not isinstance(answer, dict):
            return None
        try:
            data = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
        except (ValueError, RecursionError, TypeError):
            notes.append("the answer was left out: it cannot be written as JSON")
            return None
        if len(data) > MAX_ANSWER_BYTES or _is_deep(answer):
            limits = f"{MAX_ANSWER_BYTES >> 10} KiB, or {MAX_ANSWER_DEPTH} lists or maps within each other"
            notes.append(f"the answer was left out: more than {limits}")
            return None
        return dict(json.loads(data, parse_constant=lambda name: None))  # numbers that are none become null


def _variables(entries: Any) -> tuple[Variable, ...]:
    """Entries that are maps with a name and a type; others are left out, and so is what exceeds the limit."""
    if not isinstance(entries, list):
        return ()
    found = []
    for entry in entries[:MAX_VARIABLES]:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("type"), str):
            new = entry.get("is_new", True)
            summary = _line(entry.get("summary"), MAX_LINE)
            name, kind = _text(entry["name"], MAX_LABEL), _text(entry["type"], MAX_LABEL)
            found.append(Variable(name, kind, summary, new is not False))
    return tuple(found)


def _names(entries: Any) -> tuple[str, ...] | None:
    if not isinstance(entries, list):
        return None
    return tuple(_line(name, MAX_LABEL) for name in entries[:MAX_NAMES] if isinstance(name, str))


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_ANSWER_DEPTH + 1):
        level = [part for item in level for part in (item.values() if isinstance(item, dict) else item)]
        level = [part for part in level if isinstance(part, (dict, list))]
        if not level:
            return False
    return True


def _error(reply: dict[str, Any]) -> CellError:
    trace = "\n".join(_strings(reply.get("traceback"), 1000, MAX_TRACEBACK))[-MAX_TRACEBACK:]
    trace = _COLOUR_CODES.sub("", trace)
    lines = _LINE.findall(trace)
    name, message = reply.get("ename"), reply.get("evalue")
    return CellError(
        name=_text(name, MAX_LABEL) if isinstance(name, str) else "Exception",
        message=_text(message, MAX_ERROR) if isinstance(message, str) else "",
        line=int(lines[-1]) if lines else 0,
        traceback=trace,
    )


def _strings(entries: Any, count: int, longest: int = MAX_LINE) -> list[str]:
    if not isinstance(entries, list):
        return []
    return [_text(entry, longest) for entry in entries[:count] if isinstance(entry, str)]


def _line(text: Any, longest: int) -> str:
    return " ".join(_text(text, 4 * longest).split())[:longest] if isinstance(text, str) else ""


def _text(text: str, longest: int) -> str:
    """Cut, and without halves of characters, which JSON can carry and UTF-8 cannot."""
    return text[:longest].encode("utf-8", "replace").decode()


def _count(value: Any) -> int:
    return min(value, MAX_COUNT) if type(value) is int and value > 0 else 0


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_STAMP else None
