"""Robust measuring on an object's pixels: edges eroded, flying pixels removed, the dominant piece kept."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage, spatial

MIN_PIXELS = 10
JUMP_BASE, JUMP_SLOPE = 0.03, 0.03
"""A pixel more than base + slope * depth (metres) behind a neighbour is background, or flies between the two."""
REACH_SHARE, MIN_REACH, MAX_REACH = 0.3, 0.08, 0.3
"""A piece of a mask belongs to the main one within this share of the larger one's extent, between the bounds in metres:
a lamp's pole belongs to the shade that hides its top."""
SMALLEST_PIECE = 0.02


def trusted_pixels(mask: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of `mask` with depth to trust: inside the edge, measured, not behind a depth edge.

    Thin parts (a lamp's pole) are kept: only an edge beside something wider is cut, and of a depth edge the far side.
    """
    mask = np.asarray(mask, bool)
    known = np.isfinite(depth) & (depth > 0)
    candidates = _without_edge(mask) & known
    if candidates.sum() < MIN_PIXELS:
        candidates = mask & known
    steady = candidates & ~_behind_an_edge(depth, known)
    return steady if steady.sum() >= max(MIN_PIXELS, 0.3 * candidates.sum()) else candidates


def dominant_piece(points: np.ndarray, pixel_size: float = 0.0) -> np.ndarray:
    """(N,) bool: the largest connected piece of a cloud, with the pieces near it.

    pixel_size: metres between neighbouring points, so that a far, sparse surface does not fall apart.
    """
    if len(points) < MIN_PIXELS:
        return np.ones(len(points), bool)
    owner, count = _pieces(points, max(0.03, 3.0 * pixel_size))
    sizes = np.bincount(owner, minlength=count + 1)
    main = int(np.argmax(sizes))
    keep = owner == main
    others = [i for i in np.argsort(-sizes) if i != main and sizes[i] >= max(3, SMALLEST_PIECE * sizes[main])]
    for _ in range(2):  # a second round reaches what hangs on a piece of the first
        for piece in others:
            members = owner == piece
            extent = max(_extent(points[owner == main]), _extent(points[members]))
            reach = np.clip(REACH_SHARE * extent, MIN_REACH, MAX_REACH)
            if not keep[members].any() and _gap(points[keep], points[members]) < reach:
                keep |= members
    return keep


def _pieces(points: np.ndarray, voxel: float) -> tuple[np.ndarray, int]:
    """The piece (1..count) of each point: neighbouring occupied voxels are connected, corners included."""
    low = points.min(axis=0)
    extent = points.max(axis=0) - low
    while np.prod(np.floor(extent / voxel) + 3) > 2e6:
        voxel *= 1.5
    cells = np.floor((points - low) / voxel).astype(int)
    grid = np.zeros(cells.max(axis=0) + 1, bool)
    grid[tuple(cells.T)] = True
    pieces, count = ndimage.label(grid, np.ones((3, 3, 3)))
    return pieces[tuple(cells.T)], count


def _extent(points: np.ndarray) -> float:
    return float(np.linalg.norm(np.ptp(points, axis=0)))


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    """About the least distance between two clouds (of at most 2000 and 300 of their points)."""
    a, b = a[:: max(1, len(a) // 2000)], b[:: max(1, len(b) // 300)]
    return float(spatial.cKDTree(a).query(b)[0].min())


def _without_edge(mask: np.ndarray) -> np.ndarray:
    """The mask without its outermost pixels, but with the parts that are too thin to have an inside."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    thin = mask & ~cv2.dilate(inner, np.ones((5, 5), np.uint8)).astype(bool)
    return inner.astype(bool) | thin


def _behind_an_edge(depth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels clearly behind one of their 3x3 neighbours."""
    far = np.float32(1e6)
    nearest = cv2.erode(np.where(known, depth, far).astype(np.float32), np.ones((3, 3), np.uint8))
    return known & (depth - nearest > JUMP_BASE + JUMP_SLOPE * depth)


@dataclass(frozen=True)
class Box3D:
    """A box around an object, upright in its world. All metres.

    center: (3,). size: (3,) along the box's own axes: length (the longer horizontal side), height (along up), width.
    yaw: radians about up, of the length axis from +X. up: axis that points up (1 = Y in a Reconstruction, 2 = z in a
    ROS frame).
    """

    center: np.ndarray
    size: np.ndarray
    yaw: float
    points: int = 0
    up: int = 1

    @property
    def height(self) -> float:
        return float(self.size[1])

    @property
    def length(self) -> float:
        return float(self.size[0])

    @property
    def width(self) -> float:
        return float(self.size[2])

    @property
    def top(self) -> float:
        """Height of the box's top along up (above the floor in a Reconstruction)."""
        return float(self.center[self.up] + self.height / 2)

    @property
    def bottom(self) -> float:
        return float(self.center[self.up] - self.height / 2)

    @property
    def axes(self) -> np.ndarray:
        """(3, 3): rows are the unit vectors of length, height and width."""
        up = np.eye(3)[self.up]
        first = np.array([1.0, 0.0, 0.0])
        along = np.cos(self.yaw) * first + np.sin(self.yaw) * np.cross(up, first)
        return np.stack([along, up, np.cross(along, up)])

    @property
    def corners(self) -> np.ndarray:
        """(8, 3)."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        return self.center + (signs * self.size / 2) @ self.axes

    def __repr__(self) -> str:
        center = ", ".join(f"{v:.3f}" for v in self.center)
        return (
            f"Box3D(center=[{center}] m, length={self.length:.3f}, height={self.height:.3f}, width={self.width:.3f} m, "
            f"yaw={np.degrees(self.yaw):.0f} deg, from {self.points} points)"
        )


def upright_box(points: np.ndarray, up: int = 1, trim: float = 0.5) -> Box3D:
    """The upright box of least footprint around (N, 3) points, after cutting `trim` percent at each end of each axis.

    up: the axis that points up, 1 (Y, Reconstruction) or 2 (z, ROS frames).
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)]
    low, high = np.percentile(points, [trim, 100.0 - trim], axis=0)
    inside = ((points >= low) & (points <= high)).all(axis=1)
    kept = points[inside] if inside.sum() >= 3 else points
    first, second = (0, 2) if up == 1 else (0, 1)
    (cx, cy), (w, h), angle = cv2.minAreaRect(kept[:, [first, second]].astype(np.float32))
    if h > w:
        w, h, angle = h, w, angle + 90.0
    yaw = np.radians(angle) * (-1.0 if up == 1 else 1.0)  # Y up: +X turns towards -Z
    yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2
    center = np.empty(3)
    center[[first, second]] = cx, cy
    center[up] = (low[up] + high[up]) / 2
    return Box3D(center, np.array([w, high[up] - low[up], h]), float(yaw), len(points), up)
