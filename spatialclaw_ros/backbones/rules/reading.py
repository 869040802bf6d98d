"""Reading: a question taken apart into tokens and things, which the parsers of the families share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from spatialclaw_ros.backbones.rules.moments import Moment
from spatialclaw_ros.backbones.rules.phrases import Thing
from spatialclaw_ros.backbones.rules.question import not_understood

_PLACE = re.compile(r"\b(?:on|in|inside|under|within)$")


@dataclass(frozen=True)
class Reading:
    """text: as asked; plain: its tokens joined by blanks, without unit and moment; things: phrases that name one."""

    text: str
    plain: str
    tokens: tuple[str, ...]
    things: tuple[Thing, ...]
    moment: Moment | None
    unit: str
    choices: tuple[str, ...] = ()

    @cached_property
    def objects(self) -> tuple[Thing, ...]:
        """The objects. Where others have a colour, one without that tells a place ("the mug on the table") is none.

        A name that comes twice counts once, at its first place.
        """
        found = [thing for thing in self.things if thing.kind == "object"]
        if any(thing.is_coloured for thing in found):
            found = [thing for thing in found if thing.is_coloured or not _PLACE.search(self.before(thing))]
        return tuple({thing.name: thing for thing in reversed(found)}.values())[::-1]

    @cached_property
    def cameras(self) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.things if thing.kind == "camera")

    @cached_property
    def side_words(self) -> tuple[str, ...]:
        """The directions that the question or its choices mention, of left, right, front, behind."""
        said = f"{self.plain} {' '.join(self.choices).lower()}"
        words = (
            ("left", r"\bleft"),
            ("right", r"\bright"),
            ("front", r"\b(?:front|ahead)\b"),
            ("behind", r"\b(?:behind|back)\b"),
        )
        return tuple(word for word, pattern in words if re.search(pattern, said))

    @cached_property
    def asks_which(self) -> bool:
        """The question wants a thing or a word chosen, not a number."""
        return bool(re.search(r"\b(?:which|whether)\b| or ", self.plain))

    def need_objects(self, count: int, what: str) -> tuple[Thing, ...]:
        """The objects. Raises: QuestionNotUnderstood when there are fewer than `count`."""
        if len(self.objects) < count:
            found = ", ".join(repr(thing.name) for thing in self.objects) or "none"
            raise not_understood(self.text, f"it needs {what}; the things found in it: {found}")
        return self.objects

    def before(self, thing: Thing, words: int = 3) -> str:
        """The few tokens in front of a thing, joined."""
        return " ".join(self.tokens[max(0, thing.start - words) : thing.start])

    def between(self, first: Thing, second: Thing) -> tuple[str, ...]:
        """The tokens between two things, the earlier first."""
        return self.tokens[first.end : second.start]
