"""From what ReturnAnswer was given to an Answer that fits the goal, or the reason, for the model, why it does not."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from spatialclaw_ros.agent.places import is_finite, objects_of, point_of
from spatialclaw_ros.agent.quoted import quoted
from spatialclaw_ros.agent.records import Answer, AnswerType, EvidenceFrame
from spatialclaw_ros.agent.refusal import AnswerRefused
from spatialclaw_ros.agent.units import asked_unit, base_unit, conversion, is_measured_in, unit_name

_NUMBER = re.compile(
    r"\s*(?:about|approximately|~|≈)?\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*([^\d\s].*)?", re.IGNORECASE
)
_OPTION = re.compile(r"^\(?[a-z0-9]{1,2}[).:]\s+", re.IGNORECASE)
_TRUE = {"yes", "true"}
_FALSE = {"no", "false"}
MAX_TEXT = 4000
MAX_NUMBER_TEXT = 200


class ReferenceFrames(Protocol):
    """Where named frames are: what answers with a place are checked against and moved with."""

    world_frame: str

    def names(self) -> Sequence[str]: ...

    def transform(self, source: str, target: str, stamp: int) -> Any:
        """(4, 4) float64 source-to-target at `stamp` ns (0 = the latest). Raises: TransformError."""
        ...


@dataclass(frozen=True)
class AnswerContext:
    """What an answer is checked against.

    target_frame: the frame that places are returned in. evidence: the session's frames by index.
    """

    question: str
    type: AnswerType
    choices: tuple[str, ...]
    target_frame: str
    frames: ReferenceFrames
    evidence: Mapping[int, EvidenceFrame]


def validate_answer(raw: Mapping[str, Any], context: AnswerContext) -> Answer:
    """Check what a cell submitted, convert its number to the unit asked for and its places to the target frame.

    raw: value, unit, point, frame, objects, stddev, confidence, evidence, as ReturnAnswer was given them.
    Raises: AnswerRefused with one sentence for the model.
    """
    evidence = _evidence(raw.get("evidence"), context)
    answer = _typed(raw, context, max((entry.stamp for entry in evidence), default=0))
    return replace(answer, confidence=_confidence(raw.get("confidence")), evidence=evidence)


def _typed(raw: Mapping[str, Any], context: AnswerContext, stamp: int) -> Answer:
    value, wanted = raw.get("value"), context.type
    if wanted is AnswerType.ANY:
        wanted = _inferred(raw)
    point, frame = point_of(raw, wanted, context, stamp)
    objects = objects_of(raw, wanted, context, stamp)
    place: dict[str, Any] = {
        "point": point,
        "objects": objects,
        "frame": frame or (context.target_frame if objects else ""),
    }
    if wanted is AnswerType.NUMBER:
        number, stddev, unit = _number(value, raw, context)
        return Answer(
            f"{_in_words(number)} {unit}".strip(), wanted, number=number, number_stddev=stddev, unit=unit, **place
        )
    if wanted is AnswerType.CHOICE:
        index = _choice(value, context.choices)
        return Answer(context.choices[index], wanted, choice_index=index, **place)
    if wanted is AnswerType.BOOLEAN:
        boolean = _boolean(value)
        return Answer("yes" if boolean else "no", wanted, boolean=boolean, **place)
    if wanted is AnswerType.POINT and point is not None:
        text = f"({point[0]:.3f}, {point[1]:.3f}, {point[2]:.3f}) m in {frame}"
        return Answer(_text_or(value, text), wanted, **place)
    if wanted is AnswerType.OBJECTS:
        names = ", ".join(entry.label for entry in objects) or "none"
        return Answer(_text_or(value, f"{len(objects)} objects: {names}"), wanted, **place)
    return Answer(_text(value), AnswerType.TEXT, **place)


def _inferred(raw: Mapping[str, Any]) -> AnswerType:
    value = raw.get("value")
    if isinstance(value, bool):
        return AnswerType.BOOLEAN
    if isinstance(value, (int, float)):
        return AnswerType.NUMBER
    if isinstance(value, str) and value.strip():
        return AnswerType.TEXT
    if raw.get("objects"):
        return AnswerType.OBJECTS
    return AnswerType.POINT if raw.get("point") is not None else AnswerType.TEXT


def _number(value: Any, raw: Mapping[str, Any], context: AnswerContext) -> tuple[float, float, str]:
    """(number, standard deviation or -1, unit), in the unit that the question names, if any."""
    said = _as_text(raw.get("unit") or "").strip()
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value) if len(value) <= MAX_NUMBER_TEXT else None
        if not match:
            raise AnswerRefused(
                f"ReturnAnswer got the text {value[:80]!r}; this question wants a number: ReturnAnswer(0.42, unit='m')."
            )
        value, said = float(match[1]), said or (match[2] or "").strip()
    if not is_finite(value):
        raise AnswerRefused(f"ReturnAnswer got {quoted(value)}; this question wants one finite number.")
    stddev = raw.get("stddev")
    if stddev is not None and (isinstance(stddev, bool) or not isinstance(stddev, (int, float)) or not stddev >= 0):
        raise AnswerRefused(
            f"stddev is {quoted(stddev)}; expected a number of 0 or more in the answer's unit, or nothing."
        )
    factor, unit = _unit(said, asked_unit(context.question))
    number = float(value) * factor
    if not math.isfinite(number):
        raise AnswerRefused(f"ReturnAnswer got {value:g} {said[:40]}, which is too large for a number in {unit}.")
    spread = float(stddev) * factor if is_finite(stddev) else -1.0
    return number, spread if math.isfinite(spread) else -1.0, unit


def _in_words(number: float) -> str:
    """Four digits that count, none of them in an exponent unless the number is tiny."""
    return f"{number:.0f}" if abs(number) >= 1000 or number == round(number) else f"{number:.4g}"


def _unit(said: str, asked: str) -> tuple[float, str]:
    """(factor, unit): what the number is multiplied by, and the unit that it is in then."""
    if not said:
        if asked and not is_measured_in(asked):
            raise AnswerRefused(
                f"The question asks for {asked}, and the answer names no unit; pass the unit that the number is in, "
                f"such as unit={asked!r} or unit={base_unit(asked)!r}."
            )
        return 1.0, asked
    known = unit_name(said)
    if not asked:
        return 1.0, known or said[:32]
    factor = conversion(known, asked) if known else None
    if factor is None:
        raise AnswerRefused(
            f"The answer's unit is {said[:40]!r}, but the question asks for {asked}; convert it, or correct unit=."
        )
    return factor, asked


def _choice(value: Any, choices: tuple[str, ...]) -> int:
    """Index of the choice: by its text first, case and punctuation aside, else by its number counted from 0."""
    if isinstance(value, bool):
        value = "yes" if value else "no"
    said = _plain(_as_text(value))
    plain = [_plain(choice) for choice in choices]
    for candidates in (plain, [_plain(_OPTION.sub("", choice)) for choice in choices]):
        if candidates.count(said) == 1:
            return candidates.index(said)
    stripped = _plain(_OPTION.sub("", _as_text(value)))
    if plain.count(stripped) == 1:
        return plain.index(stripped)
    if isinstance(value, int) and 0 <= value < len(choices):
        return value
    raise AnswerRefused(
        f"{quoted(value)} is none of the choices; answer with one of {list(choices)!r:.600}, or its index from 0."
    )


def _plain(text: str) -> str:
    words = re.sub(r"[^\w%°+./-]+", " ", text.casefold()).strip(" .")
    return re.sub(r"^(the|a|an) ", "", words)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    said = _plain(value) if isinstance(value, str) else ""
    if said in _TRUE | _FALSE:
        return said in _TRUE
    raise AnswerRefused(f"ReturnAnswer got {quoted(value)}; this question wants True or False.")


def _text(value: Any) -> str:
    text = "" if value is None else _as_text(value).strip()
    if not text:
        raise AnswerRefused("ReturnAnswer got no value; pass the answer, such as ReturnAnswer('on the table').")
    return text[:MAX_TEXT]


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except ValueError as error:  # an integer of thousands of digits
        raise AnswerRefused(f"ReturnAnswer got {quoted(value)}; give the answer in words or as a number.") from error


def _text_or(value: Any, otherwise: str) -> str:
    return value.strip()[:MAX_TEXT] if isinstance(value, str) and value.strip() else otherwise


def _confidence(value: Any) -> float:
    if value is None:
        return -1.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise AnswerRefused(f"confidence is {quoted(value)}; expected a number from 0 to 1, or nothing.")
    return float(value)


def _evidence(value: Any, context: AnswerContext) -> tuple[EvidenceFrame, ...]:
    """The named frames. What names none is left out, as ReturnAnswer does with a note: the answer may be right."""
    listed = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    indices = [entry for entry in listed if isinstance(entry, int) and not isinstance(entry, bool)]
    return tuple(context.evidence[index] for index in dict.fromkeys(indices) if index in context.evidence)
