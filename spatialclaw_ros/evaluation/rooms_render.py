"""Pictures of a generated room: one ray a pixel through Embree, giving colour, metric depth and instance masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from spatialclaw_ros.evaluation.rooms_objects import Room, RoomObject
from spatialclaw_ros.evaluation.rooms_palette import colour_of
from spatialclaw_ros.evaluation.rooms_shading import TEXTURES, shade, texture_brightness
from spatialclaw_ros.frames.camera import Intrinsics

FAR = 100.0
"""Metres; a ray that gets further hit nothing."""


@dataclass(frozen=True)
class Picture:
    """color: (H, W, 3) uint8 RGB; depth: (H, W) float32 metres along the optical axis, NaN where nothing was hit;
    mask: (H, W) uint8, an object's number or 0."""

    color: np.ndarray
    depth: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Hits:
    """What N rays met. distance: (N,) in lengths of the ray's direction, inf for none; triangle: (N,); uv: (N, 2)."""

    distance: np.ndarray
    triangle: np.ndarray
    uv: np.ndarray


class Surfaces:
    """Triangles with a look, ready for rays. triangles, normals: (F, 3, 3); colour: (F, 3); texture, number: (F,)."""

    def __init__(
        self, triangles: np.ndarray, normals: np.ndarray, colour: np.ndarray, texture: np.ndarray, number: np.ndarray
    ) -> None:
        self.normals = normals.astype(np.float32)
        self.is_smooth = (self.normals != self.normals[:, :1]).any(axis=(1, 2))
        self.colour = colour.astype(np.float32)
        self.texture = texture
        self.number = number.astype(np.uint8)
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, np.ascontiguousarray(triangles, np.float32))

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """Nearest hits of rays (N, 3) float32."""
        found = self._scene.run(origins, directions, output=True)
        missed = found["primID"] < 0
        distance = np.where(missed | (found["tfar"] > FAR), np.inf, found["tfar"]).astype(np.float32)
        return Hits(distance, np.where(missed, 0, found["primID"]), np.stack([found["u"], found["v"]], axis=1))

    def blocks(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(N,) bool: whether something stands between an origin and origin + direction."""
        found = self._scene.run(origins, directions, output=True)
        return (found["primID"] >= 0) & (found["tfar"] < 1.0)


class Renderer:
    """Renders a room from any place at any time of its recording."""

    def __init__(self, room: Room, camera: Intrinsics) -> None:
        self._room = room
        self._camera = camera
        movers = [thing for thing in room.objects if thing.motion is not None]
        self._movers = [(thing, surfaces_of(thing)) for thing in movers]
        still = [thing for thing in room.objects if thing.motion is None]
        self._static = _surfaces_of_room(room, still)
        rows, columns = np.mgrid[: camera.height, : camera.width]
        self._rays = np.stack(
            [(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones_like(rows)], axis=-1
        ).astype(np.float32)
        self._lamps = np.array(
            [
                [0.25 * room.size[0], 0.2 * room.size[1], room.size[2] - 0.12],
                [-0.3 * room.size[0], -0.25 * room.size[1], room.size[2] - 0.3],
            ]
        )

    def render(self, pose: np.ndarray, seconds: float, *, colour: bool = True) -> Picture:
        """What a camera at `pose` ((4, 4) optical to world) sees at a time of the recording. Depth is exact.

        colour: False leaves the picture black and takes half the time.
        """
        shape = self._rays.shape[:2]
        directions = self._rays.reshape(-1, 3) @ pose[:3, :3].T.astype(np.float32)
        origins = np.broadcast_to(pose[:3, 3].astype(np.float32), directions.shape).copy()
        hits = self._static.cast(origins, directions)
        points = origins + np.minimum(hits.distance, np.float32(FAR))[:, None] * directions
        base, normals, number, glow = _look(self._static, hits, points)
        depth = hits.distance.copy()
        for thing, surfaces in self._movers:
            self._draw_mover(thing, surfaces, seconds, origins, directions, depth, points, base, normals, number, glow)
        depth[~np.isfinite(depth)] = np.nan
        rgb = np.zeros((*shape, 3), np.uint8)
        if colour:
            normals *= np.where(np.einsum("ij,ij->i", normals, directions) > 0, np.float32(-1), np.float32(1))[:, None]
            lit = self._light(points, normals, shape, seconds)
            shaded = shade(base, normals, points, lit, self._lamps, glow)
            rgb = (shaded.reshape(*shape, 3) * 255.0 + 0.5).astype(np.uint8)
        return Picture(rgb, depth.reshape(shape), number.reshape(shape))

    def _draw_mover(
        self,
        thing: RoomObject,
        surfaces: Surfaces,
        seconds: float,
        origins: np.ndarray,
        directions: np.ndarray,
        depth: np.ndarray,
        points: np.ndarray,
        base: np.ndarray,
        normals: np.ndarray,
        number: np.ndarray,
        glow: np.ndarray,
    ) -> None:
        """Lay a moving object over what was drawn, in place, where it is nearer. Its rays are cast in its own frame."""
        pose = thing.pose(seconds)
        near = _rays_near(origins, directions, thing.centre(seconds), float(np.linalg.norm(thing.size) / 2 + 0.05))
        turn = pose[:3, :3].astype(np.float32)
        local_origins = np.ascontiguousarray((origins[near] - pose[:3, 3].astype(np.float32)) @ turn)
        local_directions = np.ascontiguousarray(directions[near] @ turn)
        if not near.size:
            return
        hits = surfaces.cast(local_origins, local_directions)
        front = hits.distance < depth[near]
        chosen = near[front]
        hits = Hits(hits.distance[front], hits.triangle[front], hits.uv[front])
        local_points = local_origins[front] + hits.distance[:, None] * local_directions[front]
        depth[chosen] = hits.distance
        points[chosen] = origins[chosen] + hits.distance[:, None] * directions[chosen]
        base[chosen], local_normals, number[chosen], glow[chosen] = _look(surfaces, hits, local_points)
        normals[chosen] = local_normals @ turn.T

    def _light(self, points: np.ndarray, normals: np.ndarray, shape: tuple[int, int], seconds: float) -> np.ndarray:
        """(N,) share of the key lamp's light, from a half-size shadow map of this view, blurred to soft edges."""
        spots = (points + 0.004 * normals).reshape(*shape, 3)[::2, ::2].reshape(-1, 3).astype(np.float32)
        towards = (self._lamps[0].astype(np.float32) - spots) * np.float32(0.99)
        blocked = self._static.blocks(spots, towards)
        for thing, surfaces in self._movers:
            near = _rays_near(spots, towards, thing.centre(seconds), float(np.linalg.norm(thing.size) / 2))
            pose = thing.pose(seconds)
            turn = pose[:3, :3].astype(np.float32)
            if near.size:
                local = np.ascontiguousarray((spots[near] - pose[:3, 3].astype(np.float32)) @ turn)
                blocked[near] |= surfaces.blocks(local, np.ascontiguousarray(towards[near] @ turn))
        half = (1.0 - 0.8 * blocked).astype(np.float32).reshape((shape[0] + 1) // 2, (shape[1] + 1) // 2)
        soft = cv2.blur(half, (5, 5))
        return cv2.resize(soft, shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(-1)


def _rays_near(origins: np.ndarray, directions: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """Indices of the rays that pass a ball."""
    to_centre = centre.astype(np.float32) - origins
    along = np.einsum("ij,ij->i", to_centre, directions) / np.einsum("ij,ij->i", directions, directions)
    aside = to_centre - along[:, None] * directions
    return np.flatnonzero((np.einsum("ij,ij->i", aside, aside) < radius * radius) & (along > 0))


def _look(surfaces: Surfaces, hits: Hits, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Textured colour (N, 3), unit normal (N, 3), object number (N,) and glow (N,) of hits."""
    normals = surfaces.normals[hits.triangle, 0]
    round_ones = np.flatnonzero(surfaces.is_smooth[hits.triangle])
    if round_ones.size:
        corner, uv = surfaces.normals[hits.triangle[round_ones]], hits.uv[round_ones]
        blend = (1.0 - uv[:, :1] - uv[:, 1:]) * corner[:, 0] + uv[:, :1] * corner[:, 1] + uv[:, 1:] * corner[:, 2]
        normals[round_ones] = blend / np.linalg.norm(blend, axis=1, keepdims=True)
    texture = surfaces.texture[hits.triangle]
    base = surfaces.colour[hits.triangle] * texture_brightness(texture, points)[:, None]
    number = np.where(np.isfinite(hits.distance), surfaces.number[hits.triangle], 0).astype(np.uint8)
    return base, normals, number, texture == TEXTURES.index("bright")


def surfaces_of(thing: RoomObject) -> Surfaces:
    """One object's surfaces, in its own frame."""
    return _stack(_object_rows([thing], own_frame=True))


def _surfaces_of_room(room: Room, still: list[RoomObject]) -> Surfaces:
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
