"""The shell of a generated room: walls, floor, rug, door frame, windows, pictures; grey, as hues belong to things."""

from __future__ import annotations

import numpy as np

from spatialclaw_ros.evaluation import rooms_palette as palette
from spatialclaw_ros.evaluation.rooms_objects import Fitting, RoomObject
from spatialclaw_ros.evaluation.rooms_palette import Rgb
from spatialclaw_ros.evaluation.rooms_shapes import block


def make_fittings(
    rng: np.random.Generator, size: tuple[float, float, float], things: tuple[RoomObject, ...]
) -> tuple[Fitting, ...]:
    """The shell of a room of `size` (metres), with windows and pictures where no tall thing stands."""
    length, width, height = size
    shell = [
        _panel((length + 0.4, width + 0.4, 0.1), (0, 0, -0.1), palette.FLOOR, "planks"),
        _panel((length + 0.4, width + 0.4, 0.1), (0, 0, height), palette.CEILING),
        _panel((2.6, 2.1, 0.008), (0, 0, 0), palette.RUG, "rug"),
    ]
    for wall in range(4):
        shell += _wall(rng, size, wall, things)
    return tuple(shell)


def _wall(
    rng: np.random.Generator, size: tuple[float, float, float], wall: int, things: tuple[RoomObject, ...]
) -> list[Fitting]:
    turn = wall * np.pi / 2
    reach, run, height = (size[0], size[1], size[2]) if wall % 2 == 0 else (size[1], size[0], size[2])
    parts = [
        _panel((0.1, run + 0.2, height), (reach / 2 + 0.05, 0, 0), palette.WALL, "plaster", turn),
        _panel((0.015, run, 0.09), (reach / 2 - 0.0075, 0, 0), palette.TRIM, "plain", turn),
    ]
    side = np.array([-np.sin(turn), np.cos(turn)])
    out = np.array([np.cos(turn), np.sin(turn)])
    taken = [
        (float(t.position[:2] @ side), t.size[1] / 2 if t.kind != "lamp" else 0.3)
        for t in things
        if t.position[:2] @ out > reach / 2 - 0.9 and t.size[2] > 0.75
    ]
    for thing in things:
        if thing.kind == "door" and thing.position[:2] @ out > reach / 2 - 0.2:
            parts += _door_frame(thing, float(thing.position[:2] @ side), reach, turn)
    for _ in range(2):
        wide = rng.uniform(0.5, 1.3)
        slide = rng.uniform(-1, 1) * (run / 2 - wide / 2 - 0.3)
        if all(abs(slide - at) > reach_of + wide / 2 + 0.15 for at, reach_of in taken):
            taken.append((slide, wide / 2))
            parts += _window(slide, wide, reach, turn) if wide > 0.9 else _picture(rng, slide, wide, reach, turn)
    return parts


def _door_frame(door: RoomObject, slide: float, reach: float, turn: float) -> list[Fitting]:
    half, tall = door.size[1] / 2, door.size[2]
    uprights = [
        _panel(
            (0.07, 0.08, tall + 0.08), (reach / 2 - 0.035, slide + s * (half + 0.045), 0), palette.TRIM, "plain", turn
        )
        for s in (-1, 1)
    ]
    return [
        *uprights,
        _panel((0.07, 2 * half + 0.17, 0.08), (reach / 2 - 0.035, slide, tall + 0.005), palette.TRIM, "plain", turn),
    ]


def _window(slide: float, wide: float, reach: float, turn: float) -> list[Fitting]:
    frame = _panel((0.04, wide, 1.2), (reach / 2 - 0.02, slide, 1.0), palette.METAL, "plain", turn)
    panes = [
        _panel(
            (0.045, wide / 2 - 0.09, 1.08),
            (reach / 2 - 0.0225, slide + s * (wide / 4 - 0.01), 1.06),
            palette.GLASS,
            "bright",
            turn,
        )
        for s in (-1, 1)
    ]
    return [frame, *panes]


def _picture(rng: np.random.Generator, slide: float, wide: float, reach: float, turn: float) -> list[Fitting]:
    tall = wide * rng.uniform(0.6, 1.1)
    low = 1.65 - tall / 2
    paper = palette.PAPER[int(rng.integers(len(palette.PAPER)))]
    return [
        _panel((0.03, wide, tall), (reach / 2 - 0.015, slide, low), palette.DARK, "plain", turn),
        _panel((0.034, wide - 0.08, tall - 0.08), (reach / 2 - 0.017, slide, low + 0.04), paper, "painting", turn),
    ]


def _panel(
    size: tuple[float, float, float],
    at: tuple[float, float, float],
    colour: Rgb,
    texture: str = "plain",
    turn: float = 0.0,
) -> Fitting:
    """A cuboid standing at `at`, the whole then turned about the room's middle."""
    piece = block(size, at)
    cosine, sine = np.cos(turn), np.sin(turn)
    matrix = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return Fitting(piece.triangles @ matrix.T, piece.normals @ matrix.T, colour, texture)
