"""Finding the pieces of a question: the unit, and the phrases that name things."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from spatialclaw_ros.backbones.rules.words import (
    COLOURS,
    DETERMINERS,
    FUNCTION_WORDS,
    GROUNDS,
    NOT_THINGS,
    NUMBERS,
    PRONOUNS,
    RECORDERS,
    SHADES,
    UNITS,
)

MAX_NAME_WORDS = 4

_TOKEN = re.compile(r"[a-z]+(?:[-'][a-z]+)*|\d+(?:\.\d+)?|[,;:.?!()/]")
_UNIT_WORDS = "|".join(sorted((re.escape(word) for word in UNITS), key=len, reverse=True))
_UNIT = re.compile(
    rf"\bhow many (?P<many>{_UNIT_WORDS})s?\b|\b(?:in|as|to the nearest|number of|unit:?)\s+(?:whole\s+|a\s+)?"
    rf"(?P<asked>{_UNIT_WORDS})s?\b|[(\[]\s*(?:in\s+)?(?P<bracket>{_UNIT_WORDS})s?\s*[)\]]"
)


@dataclass(frozen=True)
class Thing:
    """A phrase that names something. kind: an object, the camera, or the floor; tokens: its span in the token list."""

    name: str
    kind: Literal["object", "camera", "floor"]
    start: int
    end: int

    @property
    def is_coloured(self) -> bool:
        return any(word in COLOURS for word in self.name.split())


def tokenise(text: str) -> list[str]:
    """Lower-case words, numbers and punctuation; possessive endings are dropped ("the mug's top" → the mug top)."""
    plain = text.lower().replace("’", "'").replace("what's", "what is").replace("where's", "where is")
    return _TOKEN.findall(re.sub(r"'s\b|(?<=s)'(?=\s)", "", plain))


def find_unit(text: str) -> str:
    """The unit asked for ('m', 'cm', 'mm', 'ft', 'in'), metres where none is named."""
    match = _UNIT.search(text.lower())
    return UNITS[match["many"] or match["asked"] or match["bracket"]][0] if match else "m"


def without_unit(text: str) -> str:
    """The question without the words that name the unit."""
    return _UNIT.sub(lambda match: "how far" if match["many"] else " ", text.lower())


def find_things(tokens: list[str]) -> list[Thing]:
    """Every phrase that names something, in order.

    A name is an optional determiner and then words that are neither function words nor punctuation; it needs the
    determiner or a colour. "The camera" and "the floor" are things of their own kind.
    """
    things: list[Thing] = []
    index = 0
    while index < len(tokens):
        thing = _thing_at(tokens, index)
        if thing is None:
            index += 1
        else:
            things.append(thing)
            index = thing.end
    return things


def _thing_at(tokens: list[str], start: int) -> Thing | None:
    begin = start
    determined = tokens[begin] in DETERMINERS or tokens[begin] in NUMBERS
    while begin < len(tokens) and (tokens[begin] in DETERMINERS or tokens[begin] in NUMBERS):
        begin += 1
    if begin >= len(tokens):
        return None
    while begin + 1 < len(tokens) and tokens[begin] in FUNCTION_WORDS and determined and tokens[begin + 1] in COLOURS:
        begin += 1  # "the tall red lamp": a size in front of a colour is no part of the name
    end = begin
    while end < len(tokens) and end - begin < MAX_NAME_WORDS and _names(tokens, end, begin):
        end += 1
    words = tokens[begin:end]
    if not words and tokens[begin] in PRONOUNS and begin and tokens[begin - 1] in ("from", "to", "and", "than"):
        return Thing(tokens[begin], "camera", start, begin + 1)  # "from me", but not "tell me"
    if not words or all(word in SHADES for word in words):
        return None
    coloured = any(word in COLOURS for word in words)
    if not coloured and words[-1] in RECORDERS:
        return Thing(words[-1], "camera", start, end)
    if not coloured and words[-1] in GROUNDS:
        return Thing(words[-1], "floor", start, end)
    if words[-1] in NOT_THINGS or not (determined or coloured):
        return None
    return Thing(" ".join(words), "object", start, end)


def _names(tokens: list[str], index: int, begin: int) -> bool:
    """Whether the word may be part of a name that begins at `begin`."""
    word = tokens[index]
    if not word[0].isalpha():
        return False
    if word in COLOURS:
        # A colour can only open a name or follow a shade or another colour: "red mug blue box" is two names.
        return index == begin or tokens[index - 1] in SHADES or tokens[index - 1] in COLOURS or index == begin + 1
    if word in SHADES and index + 1 < len(tokens) and tokens[index + 1] in COLOURS:
        return index == begin
    if all(part in FUNCTION_WORDS or part in DETERMINERS or part in NUMBERS for part in word.split("-")):
        return False
    is_participle = len(word) > 5 and word.endswith(("ing", "ed")) and index > begin + 1
    return not is_participle
