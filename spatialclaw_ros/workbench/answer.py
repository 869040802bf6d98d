"""ReturnAnswer: from what a cell submits to plain data that the node can validate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spatialclaw_ros.workbench.bench import Bench
from spatialclaw_ros.workbench.errors import ToolError
from spatialclaw_ros.workbench.images import FrameImage
from spatialclaw_ros.workbench.measure import Box3D

MAX_TEXT = 10_000
MAX_ITEMS = 500
MAX_CHARACTERS = 500_000
"""Text of an answer with its lists and dicts in all: half of what the node takes."""


class AnswerBox:
    """Takes the answer of a cell; `submit` is bound as ReturnAnswer."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def submit(
        self,
        value: Any = None,
        unit: str | None = None,
        point: Any = None,
        frame: str | None = None,
        objects: Any = None,
        stddev: float | None = None,
        confidence: float | None = None,
        evidence: Any = None,
    ) -> None:
        """Submit the answer; the cell goes on to its end, a later call overrides an earlier one.

        value: str, bool, int, float (NumPy scalars too), in `unit` ('m', 'cm', 'deg', ...). point: (3,) metres in the
        ROS frame `frame` (points of a Reconstruction through recon.to_ros_frame first). objects: dicts with label,
        position (3,) and optionally size (3,), orientation (4,) xyzw, score; in `frame`. stddev: of a number, same
        unit. confidence: 0 to 1.
        evidence: frame indices or items that the answer rests on. Raises: ToolError for NaN or what cannot be an
        answer.
        """
        if value is None and point is None and objects is None:
            raise ToolError("ReturnAnswer needs a value, a point or objects")
        answer = {
            "value": _plain(value),
            "unit": None if unit is None else str(unit),
            "point": None if point is None else _vector(point, "point", 3),
            "frame": self._frame(frame, point, objects),
            "objects": None if objects is None else [_object(entry) for entry in _listed(objects)],
            "stddev": _number(stddev, "stddev", 0.0, math.inf),
            "confidence": _number(confidence, "confidence", 0.0, 1.0),
            "evidence": None if evidence is None else self._evidence(evidence),
        }
        if self._bench.answer is not None:
            self._bench.note(
                f"ReturnAnswer was called more than once: {answer['value']!r} replaces {self._bench.answer['value']!r}"
            )
        self._bench.answer = answer

    def _frame(self, frame: Any, point: Any, objects: Any) -> str | None:
        if frame is not None:
            return str(frame)
        if point is None and objects is None:
            return None
        world = self._bench.world_frame
        self._bench.note(
            f"ReturnAnswer: no frame given, '{world}' is assumed (points of a Reconstruction need "
            "recon.to_ros_frame(points) first)"
        )
        return world

    def _evidence(self, evidence: Any) -> list[int]:
        items = _listed(evidence)
        try:
            indices = [item.frame_index if isinstance(item, FrameImage) else int(item) for item in items]
        except (TypeError, ValueError, OverflowError):
            raise ToolError(f"evidence is frame indices or items of InputImages; got {_said(evidence)}") from None
        known = set(self._bench.images.frame_indices)
        wrong = [index for index in indices if index not in known]
        if wrong:
            self._bench.note(f"ReturnAnswer: evidence {wrong} are not frame indices and were left out")
        return [index for index in indices if index in known]


class _Room:
    """How much text an answer may still hold."""

    def __init__(self) -> None:
        self._left = MAX_CHARACTERS

    def take(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise ToolError(f"the answer is larger than {MAX_CHARACTERS} characters; answer with what was asked for")


def _plain(value: Any, room: _Room | None = None) -> Any:
    """A value as JSON data: scalars unwrapped, small arrays as lists. Raises: ToolError."""
    room = room or _Room()
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float)):
        room.take(24)
        return _checked(value)
    if isinstance(value, str):
        if not value.strip():
            raise ToolError("the answer is an empty text")
        room.take(min(len(value), MAX_TEXT))
        return str(value)[:MAX_TEXT]
    if isinstance(value, dict) and len(value) <= MAX_ITEMS:
        room.take(1 + sum(len(str(key)) for key in value))
        return {str(key): _plain(entry, room) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray)) and len(value) <= MAX_ITEMS:
        room.take(1)
        return [_plain(entry, room) for entry in value]
    raise ToolError(
        f"an answer is text, a number, true or false, or a small list of them; got a {type(value).__name__}"
    )


