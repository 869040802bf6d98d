"""What one executed cell came back with, and the message types that carry it on the kernel's output stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

MIME_CELL = "application/vnd.spatialclaw.cell+json"
"""One per cell, last:
{"version": 1, "variables": [...], "names": [...], "answer": {...} | null, "notes": [...], "tool_calls": n}.
"""

PICTURE_METADATA = "spatialclaw"
"""Key in a display_data message's metadata: {"label", "frame_index", "stamp", "source", "width", "height"}."""

PICTURE_TYPES = ("image/jpeg", "image/png")
"""MIME types under which a display_data message carries a picture."""

LEFT_OUT_BYTES = "left_out_bytes"
"""Key in the content of a cell's last stream message: bytes of text that the kernel left out just before its text."""

LEFT_OUT_PICTURES = "left_out_pictures"
"""Key in the same content: pictures that the kernel did not send, beyond their number or their size."""

CellStatus = Literal["ok", "error", "timeout", "interrupted", "died"]


@dataclass(frozen=True)
class ShownPicture:
    """A picture that the cell showed: encoded bytes ('image/jpeg' or 'image/png') and what it depicts."""

    data: bytes
    mime: str
    label: str = ""
    width: int = 0
    height: int = 0
    frame_index: int | None = None
    stamp: int | None = None
    source: str = ""


@dataclass(frozen=True)
class Variable:
    """A variable that is new or changed after the cell: its name, type and one line with shape, range and unit."""

    name: str
    type: str
    summary: str
    is_new: bool = True


@dataclass(frozen=True)
class CellError:
    """An exception: name, message, line of the cell (1-based, 0 if unknown) and a traceback cut to the cell's own
    frames.
    """

    name: str
    message: str
    line: int = 0
    traceback: str = ""


@dataclass(frozen=True)
class CellResult:
    """One execute round trip. `answer` is what ReturnAnswer was given, not yet validated against the goal.

    names: of every variable that cells made and that is there after this one, None where the kernel did not say. Of a
    cell that ended its kernel: those that were lost with it, where the agent knows them.
    """

    status: CellStatus
    stdout: str = ""
    error: CellError | None = None
    pictures: tuple[ShownPicture, ...] = ()
    variables: tuple[Variable, ...] = ()
    names: tuple[str, ...] | None = None
    answer: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    tool_calls: int = 0
    duration: float = 0.0
    truncated_bytes: int = field(default=0)
