"""The world of a Reconstruction: where up is, where the floor is, and the transform from the robot's world frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.workbench.backproject import depth_damage, measured, pixel_rays, transform

GRID_COLUMNS = 107
"""Normals are taken on a grid of about this many columns."""
MAX_FRAMES = 10
UP_CONE = np.cos(np.radians(50.0))
"""Surfaces whose normal lies within this cone around the cameras' mean up can be floors and tables."""
PLANE_CONE = np.cos(np.radians(8.0))
MIN_SUPPORT = 0.03
FLOOR_BAND = 0.03
KNOWN_FLOOR_TOLERANCE = 0.06


@dataclass(frozen=True)
class World:
    """up: (3,) unit vector and ground: height along it, metres, both in the world frame of the poses. notes: how
    found."""

    up: np.ndarray
    ground: float
    notes: tuple[str, ...] = ()


def estimate_world(frames: Sequence[Frame], gravity_aligned: bool) -> World:
    """Where up and the floor are, from frames that have depth, intrinsics and pose.

    gravity_aligned: the world frame's z axis is known to point up (REP-103); its z = 0 is then the floor, unless a
    lower horizontal surface is measured. Otherwise up is the mode of the surface normals around the cameras' mean up
    (floor, tables and shelves share it), and the floor the lowest level surface; without such surfaces, the first
    camera's up. Frames whose depth cannot be decoded are passed over with a note; one at least must be sound.
    """
    spread = [
        frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MAX_FRAMES)).round().astype(int))
    ]
    damaged = [frame for frame in spread if depth_damage(frame)]
    picked = [frame for frame in spread if frame not in damaged] or _first_sound(frames)
    points, normals = _oriented_points(picked)
    notes = [f"the depth of frame {frame.index} is damaged: {depth_damage(frame)}" for frame in damaged[:1]]
    if gravity_aligned:
        up = np.array([0.0, 0.0, 1.0])
    else:
        level = _level_normal(normals, _mean_camera_up(picked))
        up = -measured(picked[0])[2][:3, 1] if level is None else level
        if level is None:
            notes.append("no level surface found: up is the first camera's up, heights may be tilted")
        else:
            notes.append("the world frame is not gravity-aligned: up is estimated from level surfaces (floor, tables)")
    floor = _floor_height(points @ up, normals @ up)
    if gravity_aligned and (floor is None or floor > -KNOWN_FLOOR_TOLERANCE):
        floor = 0.0
    elif floor is None:
        floor = float(np.percentile(points @ up, 1)) if len(points) else 0.0
        notes.append("no floor found: Y = 0 is at the lowest measured points")
    elif gravity_aligned:
        notes.append(f"a level surface lies below z = 0 of the world frame: Y = 0 is there, at z = {floor:.2f} m")
    return World(up, floor, tuple(notes))


def world_to_reconstruction(world: World, first_pose: np.ndarray) -> np.ndarray:
    """(4, 4) from the poses' world frame to the reconstruction's: +Y up, Y = 0 on the ground, the first camera above
    the origin and looking to -Z (its horizontal part; a camera that looks straight down or up faces where its image's
    top, or bottom, points)."""
    forward = first_pose[:3, 2] - world.up * (first_pose[:3, 2] @ world.up)
    if np.linalg.norm(forward) < 0.1:
        image_up = -first_pose[:3, 1] * (1.0 if first_pose[:3, 2] @ world.up < 0 else -1.0)
        forward = image_up - world.up * (image_up @ world.up)
    forward = forward / np.linalg.norm(forward)
    rotation = np.stack([np.cross(forward, world.up), world.up, -forward])
    camera = first_pose[:3, 3]
    origin = camera - world.up * (camera @ world.up - world.ground)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = -rotation @ origin
    return matrix


def _first_sound(frames: Sequence[Frame]) -> list[Frame]:
    return [next(frame for frame in frames if not depth_damage(frame))]


def _oriented_points(frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) subsampled world points and their unit normals, which face the camera."""
    all_points, all_normals = [np.zeros((0, 3))], [np.zeros((0, 3))]
    for frame in frames:
        depth, intrinsics, pose = measured(frame)
        stride = max(1, depth.shape[1] // GRID_COLUMNS)
        grid = (pixel_rays(intrinsics, depth.shape[1], depth.shape[0]) * depth[..., None])[::stride, ::stride]
        across, down = grid[1:-1, 2:] - grid[1:-1, :-2], grid[2:, 1:-1] - grid[:-2, 1:-1]
        normal = np.cross(down, across)  # image axes: down x right faces the camera (-z)
        length = np.linalg.norm(normal, axis=-1)
        centre = grid[1:-1, 1:-1]
        smooth = (np.abs(across[..., 2]) < 0.1 * centre[..., 2]) & (np.abs(down[..., 2]) < 0.1 * centre[..., 2])
        good = smooth & (length > 0) & np.isfinite(length)
        all_points.append(transform(pose, centre[good].astype(np.float64)))
        all_normals.append((normal[good] / length[good, None]) @ pose[:3, :3].T)
    return np.concatenate(all_points), np.concatenate(all_normals)


def _mean_camera_up(frames: Sequence[Frame]) -> np.ndarray:
    mean = -np.mean([measured(frame)[2][:3, 1] for frame in frames], axis=0)
    return mean / max(np.linalg.norm(mean), 1e-9)


def _level_normal(normals: np.ndarray, prior: np.ndarray) -> np.ndarray | None:
    """The mode of the normals near `prior` by mean shift with a shrinking window; None without enough of them."""
    near = normals[normals @ prior > UP_CONE]
    if len(near) < MIN_SUPPORT * max(len(normals), 1) or len(near) < 50:
        return None
    seeds = near[:: max(1, len(near) // 200)]
    support = (seeds @ near.T > PLANE_CONE).sum(axis=1)
    best = seeds[int(np.argmax(support))]
    for _ in range(10):
        members = near[near @ best > PLANE_CONE]
        best = members.mean(axis=0)
        best /= np.linalg.norm(best)
    return best if len(members) >= MIN_SUPPORT * len(normals) else None


def _floor_height(heights: np.ndarray, normal_up: np.ndarray) -> float | None:
    """The lowest height at which level, upward-facing surface gathers; None without one."""
    level = heights[normal_up > PLANE_CONE]
    if len(level) < 50:
        return None
    low = level.min()
    counts = np.bincount(((level - low) / FLOOR_BAND).astype(int))
    smooth = np.convolve(counts, [1, 1, 1], mode="same")
    strong = np.flatnonzero(smooth >= max(0.1 * smooth.max(), MIN_SUPPORT * len(level), 20))
    start = strong[0]
    stop = min(start + 6, len(smooth))
    peak = start + int(np.argmax(smooth[start:stop]))
    middle = low + (peak + 0.5) * FLOOR_BAND
    return float(np.median(level[np.abs(level - middle) < 1.5 * FLOOR_BAND]))
