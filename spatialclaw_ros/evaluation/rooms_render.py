"""Pictures of a generated room: one ray a pixel through Embree, giving colour, metric depth and instance masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from spatialclaw_ros.evaluation.rooms_objects import Room, RoomObject
from spatialclaw_ros.evaluation.rooms_shading import shade
from spatialclaw_ros.evaluation.rooms_surfaces import Rays, Seen, Surfaces, surfaces_of, surfaces_of_room
from spatialclaw_ros.frames.camera import Intrinsics


@dataclass(frozen=True)
class Picture:
    """color: (H, W, 3) uint8 RGB; depth: (H, W) float32 metres along the optical axis, NaN where nothing was hit;
    mask: (H, W) uint8, an object's number or 0."""

    color: np.ndarray
    depth: np.ndarray
    mask: np.ndarray


def pixel_rays(camera: Intrinsics) -> np.ndarray:
    """(H, W, 3) float64 directions in the optical frame, z = 1, so that a length along one is a depth."""
    rows, columns = np.mgrid[: camera.height, : camera.width]
    return np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones_like(rows)], axis=-1)


class Renderer:
    """Renders a room from any place at any time of its recording."""

    def __init__(self, room: Room, camera: Intrinsics) -> None:
        self._static = surfaces_of_room(room)
        self._movers: list[tuple[RoomObject, Surfaces]] = [
            (thing, surfaces_of(thing)) for thing in room.objects if thing.motion is not None
        ]
        self._rays = pixel_rays(camera).astype(np.float32)
        length, width, height = room.size
        self._lamps = np.array(
            [[0.25 * length, 0.2 * width, height - 0.12], [-0.3 * length, -0.25 * width, height - 0.3]]
        )

    def render(self, pose: np.ndarray, seconds: float, *, colour: bool = True) -> Picture:
        """What a camera at `pose` ((4, 4) optical to world) sees at a time of the recording. Depth is exact.

        colour: False leaves the picture black and takes half the time.
        """
        shape = self._rays.shape[:2]
        directions = self._rays.reshape(-1, 3) @ pose[:3, :3].T.astype(np.float32)
        rays = Rays(np.broadcast_to(pose[:3, 3].astype(np.float32), directions.shape).copy(), directions)
        seen = self._static.see(rays)
        for thing, surfaces in self._movers:
            near = rays.near(thing.centre(seconds), float(np.linalg.norm(thing.size) / 2 + 0.05))
            if near.size:
                own = thing.pose(seconds)
                seen.cover(near, surfaces.see(rays.seen_from(own, near)), own)
        rgb = self._lit(seen, rays, shape, seconds) if colour else np.zeros((*shape, 3), np.uint8)
        depth = np.where(np.isfinite(seen.distance), seen.distance, np.float32(np.nan))
        return Picture(rgb, depth.reshape(shape), seen.number.reshape(shape))

    def _lit(self, seen: Seen, rays: Rays, shape: tuple[int, int], seconds: float) -> np.ndarray:
        """(H, W, 3) uint8: the colours under the lamps."""
        away = np.einsum("ij,ij->i", seen.normals, rays.directions) > 0
        seen.normals *= np.where(away, np.float32(-1), np.float32(1))[:, None]
        light = self._light(seen, shape, seconds)
        colours = shade(seen.base, seen.normals, seen.points, light, self._lamps, seen.glow)
        return (colours.reshape(*shape, 3) * 255.0 + 0.5).astype(np.uint8)

    def _light(self, seen: Seen, shape: tuple[int, int], seconds: float) -> np.ndarray:
        """(N,) share of the key lamp's light, from a half-size shadow map of this view, blurred to soft edges."""
        spots = (seen.points + 0.004 * seen.normals).reshape(*shape, 3)[::2, ::2].reshape(-1, 3).astype(np.float32)
        rays = Rays(spots, (self._lamps[0].astype(np.float32) - spots) * np.float32(0.99))
        blocked = self._static.block(rays)
        for thing, surfaces in self._movers:
            near = rays.near(thing.centre(seconds), float(np.linalg.norm(thing.size) / 2))
            if near.size:
                blocked[near] |= surfaces.block(rays.seen_from(thing.pose(seconds), near))
        half = (1.0 - 0.8 * blocked).astype(np.float32).reshape((shape[0] + 1) // 2, (shape[1] + 1) // 2)
        soft = cv2.blur(half, (5, 5))
        return cv2.resize(soft, shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(-1)
