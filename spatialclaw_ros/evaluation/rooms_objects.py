"""The things in a generated room and where they are: named objects, nameless fittings, and the path of a mover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatialclaw_ros.evaluation.rooms_palette import Rgb
from spatialclaw_ros.evaluation.rooms_shapes import Shape


@dataclass(frozen=True)
class Motion:
    """A straight roll over the floor, eased. start, end: (2,) metres; begin, finish: seconds of the recording."""

    start: np.ndarray
    end: np.ndarray
    begin: float
    finish: float

    def at(self, seconds: float) -> np.ndarray:
        """(2,) metres: where it is; still before `begin` and after `finish`."""
        share = float(np.clip((seconds - self.begin) / (self.finish - self.begin), 0.0, 1.0))
        return self.start + (self.end - self.start) * (share * share * (3.0 - 2.0 * share))


@dataclass(frozen=True)
class RoomObject:
    """A thing with a name. number: its value in the instance masks, from 1. position: (3,) metres, middle of the
    underside at the start; yaw: radians about +z. Several may share a name ("blue chair"); `label` tells them apart."""

    number: int
    kind: str
    colour: str
    shape: Shape
    position: np.ndarray
    yaw: float
    label: str = ""
    motion: Motion | None = None

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}"

    @property
    def size(self) -> np.ndarray:
        """(3,) metres along its own axes: depth, width, height."""
        return self.shape.size

    def pose(self, seconds: float = 0.0) -> np.ndarray:
        """(4, 4) own frame to world at a time of the recording."""
        matrix = np.eye(4)
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        matrix[:2, :2] = [[cosine, -sine], [sine, cosine]]
        matrix[:3, 3] = self.position
        if self.motion is not None:
            matrix[:2, 3] = self.motion.at(seconds)
        return matrix

    def centre(self, seconds: float = 0.0) -> np.ndarray:
        """(3,) metres: centre of its own upright box, in the world."""
        return self.pose(seconds)[:3, 3] + [0.0, 0.0, self.size[2] / 2]

    def triangles(self, seconds: float = 0.0) -> np.ndarray:
        """(F, 3, 3) metres in the world, of the parts in the object's colour."""
        pose = self.pose(seconds)
        return self.shape.own_triangles @ pose[:3, :3].T + pose[:3, 3]

    @property
    def radius(self) -> float:
        """Metres: half of the floor plan's diagonal."""
        return float(np.hypot(self.size[0], self.size[1]) / 2)


@dataclass(frozen=True)
class Fitting:
    """A nameless surface, such as a wall. triangles, normals: (F, 3, 3) world metres; texture: see rooms_shading."""

    triangles: np.ndarray
    normals: np.ndarray
    colour: Rgb
    texture: str = "plain"


@dataclass(frozen=True)
class Room:
    """A furnished room. size: length along x, width along y, height, metres; centred on the origin, floor at z = 0."""

    size: tuple[float, float, float]
    objects: tuple[RoomObject, ...]
    fittings: tuple[Fitting, ...]

    def named(self, name: str) -> tuple[RoomObject, ...]:
        """Every object with that name."""
        return tuple(thing for thing in self.objects if thing.name == name)
