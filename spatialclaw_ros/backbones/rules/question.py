"""Question: what was asked, in the form that the cells are written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spatialclaw_ros.backbones.rules.moments import Moment
from spatialclaw_ros.errors import QuestionNotUnderstood

Family = Literal[
    "distance", "camera_distance", "side", "depth_order", "egocentric",
    "count", "nearer", "size", "camera_path", "height",
]  # fmt: skip

EXAMPLES = {
    "distance": "How far is the red mug from the blue box, between their centres, in metres?",
    "camera_distance": "How far from the camera is the red mug in frame 12?",
    "side": "Seen from the camera in frame 12, is the red mug left or right of the blue box?",
    "depth_order": "In frame 12, is the red mug in front of or behind the blue box?",
    "egocentric": "Standing at the red mug and facing the blue box, is the green door to the left or to the right?",
    "count": "How many green chairs are there?",
    "nearer": "Which is nearer to the red mug, the blue box or the green door?",
    "size": "How tall (wide, long) is the green door?",
    "camera_path": "How long is the path that the camera travelled? (or: its straight-line displacement)",
    "height": "How high above the floor is the top (or the centre) of the red mug?",
}


@dataclass(frozen=True)
class Question:
    """A parsed question.

    names: things in the order of their roles: distance (a, b); camera_distance, count, size, height (a); side and
    depth_order (a, b): where is a, seen against b; egocentric (stand, face, target); nearer (anchor, candidate, ...),
    where an empty anchor is the camera.
    measure: distance 'centre' or 'surface'; size 'height', 'length', 'width'; height 'top', 'centre', 'bottom';
    camera_path 'path' or 'displacement'; nearer 'nearer' or 'farther'; empty otherwise.
    options: the words among which to choose ('left', 'right', 'front', 'behind'). asserted: for a yes/no question the
    word that it asks to confirm, else "". as_thing: the answer is the name of a thing ("which is farther left?").
    """

    family: Family
    names: tuple[str, ...] = ()
    measure: str = ""
    moment: Moment | None = None
    unit: str = "m"
    options: tuple[str, ...] = ()
    asserted: str = ""
    as_thing: bool = False


def not_understood(text: str, why: str) -> QuestionNotUnderstood:
    """The error for a question that no family fits; it lists what can be asked."""
    shown = text if len(text) <= 200 else text[:200] + "..."
    kinds = "\n".join(f"  {family}: {example}" for family, example in EXAMPLES.items())
    return QuestionNotUnderstood(
        f"the rules backbone cannot parse the question {shown!r}: {why}. It understands these kinds:\n"
        f"{kinds}\nName things by colour and noun, or configure backbone.name openai for free questions."
    )
