"""What question makers may ask about: the room, the camera, what was well seen, and exact measures between things."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spatialclaw_ros.evaluation.nearest import nearest_distance
from spatialclaw_ros.evaluation.rooms_camera import CameraPath
from spatialclaw_ros.evaluation.rooms_objects import Room, RoomObject
from spatialclaw_ros.evaluation.rooms_visibility import Sight

SEEN_ERROR = 0.03
"""Metres by which the seen part of a thing may miss a measure before the question counts as not answerable."""


@dataclass(frozen=True)
class Scene:
    """times: seconds, one a frame. seen: surface points (M, 3) of still objects that the recording shows, by number."""

    room: Room
    path: CameraPath
    times: tuple[float, ...]
    sight: Sight
    seen: dict[int, np.ndarray]

    @cached_property
    def unique(self) -> tuple[RoomObject, ...]:
        """Objects whose name no other object has, so that "the red mug" means one thing."""
        return tuple(thing for thing in self.room.objects if len(self.room.named(thing.name)) == 1)

    @cached_property
    def still(self) -> tuple[RoomObject, ...]:
        """Unique objects that stay in place and whose box was seen completely."""
        return tuple(thing for thing in self.unique if thing.motion is None and self._box_error(thing) < SEEN_ERROR)

    @property
    def movers(self) -> tuple[RoomObject, ...]:
        return tuple(thing for thing in self.unique if thing.motion is not None)

    def well_seen(self, thing: RoomObject, frame: int) -> bool:
        return bool(self.sight.well[frame, thing.number - 1])

    def in_camera(self, thing: RoomObject, frame: int) -> np.ndarray:
        """(3,) metres: the object's centre in the optical frame (x right, y down, z forward) of a frame."""
        pose = self.path.camera(self.times[frame])
        return pose[:3, :3].T @ (thing.centre(self.times[frame]) - pose[:3, 3])

    def camera_places(self) -> np.ndarray:
        """(K, 3) metres: where the camera was in every frame."""
        return np.stack([self.path.camera(t)[:3, 3] for t in self.times])

    def centre_distance(self, a: RoomObject, b: RoomObject) -> float:
        """Metres between the centres of two still objects."""
        return float(np.linalg.norm(a.centre() - b.centre()))

    def surface_distance(self, a: RoomObject, b: RoomObject) -> float:
        """Metres between the nearest points of two still objects."""
        return nearest_distance(a.triangles(), b.triangles())

    def surfaces_were_seen(self, a: RoomObject, b: RoomObject, distance: float) -> bool:
        """Whether the nearest points (at `distance` metres) lie on parts of both that the recording shows."""
        from scipy.spatial import cKDTree

        apart, _ = cKDTree(self.seen[a.number]).query(self.seen[b.number])
        return bool(apart.min() - distance < SEEN_ERROR)

    def _box_error(self, thing: RoomObject) -> float:
        """Largest distance, metres, between a side of the object's own box and what of it was seen."""
        points = self.seen[thing.number]
        if not len(points):
            return float("inf")
        pose = thing.pose()
        own = (points - pose[:3, 3]) @ pose[:3, :3]
        half = np.array([thing.size[0] / 2, thing.size[1] / 2])
        low, high = np.array([*-half, 0.0]), np.array([*half, thing.size[2]])
        centre_error = np.abs((own.min(0) + own.max(0)) / 2 - (low + high) / 2).max()
        size_error = np.abs((own.max(0) - own.min(0)) - (high - low)).max()
        return float(max(centre_error, size_error))
