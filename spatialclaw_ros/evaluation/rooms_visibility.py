"""What the recording shows of each object: pixels, how much is hidden, and the points of its surface that were seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatialclaw_ros.evaluation.rooms_objects import Room, RoomObject
from spatialclaw_ros.evaluation.rooms_render import Picture, pixel_rays
from spatialclaw_ros.evaluation.rooms_surfaces import Rays, Surfaces, surfaces_of
from spatialclaw_ros.frames.camera import Intrinsics

ENOUGH_PIXELS = 400
"""Pixels of a 640x480 picture that an object needs to count as well seen."""
ENOUGH_SHARE = 0.6
"""Share of its outline within the picture that nothing else hides."""
ENOUGH_FRAMES = 5


@dataclass(frozen=True)
class Sight:
    """pixels: (K, N) visible pixels of N objects in K frames, for a 640x480 picture; share: (K, N) of the object's
    own outline; whole: (K, N) True where the outline does not touch the picture's edge."""

    pixels: np.ndarray
    share: np.ndarray
    whole: np.ndarray

    @property
    def well(self) -> np.ndarray:
        """(K, N) True where an object is well seen."""
        return (self.pixels >= ENOUGH_PIXELS) & (self.share >= ENOUGH_SHARE)


def coarse(camera: Intrinsics, step: int = 4) -> Intrinsics:
    """The same view with pixels `step` times larger."""
    return Intrinsics(
        camera.fx / step,
        camera.fy / step,
        (camera.cx + 0.5) / step - 0.5,
        (camera.cy + 0.5) / step - 0.5,
        camera.width // step,
        camera.height // step,
    )


class SightMeter:
    """Measures, with coarse pictures, what is seen of every object against its outline if nothing stood before it."""

    def __init__(self, room: Room, camera: Intrinsics) -> None:
        self._room = room
        self._camera = camera
        self._alone: list[Surfaces] = [surfaces_of(thing) for thing in room.objects]
        self._rays = pixel_rays(camera)
        self._scale = (640 * 480) / (camera.width * camera.height)

    def measure(self, pictures: list[Picture], poses: list[np.ndarray], times: list[float]) -> Sight:
        """pictures: made with the meter's camera at `poses` ((4, 4) optical to world) and `times` (seconds)."""
        rows = [self._one(picture.mask, pose, t) for picture, pose, t in zip(pictures, poses, times, strict=True)]
        seen, outline, whole = (np.stack([row[k] for row in rows]) for k in range(3))
        return Sight(seen * self._scale, seen / np.maximum(outline, 1), whole)

    def _one(self, mask: np.ndarray, pose: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        seen = np.bincount(mask.ravel(), minlength=len(self._room.objects) + 1)[1:]
        outlines = [self._outline(k, thing, pose, seconds) for k, thing in enumerate(self._room.objects)]
        whole = [not (o[0].any() or o[-1].any() or o[:, 0].any() or o[:, -1].any()) for o in outlines]
        return seen, np.array([int(o.sum()) for o in outlines]), np.array(whole)

    def _outline(self, index: int, thing: RoomObject, pose: np.ndarray, seconds: float) -> np.ndarray:
        """(H, W) bool: rays that would meet the object if it were alone. Rays are cast in the object's own frame."""
        view = np.linalg.inv(thing.pose(seconds)) @ pose
        directions = (self._rays.reshape(-1, 3) @ view[:3, :3].T).astype(np.float32)
        rays = Rays(np.broadcast_to(view[:3, 3].astype(np.float32), directions.shape).copy(), directions)
        near = rays.near(np.array([0.0, 0.0, thing.size[2] / 2]), float(np.linalg.norm(thing.size) / 2 + 0.02))
        outline = np.zeros(len(directions), bool)
        if near.size:
            outline[near] = self._alone[index].hit(Rays(rays.origins[near], directions[near]))
        return outline.reshape(self._camera.height, self._camera.width)


def is_good(room: Room, sight: Sight) -> bool:
    """Whether every object is well seen in enough frames, and whole in at least two of them."""
    well = sight.well
    return bool((well.sum(0) >= ENOUGH_FRAMES).all() and ((well & sight.whole).sum(0) >= 2).all())


class SeenSurfaces:
    """Gathers which points of the still objects' surfaces a recording shows, from every second pixel, to 5 mm."""

    def __init__(self, room: Room, camera: Intrinsics) -> None:
        self._rays = pixel_rays(camera)[::2, ::2]
        self._clouds: dict[int, list[np.ndarray]] = {thing.number: [] for thing in room.objects if thing.motion is None}

    def add(self, picture: Picture, pose: np.ndarray) -> None:
        """pose: (4, 4) optical to world."""
        mask, depth = picture.mask[::2, ::2], picture.depth[::2, ::2]
        for number, clouds in self._clouds.items():
            chosen = mask == number
            clouds.append((self._rays[chosen] * depth[chosen, None]) @ pose[:3, :3].T + pose[:3, 3])

    def points(self) -> dict[int, np.ndarray]:
        """(M, 3) world metres by object number."""
        return {number: _thin(np.concatenate(clouds), 0.005) for number, clouds in self._clouds.items()}


def _thin(points: np.ndarray, cell: float) -> np.ndarray:
    """One point a cubic cell of that many metres."""
    cells = np.floor(points / cell).astype(np.int64) + 2**20
    keys = (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2]
    return points[np.unique(keys, return_index=True)[1]]
