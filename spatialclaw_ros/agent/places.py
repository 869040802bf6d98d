"""Points and objects of an answer: read, checked, and moved from the frame they were given in to the target frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from spatialclaw_ros.agent.quoted import quoted
from spatialclaw_ros.agent.records import AnswerType, ObjectAnswer
from spatialclaw_ros.agent.refusal import AnswerRefused
from spatialclaw_ros.errors import TransformError
from spatialclaw_ros.frames.rotations import quaternion_from, rotation_from

if TYPE_CHECKING:
    from spatialclaw_ros.agent.answers import AnswerContext

Triple = tuple[float, float, float]

_POSITION_KEYS = ("position", "center", "centre", "point")
MAX_OBJECTS = 1000


def point_of(
    raw: Mapping[str, Any], wanted: AnswerType, context: AnswerContext, stamp: int
) -> tuple[Triple | None, str]:
    """The answer's point in the target frame and that frame's name; (None, "") without one.

    stamp: ns, the time at which a moving frame is looked up; 0 = the latest. Raises: AnswerRefused.
    """
    given = raw.get("point")
    if given is None and wanted is AnswerType.POINT and not isinstance(raw.get("value"), (str, type(None))):
        given = raw["value"]
    if given is None:
        if wanted is AnswerType.POINT:
            raise AnswerRefused("This question wants a place; pass point=(x, y, z) in metres and frame='...'.")
        return None, ""
    pose = _to_target(raw.get("frame"), context, stamp)
    return _tuple3(_moved(pose, given, "point")), context.target_frame


def objects_of(
    raw: Mapping[str, Any], wanted: AnswerType, context: AnswerContext, stamp: int
) -> tuple[ObjectAnswer, ...]:
    """The answer's objects in the target frame; an empty list says that there are none. Raises: AnswerRefused."""
    given = raw.get("objects")
    if given is None and wanted is AnswerType.OBJECTS and isinstance(raw.get("value"), (list, tuple)):
        given = raw["value"]
    if given is None:
        if wanted is AnswerType.OBJECTS:
            raise AnswerRefused(
                "This question wants objects; pass objects=[{'label': ..., 'position': (x, y, z), 'size': (x, y, z)}] "
                "in metres and frame='...'."
            )
        return ()
    if not isinstance(given, (list, tuple)) or len(given) > MAX_OBJECTS:
        raise AnswerRefused(f"objects is {quoted(given)}; expected a list of at most {MAX_OBJECTS} dictionaries.")
    return tuple(_object(entry, number, raw.get("frame"), context, stamp) for number, entry in enumerate(given))


def _object(entry: Any, number: int, frame: Any, context: AnswerContext, stamp: int) -> ObjectAnswer:
    where = f"objects[{number}]"
    if not isinstance(entry, Mapping):
        raise AnswerRefused(f"{where} is {quoted(entry)}; expected a dictionary with label, position and size.")
    position = next((entry[key] for key in _POSITION_KEYS if entry.get(key) is not None), None)
    if position is None:
        raise AnswerRefused(f"{where} has no position; expected position=(x, y, z) in metres.")
    pose = _to_target(entry.get("frame") or frame, context, stamp)
    orientation = _quaternion(entry.get("orientation"), where)
    size = _triple(entry["size"], f"{where}.size") if entry.get("size") is not None else np.zeros(3)
    if (size < 0).any():
        raise AnswerRefused(f"{where}.size is {size.tolist()}; expected metres of 0 or more.")
    score = entry.get("score", 1.0)
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise AnswerRefused(f"{where}.score is {quoted(score)}; expected a number from 0 to 1.")
    centre = _moved(pose, position, f"{where}.position")
    x, y, z, w = quaternion_from(pose[:3, :3] @ rotation_from(orientation)).tolist()
    return ObjectAnswer(_label(entry.get("label")), _tuple3(centre), _tuple3(size), (x, y, z, w), float(score))


def _to_target(frame: Any, context: AnswerContext, stamp: int) -> np.ndarray:
    known = ", ".join(context.frames.names())
    if not frame:
        raise AnswerRefused(f"A place needs frame='...', the frame its coordinates are in; known frames: {known}.")
    if frame not in context.frames.names():
        raise AnswerRefused(f"frame {quoted(frame)} is not known; known frames: {known}.")
    try:
        return np.asarray(context.frames.transform(str(frame), context.target_frame, stamp))
    except TransformError as error:
        raise AnswerRefused(
            f"The place cannot be moved from {frame!r} to {context.target_frame!r}: {error}."
        ) from error


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether this is a number that a float can hold: no bool, NaN or infinity, nor an integer beyond 1.8e308."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _is_list_of_finite(value: Any, count: int) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == count and all(map(is_finite, value))


def _triple(value: Any, what: str) -> np.ndarray:
    if not _is_list_of_finite(value, 3):
        raise AnswerRefused(f"{what} is {quoted(value)}; expected three finite numbers in metres.")
    return np.array(value, float)


def _moved(pose: np.ndarray, value: Any, what: str) -> np.ndarray:
    """(3,) point in the target frame."""
    with np.errstate(over="ignore", invalid="ignore"):
        moved = pose[:3, :3] @ _triple(value, what) + pose[:3, 3]
    if not np.isfinite(moved).all():
        raise AnswerRefused(f"{what} is {quoted(value)}, too far away for a number in metres.")
    return moved


def _label(value: Any) -> str:
    return (value if isinstance(value, str) and value else "object" if value is None else quoted(value))[:200]


def _tuple3(values: np.ndarray) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])


def _quaternion(value: Any, where: str) -> np.ndarray:
    if value is None:
        return np.array([0.0, 0.0, 0.0, 1.0])
    numbers = np.array(value if _is_list_of_finite(value, 4) else [np.nan] * 4, float)
    with np.errstate(over="ignore"):
        length = float(np.linalg.norm(numbers))
    if not math.isfinite(length) or abs(length - 1) > 0.01:
        raise AnswerRefused(f"{where}.orientation is {quoted(value)}; expected a unit quaternion (x, y, z, w).")
    return numbers / length
