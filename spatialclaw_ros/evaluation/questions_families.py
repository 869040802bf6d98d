"""One maker for each family of questions: picks things with a clear margin, words the question, states the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import TypeVar

import numpy as np

from spatialclaw_ros.evaluation.questions import Truth
from spatialclaw_ros.evaluation.questions_scene import Scene
from spatialclaw_ros.evaluation.questions_wording import Wordings, plural
from spatialclaw_ros.evaluation.rooms_objects import RoomObject

UNITS = {"metres": ("m", 1.0), "centimetres": ("cm", 100.0)}
NEAREST_CENTRES = 0.6
"""Metres; things nearer than this are not asked for their distance, where 5 cm would decide everything."""
NEAREST_SURFACES = 0.3
BEARING_MARGIN = np.radians(6.0)
DEPTH_MARGIN = 0.4
"""Metres along the optical axis."""
NEARER_RATIO = 1.15
LEAST_SIZE = 0.3
"""Metres; smaller extents are not asked for."""


@dataclass(frozen=True)
class Draft:
    """A question before it has its id."""

    question: str
    answer: Truth
    about: tuple[str, ...]


Thing = TypeVar("Thing")


def shuffled(rng: np.random.Generator, things: Iterable[Thing]) -> list[Thing]:
    """The things in an order that the generator decides."""
    listed = list(things)
    return [listed[k] for k in rng.permutation(len(listed))]


TOLERANCE = 0.05
"""A measurement is right within this share of the truth, or this many metres where that is more."""


def measured(metres: float, rng: np.random.Generator, least: float = TOLERANCE) -> tuple[str, Truth]:
    """A unit's name and the answer in it, with its tolerance; least: metres."""
    name = "centimetres" if rng.random() < 0.25 else "metres"
    unit, factor = UNITS[name]
    digits = 3 if unit == "m" else 1
    return name, Truth(
        "number", round(metres * factor, digits), unit, round(max(least, TOLERANCE * metres) * factor, digits)
    )


def distances(scene: Scene, rng: np.random.Generator) -> list[Draft]:
    """Three between centres, three between nearest surfaces; things of a kind never stand for one another."""
    words, drafts = Wordings(rng), []
    far = [(a, b, scene.centre_distance(a, b)) for a, b in shuffled(rng, combinations(scene.still, 2))]
    for a, b, metres in _spread([pair for pair in far if pair[2] >= NEAREST_CENTRES], 3):
        drafts.append(_distance(words.next("distance_centre"), a, b, metres, rng))
    kept = 0
    for a, b in shuffled(rng, combinations(scene.still, 2)):
        metres = scene.surface_distance(a, b)
        if kept < 3 and metres >= NEAREST_SURFACES and scene.surfaces_were_seen(a, b, metres):
            drafts.append(_distance(words.next("distance_surface"), a, b, metres, rng))
            kept += 1
    return drafts


def _spread(
    pairs: list[tuple[RoomObject, RoomObject, float]], count: int
) -> list[tuple[RoomObject, RoomObject, float]]:
    """Pairs that share few things: each time the one whose things were used least."""
    chosen: list[tuple[RoomObject, RoomObject, float]] = []
    used: dict[int, int] = {}
    while len(chosen) < min(count, len(pairs)):
        left = [pair for pair in pairs if pair not in chosen]
        best = min(left, key=lambda pair: used.get(pair[0].number, 0) + used.get(pair[1].number, 0))
        chosen.append(best)
        for thing in best[:2]:
            used[thing.number] = used.get(thing.number, 0) + 1
    return chosen


def _distance(template: str, a: RoomObject, b: RoomObject, metres: float, rng: np.random.Generator) -> Draft:
    unit, truth = measured(metres, rng)
    return Draft(template.format(a=a.name, b=b.name, unit=unit), truth, (a.name, b.name))


def camera_distances(scene: Scene, rng: np.random.Generator) -> list[Draft]:
    """At the start, at the end and in two frames; one of these about a thing that moves, where it is well seen."""
    words, last = Wordings(rng), len(scene.times) - 1
    moments = [("at the start of the recording", 0), ("at the end of the recording", last)]
    moments += [(f"in frame {k}", int(k)) for k in rng.choice(np.arange(2, last - 1), 2, replace=False)]
    drafts = []
    for (when, frame), thing in zip(moments, shuffled(rng, scene.still), strict=False):
        drafts.append(_camera_distance(scene, words.next("camera_distance"), thing, when, frame, rng))
    for mover in scene.movers:
        frames = [
            k for k in range(1, last) if scene.well_seen(mover, k) and np.linalg.norm(scene.in_camera(mover, k)) > 1.5
        ]
        if frames:
            frame = int(rng.choice(frames))
            drafts[-1:] = [
                _camera_distance(scene, words.next("camera_distance"), mover, f"in frame {frame}", frame, rng)
            ]
    return drafts


