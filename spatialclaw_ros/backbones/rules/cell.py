"""Cell: one step as a reply, its code rendered from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2

from spatialclaw_ros.backbones.rules.moments import Moment


@dataclass(frozen=True)
class Cell:
    """What a reply says before its code, and the code."""

    purpose: str
    reasoning: str
    next_goal: str
    code: str

    def reply(self) -> str:
        """The reply in the form that the prompts ask for."""
        said = f"Purpose: {self.purpose}\nReasoning: {self.reasoning}\nNext goal: {self.next_goal}"
        return f"{said}\n```python\n{self.code}\n```"


def code(file: str, /, **values: Any) -> str:
    """The code of one cell file with its values."""
    return _environment().get_template(f"{file}.j2").render(**values).strip()


def frame_expression(moment: Moment | None, camera: str = "") -> str:
    """Python for the frame of a moment; the last one where none is named. camera: of several, the one that is meant."""
    images = f"InputImages[[image.camera == {camera!r} for image in InputImages]]" if camera else "InputImages"
    if moment is None:
        return f"{images}[-1]"
    if moment.kind == "frame":
        return f"{images}[{int(moment.value)}]"
    if moment.kind == "share":
        return f"{images}[round({moment.value} * (len({images}) - 1))]"
    return f"{images}.nearest({images}[0].stamp + {moment.value:g})"


def moment_words(moment: Moment | None) -> str:
    """The moment for a comment or a purpose line."""
    if moment is None:
        return "the last frame"
    if moment.kind == "frame":
        return {0: "the first frame", -1: "the last frame"}.get(int(moment.value), f"frame {int(moment.value)}")
    return "the middle of the recording" if moment.kind == "share" else f"{moment.value:g} s after the start"


def english(names: Sequence[str]) -> str:
    """'the red mug, the blue box and the green door'."""
    listed = [f"the {name}" for name in names]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spatialclaw_ros.backbones.rules", "cells"),
        autoescape=False,  # the output is Python; every value from a question is a word of letters or a number
        undefined=jinja2.StrictUndefined,
        lstrip_blocks=True,
        trim_blocks=True,
    )
    environment.filters["english"] = english
    environment.filters["repr"] = repr
    return environment
