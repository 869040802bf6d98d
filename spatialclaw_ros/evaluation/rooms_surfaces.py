"""Triangles with a look, ready for rays: what a bundle of rays meets, and how that looks before light falls on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from spatialclaw_ros.evaluation.rooms_objects import Room, RoomObject
from spatialclaw_ros.evaluation.rooms_palette import colour_of
from spatialclaw_ros.evaluation.rooms_shading import TEXTURES, texture_brightness

FAR = 100.0
"""Lengths of a ray; one that gets further hit nothing."""


@dataclass(frozen=True)
class Rays:
    """origins, directions: (N, 3) float32, contiguous."""

    origins: np.ndarray
    directions: np.ndarray

    def near(self, centre: np.ndarray, radius: float) -> np.ndarray:
        """Indices of the rays that pass a ball (centre (3,) and radius in metres)."""
        to_centre = centre.astype(np.float32) - self.origins
        squares = np.einsum("ij,ij->i", self.directions, self.directions)
        along = np.einsum("ij,ij->i", to_centre, self.directions) / squares
        aside = to_centre - along[:, None] * self.directions
        return np.flatnonzero((np.einsum("ij,ij->i", aside, aside) < radius * radius) & (along > 0))

    def seen_from(self, pose: np.ndarray, chosen: np.ndarray) -> Rays:
        """The chosen rays in the frame that has `pose` ((4, 4) to the rays' frame)."""
        turn = pose[:3, :3].astype(np.float32)
        origins = (self.origins[chosen] - pose[:3, 3].astype(np.float32)) @ turn
        return Rays(np.ascontiguousarray(origins), np.ascontiguousarray(self.directions[chosen] @ turn))


@dataclass
class Seen:
    """What N rays met. distance: (N,) in lengths of the ray, inf for nothing; points, normals: (N, 3), normals of unit
    length; base: (N, 3) RGB in [0, 1], unlit; number: (N,) uint8 object or 0; glow: (N,) True where it shines."""

    distance: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    base: np.ndarray
    number: np.ndarray
    glow: np.ndarray

    def cover(self, chosen: np.ndarray, other: Seen, pose: np.ndarray) -> None:
        """Lay over the chosen rays what `other` met of them, in the frame that has `pose`, where it is nearer."""
        front = other.distance < self.distance[chosen]
        here, turn = chosen[front], pose[:3, :3].astype(np.float32)
        self.distance[here], self.base[here] = other.distance[front], other.base[front]
        self.number[here], self.glow[here] = other.number[front], other.glow[front]
        self.points[here] = other.points[front] @ turn.T + pose[:3, 3].astype(np.float32)
        self.normals[here] = other.normals[front] @ turn.T


class Surfaces:
    """A fixed set of triangles. triangles, normals: (F, 3, 3); colour: (F, 3); texture, number: (F,)."""

    def __init__(
        self, triangles: np.ndarray, normals: np.ndarray, colour: np.ndarray, texture: np.ndarray, number: np.ndarray
    ) -> None:
        self._normals = normals.astype(np.float32)
        self._is_smooth = (self._normals != self._normals[:, :1]).any(axis=(1, 2))
        self._colour = colour.astype(np.float32)
        self._texture = texture
        self._number = number.astype(np.uint8)
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, np.ascontiguousarray(triangles, np.float32))

    def hit(self, rays: Rays) -> np.ndarray:
        """(N,) bool: whether a ray meets anything."""
        found = self._scene.run(rays.origins, rays.directions, output=True)
        return (found["primID"] >= 0) & (found["tfar"] <= FAR)

    def block(self, rays: Rays) -> np.ndarray:
        """(N,) bool: whether something stands between an origin and origin + direction."""
        found = self._scene.run(rays.origins, rays.directions, output=True)
        return (found["primID"] >= 0) & (found["tfar"] < 1.0)

    def see(self, rays: Rays) -> Seen:
        """The nearest of everything that each ray meets."""
        found = self._scene.run(rays.origins, rays.directions, output=True)
        missed = (found["primID"] < 0) | (found["tfar"] > FAR)
        distance = np.where(missed, np.inf, found["tfar"]).astype(np.float32)
        triangle = np.where(missed, 0, found["primID"])
        points = rays.origins + np.minimum(distance, np.float32(FAR))[:, None] * rays.directions
        texture = self._texture[triangle]
        base = self._colour[triangle] * texture_brightness(texture, points)[:, None]
        number = np.where(missed, 0, self._number[triangle]).astype(np.uint8)
        normals = self._normals_at(triangle, found["u"], found["v"])
        return Seen(distance, points, normals, base, number, texture == TEXTURES.index("bright"))

    def _normals_at(self, triangle: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(N, 3) unit: one a triangle, blended between the corners where the surface is smooth."""
        normals = self._normals[triangle, 0]
        smooth = np.flatnonzero(self._is_smooth[triangle])
        if smooth.size:
            corner, u, v = self._normals[triangle[smooth]], u[smooth, None], v[smooth, None]
            blend = (1.0 - u - v) * corner[:, 0] + u * corner[:, 1] + v * corner[:, 2]
            normals[smooth] = blend / np.linalg.norm(blend, axis=1, keepdims=True)
        return normals


def surfaces_of(thing: RoomObject) -> Surfaces:
    """One object's surfaces, in its own frame."""
    return _stack(_object_rows([thing], own_frame=True))


def surfaces_of_room(room: Room) -> Surfaces:
    """Everything in a room that stays in place, in the world."""
    still = [thing for thing in room.objects if thing.motion is None]
    rows = _object_rows(still, own_frame=False)
    rows += [(f.triangles, f.normals, np.array(f.colour), TEXTURES.index(f.texture), 0) for f in room.fittings]
    return _stack(rows)


Row = tuple[np.ndarray, np.ndarray, np.ndarray, int, int]


def _object_rows(objects: list[RoomObject], own_frame: bool) -> list[Row]:
    rows: list[Row] = []
    for thing in objects:
        pose = np.eye(4) if own_frame else thing.pose()
        turn = pose[:3, :3]
        for piece in thing.shape.parts:
            own = piece.tint is None
            colour = np.array(colour_of(thing.colour) if own else piece.tint) * piece.shade
            rows.append(
                (
                    piece.triangles @ turn.T + pose[:3, 3],
                    piece.normals @ turn.T,
                    colour,
                    TEXTURES.index("grain" if own else "plain"),
                    thing.number if own else 0,
                )
            )
    return rows


def _stack(rows: list[Row]) -> Surfaces:
    counts = [len(row[0]) for row in rows]
    return Surfaces(
        np.concatenate([row[0] for row in rows]),
        np.concatenate([row[1] for row in rows]),
        np.repeat(np.stack([row[2] for row in rows]), counts, axis=0),
        np.repeat([row[3] for row in rows], counts),
        np.repeat([row[4] for row in rows], counts),
    )