def _camera_distance(
    scene: Scene, template: str, thing: RoomObject, when: str, frame: int, rng: np.random.Generator
) -> Draft:
    metres = float(np.linalg.norm(scene.in_camera(thing, frame)))
    seen_once = 0.5 * float(thing.size[:2].min()) if thing.motion is not None else 0.0
    unit, truth = measured(metres, rng, least=max(TOLERANCE, seen_once))
    return Draft(template.format(a=thing.name, when=when, unit=unit), truth, (thing.name,))


def _seen_pairs(scene: Scene, rng: np.random.Generator) -> list[tuple[int, RoomObject, RoomObject]]:
    """Frames with two things well seen in them, movers included, in random order."""
    things = (*scene.still, *scene.movers)
    return shuffled(
        rng,
        (
            (k, a, b)
            for k in range(len(scene.times))
            for a, b in permutations(things, 2)
            if scene.well_seen(a, k) and scene.well_seen(b, k)
        ),
    )


def left_right(scene: Scene, rng: np.random.Generator) -> list[Draft]:
    """By the sign of the difference in horizontal bearing from the camera; as often left as right."""
    words = Wordings(rng)

    def side(k: int, a: RoomObject, b: RoomObject) -> str:
        place, other = scene.in_camera(a, k), scene.in_camera(b, k)
        difference = np.arctan2(place[0], place[2]) - np.arctan2(other[0], other[2])
        return "" if abs(difference) < BEARING_MARGIN else "left" if difference < 0 else "right"

    return [
        Draft(
            words.next("left_right").format(a=a.name, b=b.name, k=k),
            Truth("choice", value, choices=("left", "right")),
            (a.name, b.name),
        )
        for k, a, b, value in _balanced(_seen_pairs(scene, rng), side, 4)
    ]


def front_behind(scene: Scene, rng: np.random.Generator) -> list[Draft]:
    """By the difference in distance along the optical axis; as often in front as behind."""
    words = Wordings(rng)

    def order(k: int, a: RoomObject, b: RoomObject) -> str:
        near, far = scene.in_camera(a, k)[2], scene.in_camera(b, k)[2]
        clear = abs(near - far) > max(DEPTH_MARGIN, 0.5 * (a.radius + b.radius))
        return ("in front" if near < far else "behind") if clear else ""

    return [
        Draft(
            words.next("front_behind").format(a=a.name, b=b.name, k=k),
            Truth("choice", value, choices=("in front", "behind")),
            (a.name, b.name),
        )
        for k, a, b, value in _balanced(_seen_pairs(scene, rng), order, 4)
    ]


Pair = tuple[int, RoomObject, RoomObject]


def _balanced(
    pairs: list[Pair], answer: Callable[[int, RoomObject, RoomObject], str], count: int
) -> list[tuple[int, RoomObject, RoomObject, str]]:
    """Pairs with a clear answer, as many of each answer as can be, no two things asked about together twice."""
    chosen: list[tuple[int, RoomObject, RoomObject, str]] = []
    used: set[frozenset[int]] = set()
    tally: dict[str, int] = {}
    for k, a, b in pairs:
        value, couple = answer(k, a, b), frozenset((a.number, b.number))
        if not value or couple in used or tally.get(value, 0) >= (count + 1) // 2 or len(chosen) == count:
            continue
        used.add(couple)
        tally[value] = tally.get(value, 0) + 1
        chosen.append((k, a, b, value))
    return chosen


def egocentric(scene: Scene, rng: np.random.Generator) -> list[Draft]:
    """Standing at A, facing B: C at 30 to 150 degrees is left or right; below 60 in front, above 120 behind."""
    words, drafts, tally = Wordings(rng), [], dict.fromkeys(("left", "right", "in front", "behind"), 0)
    for a, b, c in shuffled(rng, permutations(scene.still, 3)):
        turn = _turn(a, b, c)
        side = "left" if turn > 0 else "right"
        front = "in front" if abs(turn) < 90 else "behind"
        if 30 <= abs(turn) <= 150 and not tally[side]:
            meaning, value, choices = "egocentric_side", side, ("left", "right")
        elif (abs(turn) < 60 or abs(turn) > 120) and not tally[front]:
            meaning, value, choices = "egocentric_front", front, ("in front", "behind")
        else:
            continue
        tally[value] += 1
        text = words.next(meaning).format(a=a.name, b=b.name, c=c.name)
        drafts.append(Draft(text, Truth("choice", value, choices=choices), (a.name, b.name, c.name)))
    return drafts


