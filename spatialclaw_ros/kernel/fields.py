"""Types of a message's fields, each with its bounds: whether a value has the agreed form, whatever it may mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

SHOWN_NAME = 40


class FieldError(ValueError):
    """A field is missing, unknown, of another type or beyond its bounds; the message names it and what is expected."""


class Field(Protocol):
    """One type of value. name: where the value stands in its message, such as 'prompt.box[2]'."""

    def check(self, value: Any, name: str) -> None:
        """Raises: FieldError."""


@dataclass(frozen=True)
class Text:
    """least to most characters."""

    least: int
    most: int

    def check(self, value: Any, name: str) -> None:
        if not isinstance(value, str) or not self.least <= len(value) <= self.most:
            raise FieldError(f"{name} is {kind(value)}; expected {self.least} to {self.most} characters of text")


@dataclass(frozen=True)
class Binary:
    """least to most bytes."""

    least: int
    most: int

    def check(self, value: Any, name: str) -> None:
        if not isinstance(value, bytes) or not self.least <= len(value) <= self.most:
            raise FieldError(f"{name} is {kind(value)}; expected {self.least} to {self.most} bytes")


@dataclass(frozen=True)
class Whole:
    """An integer from low to high; True and False are none."""

    low: int
    high: int

    def check(self, value: Any, name: str) -> None:
        if type(value) is not int or not self.low <= value <= self.high:
            raise FieldError(f"{name} is {value!r:.40}; expected a whole number from {self.low} to {self.high}")


@dataclass(frozen=True)
class Number:
    """A finite integer or float from low to high."""

    low: float
    high: float

    def check(self, value: Any, name: str) -> None:
        if type(value) not in (int, float) or not math.isfinite(value) or not self.low <= value <= self.high:
            raise FieldError(f"{name} is {value!r:.40}; expected a finite number from {self.low:g} to {self.high:g}")


@dataclass(frozen=True)
class Exactly:
    """One text and no other."""

    text: str

    def check(self, value: Any, name: str) -> None:
        if value != self.text:
            raise FieldError(f"{name} is {value!r:.40}; expected {self.text!r}")


@dataclass(frozen=True)
class ListOf:
    """least to most values of one type."""

    item: Field
    least: int
    most: int

    def check(self, value: Any, name: str) -> None:
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            raise FieldError(f"{name} is {kind(value)}; expected a list of {self.least} to {self.most}")
        for position, each in enumerate(value):
            self.item.check(each, f"{name}[{position}]")


@dataclass(frozen=True)
class Map:
    """Named fields: all of `fields`, any of `optional`, and no other."""

    fields: Mapping[str, Field]
    optional: Mapping[str, Field] = field(default_factory=dict)

    def check(self, value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise FieldError(f"{name} is {kind(value)}; expected a map with {', '.join(self.fields)}")
        known = {**self.fields, **self.optional}
        unknown = [f"{key!r:.{SHOWN_NAME}}" for key in value if key not in known]
        if unknown:
            raise FieldError(f"{name} has the unknown field {unknown[0]}; known: {', '.join(known)}")
        missing = [key for key in self.fields if key not in value]
        if missing:
            raise FieldError(f"{name} lacks the field {missing[0]!r}; expected {', '.join(self.fields)}")
        for key, each in value.items():
            known[key].check(each, f"{name}.{key}")


@dataclass(frozen=True)
class Either:
    """One of several maps, told apart by their first field."""

    options: tuple[Map, ...]

    def check(self, value: Any, name: str) -> None:
        firsts = {next(iter(option.fields)): option for option in self.options}
        chosen = [first for first in firsts if isinstance(value, dict) and first in value]
        if len(chosen) != 1:
            got = f"a map with {' and '.join(chosen)}" if chosen else kind(value)
            raise FieldError(f"{name} is {got}; expected a map with exactly one of {', '.join(firsts)}")
        firsts[chosen[0]].check(value, name)


def kind(value: Any) -> str:
    """A value's type and length in words; its content may be long, or hostile."""
    length = f" of length {len(value)}" if isinstance(value, (str, bytes, list, dict)) else ""
    return f"a {type(value).__name__}{length}"
