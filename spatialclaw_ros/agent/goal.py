"""check_goal: what can be wrong with a goal's content, found at once; check_pixels: what only decoding shows."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

import cv2
import numpy as np

from spatialclaw_ros.agent.quoted import quoted
from spatialclaw_ros.agent.records import AnswerType, Query
from spatialclaw_ros.config import LoopConfig
from spatialclaw_ros.errors import BadGoal, ErrorCode, ImageError
from spatialclaw_ros.frames.compressed import read_header

MAX_REFERENCE_IMAGES = 16
MAX_REFERENCE_BYTES = 16 << 20
"""Of one encoded reference image; a 12-megapixel JPEG is about 5 MB."""

MAX_REFERENCE_PIXELS = 64_000_000
MAX_REFERENCE_SIDE = 20_000
LAST_STAMP = (1 << 63) - 1
MAX_CHOICES = 100
MAX_CHOICE = 500
MAX_SESSION_ID = 128


def check_goal(
    query: Query, limits: LoopConfig, cameras: Collection[str] | None = None, frames: Collection[str] | None = None
) -> None:
    """Raise BadGoal, with the code of the 1xx family that fits, for the first thing in `query` that cannot be served.

    Decodes nothing, so that a thread with other duties may call it; `check_pixels` does the rest.
    cameras: names of the cameras there are; frames: frame ids that answers may be given in. None = not checked.
    """
    _check_types(query)
    _check_question(query.question, limits.max_question)
    _check_choices(query)
    _check_limits(query, limits)
    _check_window(query.start_time, query.end_time)
    if cameras is not None:
        for camera in query.cameras:
            if camera not in cameras:
                raise BadGoal(ErrorCode.UNKNOWN_CAMERA, _unknown("camera", camera, cameras))
    if frames is not None and query.target_frame and query.target_frame not in frames:
        raise BadGoal(ErrorCode.UNKNOWN_FRAME, _unknown("target_frame", query.target_frame, frames))
    _check_reference_images(query.reference_images)


def check_pixels(number: int, data: bytes) -> None:
    """Decode reference image `number`, which passed `check_goal`: up to a second. Raises: BadGoal."""
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)
        problem = "cannot be decoded" if decoded is None else ""
    except cv2.error as error:
        problem = f"cannot be decoded ({error.err})"
    if problem:
        raise _bad_reference_image(number, problem)


def effective_type(query: Query) -> AnswerType:
    """The type that the answer is checked against: a goal that leaves it open but lists choices wants one of them."""
    answer_type = AnswerType(query.answer_type)
    return AnswerType.CHOICE if answer_type is AnswerType.ANY and query.choices else answer_type


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any, kind: type = Real) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_list_of(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, (tuple, list)) and all(isinstance(each, kinds) for each in value)


def _check_types(query: Query) -> None:
    """What the action's definition sees to for a ROS client, and nothing for a caller of the library."""
    checks = (
        ("question", _is_text(query.question), "a text", ErrorCode.EMPTY_QUESTION),
        ("choices", _is_list_of(query.choices, (str,)), "a list of texts", ErrorCode.CHOICES_MISSING),
        ("max_steps", _is_number(query.max_steps, Integral), "a whole number", ErrorCode.BAD_LIMIT),
        ("time_limit", _is_number(query.time_limit), "seconds as a number", ErrorCode.BAD_LIMIT),
        ("session_id", _is_text(query.session_id), "a text", ErrorCode.BAD_LIMIT),
        ("start_time", _is_number(query.start_time, Integral), "whole nanoseconds", ErrorCode.BAD_TIME_WINDOW),
        ("end_time", _is_number(query.end_time, Integral), "whole nanoseconds", ErrorCode.BAD_TIME_WINDOW),
        ("cameras", _is_list_of(query.cameras, (str,)), "a list of camera names", ErrorCode.UNKNOWN_CAMERA),
        ("target_frame", _is_text(query.target_frame), "a frame id", ErrorCode.UNKNOWN_FRAME),
        (
            "reference_images",
            _is_list_of(query.reference_images, (bytes,)),
            "a list of the bytes of picture files",
            ErrorCode.BAD_REFERENCE_IMAGE,
        ),
    )
    for name, fits, expected, code in checks:
        if not fits:
            value = getattr(query, name)
            raise BadGoal(code, f"{name} is {quoted(value)} ({type(value).__name__}); expected {expected}")


