"""The wordings in which generated rooms ask: several for every meaning, so that nobody is tuned to one sentence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

WORDINGS: dict[str, tuple[str, ...]] = {
    "distance_centre": (
        "How far apart are the {a} and the {b}, measured between their centres, in {unit}?",
        "What is the distance between the centres of the {a} and the {b} in {unit}?",
        "How far is the centre of the {a} from the centre of the {b}, in {unit}?",
        "Give the centre-to-centre distance from the {a} to the {b} in {unit}.",
    ),
    "distance_surface": (
        "How far apart are the nearest surfaces of the {a} and the {b}, in {unit}?",
        "What is the smallest gap between the {a} and the {b}, from surface to surface, in {unit}?",
        "What is the distance between the closest points of the {a} and the {b} in {unit}?",
        "Measured between their nearest surfaces, how far is the {a} from the {b}, in {unit}?",
    ),
    "camera_distance": (
        "How far is the centre of the {a} from the camera {when}, in {unit}?",
        "What is the distance from the camera to the centre of the {a} {when}, in {unit}?",
        "In {unit}, how far away from the camera is the {a} (its centre) {when}?",
    ),
    "left_right": (
        "Seen from the camera in frame {k}, is the {a} to the left or to the right of the {b}?",
        "In frame {k}, is the {a} left or right of the {b} as the camera sees it?",
        "From the camera's point of view in frame {k}, on which side of the {b} is the {a}: left or right?",
    ),
    "front_behind": (
        "Seen from the camera in frame {k}, is the {a} in front of or behind the {b}?",
        "In frame {k}, is the {a} in front of the {b} or behind it, as the camera sees it?",
        "From the camera's point of view in frame {k}, does the {a} stand in front of the {b} or behind it?",
    ),
    "egocentric_side": (
        "If I stand at the {a} facing the {b}, is the {c} on my left or on my right?",
        "Standing at the {a} and looking towards the {b}, is the {c} to the left or to the right?",
        "Imagine you are at the {a} and face the {b}. Is the {c} to your left or to your right?",
    ),
    "egocentric_front": (
        "If I stand at the {a} facing the {b}, is the {c} in front of me or behind me?",
        "Standing at the {a} and looking towards the {b}, is the {c} in front or behind?",
        "Imagine you are at the {a} and face the {b}. Is the {c} in front of you or behind you?",
    ),
    "count": (
        "How many {names} are there in the room?",
        "Count the {names} in this recording.",
        "What is the number of {names} that the camera saw?",
        "How many different {names} does the recording show?",
    ),
    "nearer": (
        "Which is nearer to the {x}, the {a} or the {b}? Compare the distances between centres.",
        "Is the {a} or the {b} closer to the {x}, going by their centres?",
        "Measured between centres, which of the two is closer to the {x}: the {a} or the {b}?",
    ),
    "size_height": (
        "How tall is the {a}, in {unit}?",
        "What is the height of the {a} in {unit}, from its underside to its top?",
        "How high is the {a} itself, from bottom to top, in {unit}?",
    ),
    "size_length": (
        "How long is the {a} along its longest horizontal side, in {unit}?",
        "What is the length of the {a}'s longest horizontal side in {unit}?",
        "How wide is the {a} at its widest, along its longest horizontal side, in {unit}?",
    ),
    "camera_path": (
        "How long is the path that the camera travelled over the whole recording, in {unit}?",
        "What distance did the camera travel along its path during the recording, in {unit}?",
        "In total, how far did the camera move along its way, in {unit}?",
    ),
    "camera_displacement": (
        "How far apart are the camera's first and last positions in a straight line, in {unit}?",
        "What is the straight-line displacement of the camera between the first and the last frame, in {unit}?",
        "How far is the camera at the end of the recording from where it started, as the crow flies, in {unit}?",
    ),
    "height_top": (
        "How high above the floor is the top of the {a}, in {unit}?",
        "What is the height of the top of the {a} above the floor in {unit}?",
        "In {unit}, how far above the floor does the {a} reach with its top?",
    ),
    "height_centre": (
        "How high above the floor is the centre of the {a}, in {unit}?",
        "What is the height of the centre of the {a} above the floor in {unit}?",
        "In {unit}, how far above the floor is the {a}'s centre?",
    ),
}
"""Meaning -> templates. {unit} becomes a unit's name; {k} a frame; {when} a moment; {names} a plural."""

PLURALS = {"box": "boxes", "shelf": "shelves"}


def plural(name: str) -> str:
    """'green boxes' for 'green box'."""
    colour, kind = name.rsplit(" ", 1)
    return f"{colour} {PLURALS.get(kind, kind + 's')}"


class Wordings:
    """Gives the templates of a meaning one after the other, starting anywhere, so that a file uses them all."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._running: dict[str, Iterator[str]] = {}

    def next(self, meaning: str) -> str:
        if meaning not in self._running:
            self._running[meaning] = self._cycle(meaning)
        return next(self._running[meaning])

    def _cycle(self, meaning: str) -> Iterator[str]:
        templates = WORDINGS[meaning]
        while True:
            for index in self._rng.permutation(len(templates)):
                yield templates[index]
