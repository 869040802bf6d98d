"""What the things in a generated room look like: solid primitives put together, one function for each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import trimesh

from spatialclaw_ros.evaluation.rooms_palette import METAL, PAPER, Rgb


@dataclass(frozen=True)
class Part:
    """A closed piece of a shape, in the shape's own frame.

    triangles: (F, 3, 3) float64 metres. normals: (F, 3, 3) float64, one a corner. shade: brightness against the
    object's colour. tint: RGB of a part of another colour (a knob, a book), which does not count as part of the object.
    """

    triangles: np.ndarray
    normals: np.ndarray
    shade: float = 1.0
    tint: Rgb | None = None


@dataclass(frozen=True)
class Shape:
    """Parts in a frame whose origin is the middle of the underside: x to the front, z up, box centred on x = y = 0."""

    parts: tuple[Part, ...]

    @property
    def own_triangles(self) -> np.ndarray:
        """(F, 3, 3) metres: the triangles that carry the object's colour, without knobs and books."""
        return np.concatenate([part.triangles for part in self.parts if part.tint is None])

    @property
    def size(self) -> np.ndarray:
        """(3,) metres: extents of the box along the shape's own axes."""
        points = self.own_triangles.reshape(-1, 3)
        return points.max(0) - points.min(0)


def part(
    mesh: trimesh.Trimesh,
    at: tuple[float, float, float] = (0, 0, 0),
    *,
    smooth: bool = False,
    shade: float = 1.0,
    tint: Rgb | None = None,
) -> Part:
    """A part from a mesh moved to `at`; smooth: shade over the edges, as on a ball."""
    triangles = np.asarray(mesh.triangles) + np.asarray(at, float)
    if smooth:
        normals = np.asarray(mesh.vertex_normals)[mesh.faces]
    else:
        normals = np.repeat(np.asarray(mesh.face_normals)[:, None, :], 3, axis=1)
    return Part(triangles, normals, shade, tint)


def block(size: tuple[float, float, float], at: tuple[float, float, float], **look: object) -> Part:
    """A cuboid whose underside's middle is at `at`."""
    return part(trimesh.creation.box(size), (at[0], at[1], at[2] + size[2] / 2), **look)  # type: ignore[arg-type]


def tube(low: float, high: float, height: float, at: tuple[float, float, float], **look: object) -> Part:
    """An upright solid of revolution: radius `low` at the bottom, `high` at the top, underside's middle at `at`."""
    outline = [[0, 0], [low, 0], [high, height], [0, height]]
    return part(trimesh.creation.revolve(outline, sections=28), at, **look)  # type: ignore[arg-type]


def centred(parts: list[Part]) -> Shape:
    """A shape whose own box stands on z = 0 and is centred on x = y = 0."""
    points = np.concatenate([p.triangles.reshape(-1, 3) for p in parts if p.tint is None])
    low, high = points.min(0), points.max(0)
    shift = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]])
    return Shape(tuple(Part(p.triangles + shift, p.normals, p.shade, p.tint) for p in parts))