def _checked(value: Any) -> Any:
    """A scalar that a measurement can be. Raises: ToolError for NaN, infinities and integers beyond any float."""
    try:
        finite = value is None or math.isfinite(value)
    except OverflowError:
        raise ToolError(f"the answer is an integer of {value.bit_length()} bits, beyond what a number holds") from None
    if not finite:
        raise ToolError(
            f"the answer is {value}: a measurement failed; print the intermediate values (np.nanmedian skips "
            "holes) and measure again"
        )
    return value


def _listed(value: Any) -> list[Any]:
    many = list(value) if isinstance(value, (list, tuple, set, range, np.ndarray)) else [value]
    if len(many) > MAX_ITEMS:
        raise ToolError(f"at most {MAX_ITEMS} entries fit an answer; got {len(many)}")
    return many


def _vector(value: Any, name: str, size: int) -> list[float]:
    try:
        array = np.asarray(value, float).ravel()
    except (TypeError, ValueError, OverflowError):
        raise ToolError(f"{name} must be {size} numbers; got {_said(value)}") from None
    if array.size != size or not np.isfinite(array).all():
        raise ToolError(f"{name} must be {size} finite numbers; got {array[:8].tolist()}")
    return array.tolist()


def _number(value: Any, name: str, low: float, high: float) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ToolError(f"{name} must be a number; got {_said(value)}") from None
    if not low <= number <= high or not math.isfinite(number):
        raise ToolError(f"{name} must lie in [{low:g}, {high:g}]; got {number:g}")
    return number


def _said(value: Any) -> str:
    """What was given, in a few words; text of a huge integer, or of an odd object, may not even exist."""
    try:
        return repr(str(value)[:80])
    except Exception:  # whatever the object's own __str__ raises
        return f"a {type(value).__name__}"


def _object(entry: Any) -> dict[str, Any]:
    """An object of an answer. A Box3D in z-up axes keeps its yaw as orientation."""
    if isinstance(entry, (tuple, list)) and len(entry) == 2 and isinstance(entry[0], str):
        entry = {"label": entry[0], "position": entry[1]}
        if isinstance(entry["position"], Box3D):
            entry = _from_box(entry["label"], entry["position"])
    if isinstance(entry, Box3D):
        entry = _from_box("object", entry)
    if not isinstance(entry, dict):
        raise ToolError(f"an object is a dict with label and position; got a {type(entry).__name__}")
    position = entry.get("position", entry.get("center"))
    if position is None:
        raise ToolError(f"an object needs a position (3,); got keys {sorted(map(str, entry))}")
    return {
        "label": str(entry.get("label", "object")),
        "position": _vector(position, "position", 3),
        "size": _vector(entry.get("size", (0.0, 0.0, 0.0)), "size", 3),
        "orientation": _vector(entry.get("orientation", (0.0, 0.0, 0.0, 1.0)), "orientation", 4),
        "score": _number(entry.get("score", 1.0), "score", 0.0, 1.0),
    }


def _from_box(label: str, box: Box3D) -> dict[str, Any]:
    if box.up != 2:
        raise ToolError(
            "this Box3D is in a Reconstruction's world; make it in the ROS frame: "
            "Geometry.upright_box(recon.to_ros_frame(points), up=2)"
        )
    length, height, width = box.size
    return {
        "label": label,
        "position": box.center,
        "size": (length, width, height),
        "orientation": (0.0, 0.0, math.sin(box.yaw / 2), math.cos(box.yaw / 2)),
    }
