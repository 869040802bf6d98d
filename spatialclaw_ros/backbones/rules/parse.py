"""From a question in words to a Question: which family it belongs to, and which thing plays which role."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from spatialclaw_ros.backbones.rules.cell import english
from spatialclaw_ros.backbones.rules.moments import find_moment
from spatialclaw_ros.backbones.rules.parse_relations import (
    parse_depth_order,
    parse_egocentric,
    parse_nearer,
    parse_side,
)
from spatialclaw_ros.backbones.rules.phrases import find_things, find_unit, tokenise, without_unit
from spatialclaw_ros.backbones.rules.question import Question, not_understood
from spatialclaw_ros.backbones.rules.reading import Reading
from spatialclaw_ros.backbones.rules.words import COLOURS, singular

MAX_LENGTH = 2000
"""Characters; a longer text is no question of these families."""

_MOTION = re.compile(
    r"\b(?:travel\w*|path|trajectory|track|route|move[ds]?|moving|cover\w*|go(?:es)?|went|drive|drove|driven|walk\w*|"
    r"displace\w*|journey|way|odometry)\b"
)
_BEGIN = r"(?:first|start|starting|started|initial|began|begins)"
_FINISH = r"(?:last|end|ends|ended|final|finish\w*|stopped)"
_DISPLACEMENT = re.compile(
    rf"\bdisplace\w*|straight|crow|\bnet\b|\b{_BEGIN}\b.*\b{_FINISH}\b|\b{_FINISH}\b.*\b{_BEGIN}\b"
)
_SURFACE = re.compile(
    r"\b(?:near|clos|short|small)(?:est)\s+(?:\w+\s+)?(?:surface|point|edge|side|part|distance|gap|spot|approach)s?\b|"
    r"\b(?:gap|clearance)\b|\bsurface|\bedge[- ]to[- ]edge\b|\bminim(?:um|al)\s+(?:distance|gap|separation)|"
    r"\bfree space\b"
)
_CENTRE = re.compile(r"\b(?:cent(?:re|er)s?|middles?|midpoints?|centroids?)\b")
_FAR = re.compile(
    r"\b(?:far|distance|apart|separat\w*|gap|clearance|close|space|spacing|near|away|depth|range|nearest|closest)\b"
)
_COUNT = re.compile(r"\bhow many\b|\bnumber of\b|\bcount\b|\bhow much\b")
_COMPARATIVE = re.compile(r"\b(?:nearer|nearest|closer|closest|farther|farthest|further|furthest|near to|close to)\b")
_STANCE = re.compile(
    r"\b(?:facing|face|faces|look(?:s|ing)?\s+(?:at|to|toward|towards|in)|turned\s+to(?:wards?)?|heading\s+to\w*|"
    r"oriented|standing|stand)\b"
)
_COUNTED = re.compile(
    r"\b(?:how many|number of|count)(?: of)?(?: the| all| different| separate| distinct)*(?P<name>(?: [a-z-]+){1,3}?)"
    r"(?= (?:are|is|can|do|does|did|have|in|on|at|were|that|you)\b| [?.,]|$)"
)
_FLOOR = re.compile(r"\b(?:floor|ground)\b")
_DIMENSIONS = (
    ("height", re.compile(r"\b(?:tall|taller|high|height|vertical)\b")),
    (
        "length",
        re.compile(r"\b(?:long|longest|length|largest|greatest|widest|horizontal|diameter|across|big|large|size)\b"),
    ),
    ("width", re.compile(r"\b(?:wide|width|breadth|broad|deep|depth|thick|thickness)\b")),
)


def parse_question(text: str, choices: Sequence[str] = ()) -> Question:
    """The question's family, roles, moment and unit. Raises: QuestionNotUnderstood that lists what can be asked."""
    if not text.strip():
        raise not_understood(text, "it is empty")
    if len(text) > MAX_LENGTH:
        raise not_understood(text, f"it has {len(text)} characters, and at most {MAX_LENGTH} are read")
    unit = find_unit(text)
    plain = " ".join(without_unit(text).split())
    camera_path = _camera_path(plain, unit)
    if camera_path is not None:
        return camera_path
    moment, rest = find_moment(plain)
    tokens = tokenise(rest)
    things = find_things(tokens)
    reading = Reading(text, " ".join(tokens), tuple(tokens), tuple(things), moment, unit, tuple(choices))
    for matches, parse in _FAMILIES:
        if matches(reading):
            return parse(reading)
    raise not_understood(text, _why(reading))


def check_colours(question: Question, text: str) -> None:
    """Raises: QuestionNotUnderstood where a thing is named without a colour, by which alone it can be found."""
    without = [name for name in question.names if name and not COLOURS.intersection(name.split())]
    if without:
        raise not_understood(text, f"it names no colour for {english(without)}, and things are found by their colour")


def _camera_path(plain: str, unit: str) -> Question | None:
    tokens = tokenise(plain)
    things = find_things(tokens)
    moves = _MOTION.search(plain) or _DISPLACEMENT.search(plain)
    about_camera = any(thing.kind == "camera" for thing in things) or re.search(r"\b(?:you|we|i)\b", plain)
    if not moves or not about_camera or any(thing.is_coloured for thing in things):
        return None
    if re.search(r"\bhow (?:many|often|fast)\b", plain):
        return None
    measure = "displacement" if _DISPLACEMENT.search(plain) else "path"
    return Question("camera_path", measure=measure, unit=unit)