def _check_question(question: str, most: int) -> None:
    if not any(character.isalnum() for character in question):
        raise BadGoal(ErrorCode.EMPTY_QUESTION, f"question is {question[:40]!r}; expected a question in words")
    if len(question) > most:
        raise BadGoal(
            ErrorCode.QUESTION_TOO_LONG,
            f"question is {len(question)} characters long; at most {most} (loop.max_question)",
        )


def _check_choices(query: Query) -> None:
    try:
        answer_type = effective_type(query)
    except ValueError:
        known = ", ".join(f"{entry.value} {entry.name}" for entry in AnswerType)
        raise BadGoal(
            ErrorCode.BAD_ANSWER_TYPE, f"answer_type is {quoted(query.answer_type)}; expected one of {known}"
        ) from None
    if answer_type is not AnswerType.CHOICE:
        return
    distinct = {choice.strip().casefold() for choice in query.choices}
    if len(distinct) < 2 or "" in distinct or len(distinct) != len(query.choices):
        raise BadGoal(
            ErrorCode.CHOICES_MISSING,
            f"choices are {list(query.choices)!r:.200}; a choice needs two or more different texts",
        )
    if len(query.choices) > MAX_CHOICES or max(map(len, query.choices)) > MAX_CHOICE:
        raise BadGoal(
            ErrorCode.CHOICES_MISSING,
            f"there are {len(query.choices)} choices; at most {MAX_CHOICES} of {MAX_CHOICE} characters each are taken",
        )


def _check_limits(query: Query, limits: LoopConfig) -> None:
    if not 0 <= query.max_steps <= limits.max_steps_cap:
        raise BadGoal(
            ErrorCode.BAD_LIMIT,
            f"max_steps is {quoted(query.max_steps)}; expected 1 to {limits.max_steps_cap}, or 0 for the default",
        )
    if not 0 <= query.time_limit <= limits.time_limit_cap:
        raise BadGoal(
            ErrorCode.BAD_LIMIT,
            f"time_limit is {quoted(query.time_limit)} s; expected up to {limits.time_limit_cap:g}, "
            f"or 0 for the default",
        )
    if len(query.session_id) > MAX_SESSION_ID:
        raise BadGoal(
            ErrorCode.BAD_LIMIT,
            f"session_id is {len(query.session_id)} characters long; at most {MAX_SESSION_ID} are kept",
        )


def _check_window(start: int, end: int) -> None:
    if not 0 <= start <= LAST_STAMP or not 0 <= end <= LAST_STAMP or (end and start >= end):
        raise BadGoal(
            ErrorCode.BAD_TIME_WINDOW,
            f"the window is start_time {quoted(start)} to end_time {quoted(end)}, in ns; expected "
            f"times that are not negative, the start before the end, and 0 for an open side",
        )


def _check_reference_images(images: Collection[bytes]) -> None:
    if len(images) > MAX_REFERENCE_IMAGES:
        raise BadGoal(
            ErrorCode.BAD_REFERENCE_IMAGE,
            f"{len(images)} reference images came; at most {MAX_REFERENCE_IMAGES} are taken",
        )
    for number, data in enumerate(images):
        problem = _picture_problem(data)
        if problem:
            raise _bad_reference_image(number, problem)


def _bad_reference_image(number: int, problem: str) -> BadGoal:
    return BadGoal(
        ErrorCode.BAD_REFERENCE_IMAGE,
        f"reference image {number} {problem}; expected the bytes of a JPEG or PNG file up to "
        f"{MAX_REFERENCE_BYTES >> 20} MiB and {MAX_REFERENCE_PIXELS // 1_000_000} megapixels",
    )


def _picture_problem(data: bytes) -> str:
    if not data:
        return "is empty"
    if len(data) > MAX_REFERENCE_BYTES:
        return f"has {len(data)} bytes"
    try:
        header = read_header(memoryview(data))
    except ImageError as error:
        return f"cannot be read ({error})"
    sides = sorted((header.width, header.height))
    if sides[0] < 1 or sides[1] > MAX_REFERENCE_SIDE or header.width * header.height > MAX_REFERENCE_PIXELS:
        return f"claims {header.width}x{header.height} pixels"  # a file of some bytes can claim gigabytes
    return ""


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{what} {name[:80]!r} is not known; {hint}known: {', '.join(sorted(known)) or 'none yet'}"