def _turn(a: RoomObject, b: RoomObject, c: RoomObject) -> float:
    """Degrees from the way A-B to the way A-C in plan, left positive; NaN where either is too short to be clear."""
    forward, towards = (b.centre() - a.centre())[:2], (c.centre() - a.centre())[:2]
    if min(np.hypot(*forward), np.hypot(*towards)) < NEAREST_CENTRES:
        return float("nan")
    cross, dot = forward[0] * towards[1] - forward[1] * towards[0], forward @ towards
    return float(np.degrees(np.arctan2(cross, dot)))


def counts(scene: Scene, rng: np.random.Generator) -> list[Draft]:
    """Every name that several things share, and one that a single thing has."""
    words = Wordings(rng)
    names = sorted({thing.name for thing in scene.room.objects if len(scene.room.named(thing.name)) > 1})
    names += [thing.name for thing in shuffled(rng, scene.unique)[:1]]
    return [
        Draft(words.next("count").format(names=plural(name)), Truth("count", len(scene.room.named(name))), (name,))
        for name in shuffled(rng, names)
    ]


def nearer(scene: Scene, rng: np.random.Generator) -> list[Draft]:
    """Which of two is nearer to a third, by centres that differ by 15 % and 0.3 m at least."""
    words = Wordings(rng)
    drafts: list[Draft] = []
    used: set[int] = set()
    for x, a, b in shuffled(rng, permutations(scene.still, 3)):
        to_a, to_b = scene.centre_distance(x, a), scene.centre_distance(x, b)
        small, large = min(to_a, to_b), max(to_a, to_b)
        if x.number in used or large < NEARER_RATIO * small or large - small < 0.3 or len(drafts) == 4:
            continue
        used.add(x.number)
        truth = Truth("choice", a.name if to_a < to_b else b.name, choices=(a.name, b.name))
        drafts.append(Draft(words.next("nearer").format(x=x.name, a=a.name, b=b.name), truth, (x.name, a.name, b.name)))
    return drafts


def sizes(scene: Scene, rng: np.random.Generator) -> list[Draft]:
    """Two heights and two longest horizontal sides, of things that are not small, nor round in plan for the latter."""
    words = Wordings(rng)
    tall = [thing for thing in shuffled(rng, scene.still) if thing.size[2] >= LEAST_SIZE][:2]
    measurable = [thing for thing in scene.still if scene.sizes_were_seen(thing)]
    long = [
        thing
        for thing in shuffled(rng, measurable)
        if thing.size[:2].max() >= max(LEAST_SIZE, 1.15 * thing.size[:2].min()) and thing.kind not in ("lamp", "mug")
    ][:2]
    asked = [("size_height", thing, float(thing.size[2])) for thing in tall]
    asked += [("size_length", thing, float(thing.size[:2].max())) for thing in long]
    return [_of_one(words.next(meaning), thing, metres, rng) for meaning, thing, metres in asked]


def heights(scene: Scene, rng: np.random.Generator) -> list[Draft]:
    """Two tops and one centre above the floor."""
    words, things = Wordings(rng), shuffled(rng, scene.still)
    asked = [("height_top", thing, thing.centre()[2] + thing.size[2] / 2) for thing in things[:2]]
    asked += [("height_centre", thing, thing.centre()[2]) for thing in things[2:3]]
    return [_of_one(words.next(meaning), thing, float(metres), rng) for meaning, thing, metres in asked]


def _of_one(template: str, thing: RoomObject, metres: float, rng: np.random.Generator) -> Draft:
    unit, truth = measured(metres, rng)
    return Draft(template.format(a=thing.name, unit=unit), truth, (thing.name,))


def camera_paths(scene: Scene, rng: np.random.Generator) -> list[Draft]:
    """Length of the way through the frames' camera positions, and the straight line between the first and the last."""
    words, places = Wordings(rng), scene.camera_places()
    length = float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())
    straight = float(np.linalg.norm(places[-1] - places[0]))
    drafts = []
    for meaning, metres in (("camera_path", length), ("camera_displacement", straight)):
        unit, truth = measured(metres, rng)
        drafts.append(Draft(words.next(meaning).format(unit=unit), truth, ("camera",)))
    return drafts


MAKERS: dict[str, Callable[[Scene, np.random.Generator], list[Draft]]] = {
    "distance": distances,
    "camera_distance": camera_distances,
    "left_right": left_right,
    "front_behind": front_behind,
    "egocentric": egocentric,
    "count": counts,
    "nearer": nearer,
    "size": sizes,
    "camera_path": camera_paths,
    "height": heights,
}
"""Maker by family."""