def _parse_count(reading: Reading) -> Question:
    names = reading.objects
    if not names:  # "how many green chairs": no determiner, and perhaps no colour either
        match = _COUNTED.search(reading.plain)
        if match is None:
            raise not_understood(reading.text, "it does not say what to count")
        return Question("count", (singular(match["name"].strip()),), unit="")
    return Question("count", (singular(names[0].name),), moment=reading.moment, unit="")


def _parse_height(reading: Reading) -> Question:
    thing = reading.need_objects(1, "one thing whose height above the floor is asked")[0]
    measure = "centre"
    if re.search(r"\b(?:top|highest|upper|tip|rim|reach\w*)\b", reading.plain):
        measure = "top"
    elif re.search(r"\b(?:bottom|underside|lowest|lower|base)\b", reading.plain):
        measure = "bottom"
    return Question("height", (thing.name,), measure, reading.moment, reading.unit)


def _parse_size(reading: Reading) -> Question:
    thing = reading.need_objects(1, "one thing whose size is asked")[0]
    longest = re.search(r"\b(?:longest|widest|largest|greatest|longer)\b", reading.plain)
    measures = [name for name, pattern in _DIMENSIONS if pattern.search(reading.plain)]
    measure = "length" if longest and "height" not in measures else measures[0]
    if re.search(r"\bhorizontal", reading.plain):
        measure = "length"
    return Question("size", (thing.name,), measure, reading.moment, reading.unit)


def _parse_camera_distance(reading: Reading) -> Question:
    thing = reading.need_objects(1, "one thing and the camera")[0]
    measure = "surface" if _SURFACE.search(reading.plain) and not _CENTRE.search(reading.plain) else "centre"
    return Question("camera_distance", (thing.name,), measure, reading.moment, reading.unit)


def _parse_distance(reading: Reading) -> Question:
    first, second = reading.need_objects(2, "two things whose distance is asked")[:2]
    measure = "surface" if _SURFACE.search(reading.plain) and not _CENTRE.search(reading.plain) else "centre"
    return Question("distance", (first.name, second.name), measure, reading.moment, reading.unit)


def _is_count(reading: Reading) -> bool:
    return bool(_COUNT.search(reading.plain)) and not re.search(r"\bhow far\b", reading.plain)


def _is_egocentric(reading: Reading) -> bool:
    return len(reading.objects) >= 3 and bool(_STANCE.search(reading.plain)) and bool(reading.side_words)


def _is_nearer(reading: Reading) -> bool:
    choice = (
        " or " in reading.plain
        or bool(re.search(r"\b(?:which|what|whether)\b", reading.plain))
        or "than" in reading.tokens
    )
    compared = len(reading.objects) + bool(reading.cameras)
    return choice and bool(_COMPARATIVE.search(reading.plain)) and compared >= 3 and not _is_view_order(reading)


def _is_view_order(reading: Reading) -> bool:
    return bool(re.search(r"\b(?:in front|front of|behind)\b", reading.plain))


def _is_side(reading: Reading) -> bool:
    return len(reading.objects) >= 2 and bool(re.search(r"\b(?:left|right|leftmost|rightmost)\b", reading.plain))


def _is_height(reading: Reading) -> bool:
    said = re.search(r"\b(?:high|height|far|distance|above|elevation)\b", reading.plain)
    return len(reading.objects) == 1 and bool(_FLOOR.search(reading.plain)) and bool(said)


def _is_camera_distance(reading: Reading) -> bool:
    if len(reading.objects) != 1 or not _FAR.search(reading.plain):
        return False
    return bool(reading.cameras) or bool(re.search(r"\bhow far (?:away|off)\b", reading.plain))


def _is_distance(reading: Reading) -> bool:
    return len(reading.objects) == 2 and bool(_FAR.search(reading.plain)) and not reading.asks_which


def _is_size(reading: Reading) -> bool:
    return len(reading.objects) == 1 and any(pattern.search(reading.plain) for _, pattern in _DIMENSIONS)


_FAMILIES: tuple[tuple[Callable[[Reading], bool], Callable[[Reading], Question]], ...] = (
    (_is_count, _parse_count),
    (_is_egocentric, parse_egocentric),
    (_is_nearer, parse_nearer),
    (lambda reading: len(reading.objects) >= 2 and _is_view_order(reading), parse_depth_order),
    (_is_side, parse_side),
    (_is_height, _parse_height),
    (_is_camera_distance, _parse_camera_distance),
    (_is_distance, _parse_distance),
    (_is_size, _parse_size),
)
"""Tests in order, the most specific first, each with what reads the roles."""


def _why(reading: Reading) -> str:
    if not reading.objects:
        return "no thing with a name was found in it"
    found = ", ".join(repr(thing.name) for thing in reading.objects)
    return f"the things {found} were found in it, but none of the kinds of questions fits"
