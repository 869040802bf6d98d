"""What question makers may ask about: the room, the camera, what was well seen, and exact measures between things."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spatialclaw_ros.evaluation.nearest import nearest_distance
from spatialclaw_ros.evaluation.rooms_camera import CameraPath
from spatialclaw_ros.evaluation.rooms_objects import Room, RoomObject
from spatialclaw_ros.evaluation.rooms_visibility import Sight

SEEN_CENTRE_ERROR = 0.06
"""Metres by which the centre of a thing's seen part may miss the true one, for questions about centres to be fair."""
SEEN_ERROR = 0.03
"""Metres by which the seen part may miss a size or a gap, for questions about these to be fair."""


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
        """Unique objects that stay in place and were seen from enough sides to tell where their centre is."""
        return tuple(
            thing for thing in self.unique if thing.motion is None and self._centre_error(thing) < SEEN_CENTRE_ERROR
        )

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

    def sizes_were_seen(self, thing: RoomObject) -> bool:
        """Whether the seen part of a still object is as long, wide and tall as the whole."""
        low, high = self._seen_box(thing)
        return bool(np.abs(high - low - thing.size).max() < SEEN_ERROR)

    def _centre_error(self, thing: RoomObject) -> float:
        """Metres between the centre of the object's own box and that of what was seen of it."""
        low, high = self._seen_box(thing)
        return float(np.linalg.norm((low + high) / 2 - [0.0, 0.0, thing.size[2] / 2]))

    def _seen_box(self, thing: RoomObject) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest (3,) coordinates of the seen points along the object's own axes; NaN without points."""
        points = self.seen[thing.number]
        if not len(points):
            return np.full(3, np.nan), np.full(3, np.nan)
        pose = thing.pose()
        own = (points - pose[:3, 3]) @ pose[:3, :3]
        return own.min(0), own.max(0)