def table(rng: np.random.Generator) -> Shape:
    depth, width, height = rng.uniform(0.78, 0.86), rng.uniform(1.35, 1.5), rng.uniform(0.68, 0.74)
    legs = [
        block((0.08, 0.08, height - 0.05), (x * (depth / 2 - 0.06), y * (width / 2 - 0.06), 0), shade=0.8)
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    return centred([block((depth, width, 0.05), (0, 0, height - 0.05)), *legs])


def chair(rng: np.random.Generator) -> Shape:
    seat, height, back = rng.uniform(0.40, 0.44), rng.uniform(0.42, 0.46), rng.uniform(0.34, 0.40)
    legs = [
        block((0.05, 0.05, height - 0.06), (x * (seat / 2 - 0.025), y * (seat / 2 - 0.025), 0), shade=0.82)
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    rest = block((0.05, seat, back), (-(seat / 2 - 0.025), 0, height), shade=0.92)
    return centred([block((seat, seat, 0.06), (0, 0, height - 0.06)), rest, *legs])


def mug(rng: np.random.Generator) -> Shape:
    radius, height = rng.uniform(0.050, 0.056), rng.uniform(0.12, 0.14)
    handle = trimesh.creation.torus(0.032, 0.009, major_sections=20, minor_sections=8)
    handle.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    return centred(
        [
            tube(radius, radius, height, (0, 0, 0), smooth=False),
            tube(radius - 0.008, radius - 0.008, 0.001, (0, 0, height), shade=0.62),
            part(handle, (radius + 0.012, 0, height / 2), smooth=True, shade=0.92),
        ]
    )


def box(rng: np.random.Generator) -> Shape:
    depth, width, height = rng.uniform(0.3, 0.42), rng.uniform(0.46, 0.6), rng.uniform(0.32, 0.5)
    lid = block((depth + 0.02, width + 0.02, 0.07), (0, 0, height - 0.07), shade=0.84)
    return centred([block((depth, width, height - 0.07), (0, 0, 0)), lid])


def lamp(rng: np.random.Generator) -> Shape:
    height, shade_height = rng.uniform(1.45, 1.7), rng.uniform(0.3, 0.36)
    return centred(
        [
            tube(0.17, 0.15, 0.04, (0, 0, 0), shade=0.85),
            tube(0.03, 0.03, height - shade_height - 0.02, (0, 0, 0.03), shade=0.8),
            tube(0.25, 0.15, shade_height, (0, 0, height - shade_height), smooth=False, shade=1.05),
        ]
    )


def door(rng: np.random.Generator) -> Shape:
    width, height = rng.uniform(0.85, 0.95), rng.uniform(1.95, 2.05)
    panels = [
        block((0.01, width - 0.3, high - low), (0.025, 0, low), shade=0.86)
        for low, high in ((0.18, 0.85), (1.05, height - 0.18))
    ]
    knob = part(
        trimesh.creation.icosphere(subdivisions=2, radius=0.035),
        (0.055, width / 2 - 0.08, 1.0),
        smooth=True,
        tint=METAL,
    )
    return centred([block((0.05, width, height), (0, 0, 0)), *panels, knob])


def shelf(rng: np.random.Generator) -> Shape:
    width, height, boards = rng.uniform(0.9, 1.1), rng.uniform(1.2, 1.5), 4
    sides = [block((0.3, 0.04, height), (0, y * (width / 2 - 0.02), 0), shade=0.92) for y in (-1, 1)]
    levels = [k * (height - 0.04) / (boards - 1) for k in range(boards)]
    planks = [block((0.3, width - 0.08, 0.04), (0, 0, z)) for z in levels]
    books = [
        block((0.18, 0.035, rng.uniform(0.18, 0.26)), (-0.03, y, z + 0.04), tint=PAPER[int(rng.integers(len(PAPER)))])
        for z in levels[:-1]
        for y in _book_places(rng, width)
    ]
    return centred([block((0.02, width, height), (-0.14, 0, 0), shade=0.86), *sides, *planks, *books])


def _book_places(rng: np.random.Generator, width: float) -> np.ndarray:
    count, first = int(rng.integers(4, 9)), rng.uniform(-width / 2 + 0.1, 0.0)
    return first + 0.045 * np.arange(count)


def cabinet(rng: np.random.Generator) -> Shape:
    width, height = rng.uniform(1.0, 1.2), rng.uniform(0.8, 0.95)
    fronts = [block((0.01, width / 2 - 0.06, height - 0.14), (0.205, y * width / 4, 0.07), shade=0.86) for y in (-1, 1)]
    knobs = [
        part(
            trimesh.creation.icosphere(subdivisions=2, radius=0.022),
            (0.225, y * 0.06, height * 0.6),
            smooth=True,
            tint=METAL,
        )
        for y in (-1, 1)
    ]
    return centred([block((0.4, width, height), (0, 0, 0)), *fronts, *knobs])


def sofa(rng: np.random.Generator) -> Shape:
    width = rng.uniform(1.5, 1.75)
    arms = [block((0.75, 0.16, 0.58), (0, y * (width / 2 - 0.08), 0), shade=0.92) for y in (-1, 1)]
    cushions = [
        block((0.56, width / 2 - 0.17, 0.08), (0.09, y * (width / 4 - 0.07), 0.38), shade=1.04) for y in (-1, 1)
    ]
    return centred(
        [
            block((0.75, width - 0.32, 0.38), (0, 0, 0)),
            block((0.2, width - 0.32, 0.80), (-0.275, 0, 0), shade=0.9),
            *arms,
            *cushions,
        ]
    )


def ball(rng: np.random.Generator) -> Shape:
    return centred([part(trimesh.creation.icosphere(subdivisions=4, radius=rng.uniform(0.17, 0.21)), smooth=True)])


def cart(rng: np.random.Generator) -> Shape:
    length = rng.uniform(0.5, 0.6)
    wheels = [
        part(
            trimesh.creation.icosphere(subdivisions=2, radius=0.06),
            (x * (length / 2 - 0.1), y * 0.19, 0.06),
            smooth=True,
            shade=0.6,
        )
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    return centred(
        [
            block((length, 0.36, 0.2), (0, 0, 0.08)),
            block((0.05, 0.36, 0.3), (-length / 2 + 0.025, 0, 0.28), shade=0.9),
            *wheels,
        ]
    )


def robot(rng: np.random.Generator) -> Shape:
    radius, height = rng.uniform(0.19, 0.22), rng.uniform(0.26, 0.32)
    head = part(
        trimesh.creation.icosphere(subdivisions=3, radius=radius * 0.7), (0, 0, height), smooth=True, shade=1.05
    )
    return centred([tube(radius, radius * 0.92, height, (0, 0, 0)), head])


KINDS: dict[str, Callable[[np.random.Generator], Shape]] = {
    function.__name__: function
    for function in (table, chair, mug, box, lamp, door, shelf, cabinet, sofa, ball, cart, robot)
}
"""Every kind by name; each makes one shape with sizes drawn from the generator it is given."""
