"""The broker's protocol: its version and, for each method, the fields of a request and of its result with their bounds.

Both sides read this one table: the node checks a request before anything looks at it, the kernel what comes back. What
a value means (a frame that exists, a box with x1 < x2) is the business of whoever answers the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spatialclaw_ros.kernel.fields import Binary, Either, Exactly, Field, FieldError, ListOf, Map, Number, Text, Whole

VERSION = 1
MAX_REPLY_BYTES = 32 << 20
MAX_SIDE = 8192
"""Of a picture that a cell made, pixels."""
MAX_IMAGES = 16
"""Of one question to the model."""
MAX_PROMPT = 500
MAX_QUESTION = 4000
MAX_POINTS = 256
MAX_MASKS = 1000
MAX_TEXT = 8 << 20
"""Characters that a model may have said."""

_PIXEL = Number(-1e6, 1e6)
_FRAME = Map({"frame": Whole(0, 1 << 53)})
_PICTURE = Map(
    {
        "shape": ListOf(Whole(1, MAX_SIDE), 3, 3),
        "data": Binary(3, 3 * MAX_SIDE * MAX_SIDE),
    }
)
_IMAGE = Either((_FRAME, _PICTURE))
_PROMPT = Either(
    (
        Map({"text": Text(1, MAX_PROMPT)}),
        Map({"box": ListOf(_PIXEL, 4, 4)}),
        Map(
            {"points": ListOf(ListOf(_PIXEL, 2, 2), 1, MAX_POINTS)},
            optional={"labels": ListOf(Whole(0, 1), 1, MAX_POINTS)},
        ),
    )
)
_MASKS = Map({"file": Text(1, 4096), "dtype": Exactly("|u1"), "shape": ListOf(Whole(0, 1 << 31), 3, 3)})
_QUESTION = Map({"images": ListOf(_IMAGE, 1, MAX_IMAGES), "question": Text(1, MAX_QUESTION)})


@dataclass(frozen=True)
class Method:
    """What a request of one method carries, and its result."""

    request: Field
    result: Field


METHODS: Mapping[str, Method] = {
    "segment": Method(
        request=Map({"image": _IMAGE, "prompt": _PROMPT}, optional={"threshold": Number(0.0, 1.0)}),
        result=Map(
            {
                "masks": _MASKS,
                "scores": ListOf(Number(0.0, 1.0), 0, MAX_MASKS),
                "backend": Text(1, 100),
                "notes": ListOf(Text(0, 2000), 0, 50),
            }
        ),
    ),
    "locate": Method(request=_QUESTION, result=Map({"text": Text(0, MAX_TEXT)})),
    "ask": Method(request=_QUESTION, result=Map({"text": Text(0, MAX_TEXT), "reasoning": Text(0, MAX_TEXT)})),
}


def check_request(method: str, params: Any) -> None:
    """Raises: FieldError naming the method or the field."""
    _known(method).request.check(params, method)


def check_result(method: str, result: Any) -> None:
    """Raises: FieldError naming the field."""
    _known(method).result.check(result, f"{method}'s result")


def _known(method: str) -> Method:
    if method not in METHODS:
        raise FieldError(f"unknown method {method!r:.40}; known: {', '.join(METHODS)}")
    return METHODS[method]
