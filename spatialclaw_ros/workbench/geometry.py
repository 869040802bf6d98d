"""tools.Geometry: distances, directions, projections and planes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import spatial

from spatialclaw_ros.workbench.backproject import transform
from spatialclaw_ros.workbench.errors import ToolError
from spatialclaw_ros.workbench.measure import Box3D, upright_box

MAX_NEAREST_POINTS = 200_000


@dataclass(frozen=True)
class Direction:
    """Where a target lies, as seen from an origin.

    azimuth: degrees, 0 ahead, positive to the LEFT (REP-103), in (-180, 180]; elevation: degrees above the horizontal;
    distance: metres; word: 'front', 'left', 'right' or 'behind' (90-degree sectors); by sign alone side: 'left' or
    'right', and depth_word: 'front' or 'behind'.
    """

    azimuth: float
    elevation: float
    distance: float

    @property
    def word(self) -> str:
        size = abs(self.azimuth)
        return "front" if size <= 45 else "behind" if size >= 135 else self.side

    @property
    def side(self) -> str:
        return "left" if self.azimuth > 0 else "right"

    @property
    def depth_word(self) -> str:
        return "front" if abs(self.azimuth) < 90 else "behind"

    def __repr__(self) -> str:
        return (
            f"Direction(word='{self.word}', azimuth={self.azimuth:+.1f} deg ({self.side}), "
            f"elevation={self.elevation:+.1f} deg, "
            f"distance={self.distance:.3f} m)"
        )


@dataclass(frozen=True)
class Nearest:
    """The nearest pair of two clouds: distance in metres, point_a and point_b (3,)."""

    distance: float
    point_a: np.ndarray
    point_b: np.ndarray

    def __iter__(self) -> Any:
        return iter((self.distance, self.point_a, self.point_b))

    def __float__(self) -> float:
        return self.distance


class Geometry:
    """Plain geometry on NumPy arrays. Lengths in metres, angles in degrees unless a name says otherwise."""

    @staticmethod
    def euclidean_distance(a: Any, b: Any) -> float:
        """Straight-line distance between two points (2,) or (3,). Raises: ToolError."""
        a, b = _vector(a, "a", sizes=(2, 3)), _vector(b, "b", sizes=(2, 3))
        if a.size != b.size:
            raise ToolError(f"both points need the same size; got {a.size} and {b.size}")
        return float(np.linalg.norm(a - b))

    @staticmethod
    def nearest_distance(a: Any, b: Any) -> Nearest:
        """The nearest pair of two clouds (N, 3) and (M, 3): distance, point_a, point_b; unpacks as a triple."""
        a, b = _cloud(a, "a"), _cloud(b, "b")
        a, b = (c[:: max(1, -(-len(c) // MAX_NEAREST_POINTS))] for c in (a, b))
        distances, which = spatial.cKDTree(b).query(a)
        best = int(np.argmin(distances))
        return Nearest(float(distances[best]), a[best], b[which[best]])

    @staticmethod
    def angle_between_vectors(a: Any, b: Any) -> float:
        """Angle in degrees, 0 to 180. Raises: ToolError for a zero vector."""
        a, b = _unit(a, "a"), _unit(b, "b")
        return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)))

    @staticmethod
    def direction(target: Any, origin: Any, forward: Any, up: Any = (0, 1, 0)) -> Direction:
        """Where `target` lies for somebody at `origin` facing along `forward` (from A facing B: forward = B - A).

        up: (0, 1, 0) in a Reconstruction, (0, 0, 1) in ROS frames.
        Raises: ToolError where left and right are undefined.
        """
        target, origin, up = _vector(target, "target"), _vector(origin, "origin"), _unit(up, "up")
        forward = _vector(forward, "forward")
        ahead = forward - up * (forward @ up)
        if np.linalg.norm(ahead) < 1e-6:
            raise ToolError("forward is parallel to up: left and right are undefined; give a horizontal forward")
        ahead = ahead / np.linalg.norm(ahead)
        offset = target - origin
        distance = float(np.linalg.norm(offset))
        if distance < 1e-9:
            raise ToolError("target and origin are the same point: it lies in no direction")
        azimuth = float(np.degrees(np.arctan2(offset @ np.cross(up, ahead), offset @ ahead)))
        elevation = float(np.degrees(np.arcsin(np.clip(offset @ up / distance, -1, 1))))
        return Direction(azimuth, elevation, distance)

    @staticmethod
    def project_point_to_camera(points: Any, intrinsics: Any, extrinsics: Any) -> np.ndarray:
        """[u, v, z] (..., 3), pixels and depth, of world points (..., 3); behind the camera z <= 0 and u, v are NaN.

        intrinsics: (3, 3) K; extrinsics: (4, 4) camera to world, as recon.extrinsics[fi] or item.pose.
        """
        camera = transform(np.linalg.inv(_matrix(extrinsics, 4, "extrinsics")), np.asarray(points, np.float64))
        matrix = _matrix(intrinsics, 3, "intrinsics")
        depth = np.where(camera[..., 2] > 0, camera[..., 2], np.nan)
        u = matrix[0, 0] * camera[..., 0] / depth + matrix[0, 2]
        v = matrix[1, 1] * camera[..., 1] / depth + matrix[1, 2]
        return np.stack([u, v, camera[..., 2]], axis=-1)

    @staticmethod
    def rotation_matrix_from_vectors(a: Any, b: Any) -> np.ndarray:
        """(3, 3) rotation that turns direction `a` into direction `b` by the shortest way (Rodrigues' formula)."""
        a, b = _unit(a, "a"), _unit(b, "b")
        axis, cosine = np.cross(a, b), float(a @ b)
        if cosine < -1.0 + 1e-9:  # opposite: half a turn about any perpendicular axis
            other = np.eye(3)[int(np.argmin(np.abs(a)))]
            axis = np.cross(a, other)
            axis /= np.linalg.norm(axis)
            return 2.0 * np.outer(axis, axis) - np.eye(3)
        skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        return np.eye(3) + skew + skew @ skew / (1.0 + cosine)

    @staticmethod
    def transform_points(points: Any, matrix: Any) -> np.ndarray:
        """Apply a (4, 4) transform to points (..., 3)."""
        return transform(_matrix(matrix, 4, "matrix"), np.asarray(points, np.float64))

    @staticmethod
    def fit_ground_plane_ransac(
        points: Any, threshold: float = 0.02, iterations: int = 300, up: Any = (0, 1, 0), max_tilt: float = 30.0
    ) -> tuple[np.ndarray, float, np.ndarray]:
        """The level plane with the most points: (normal (3,) pointing up, offset, inliers (N,) bool), normal . p +
        offset = 0.

        threshold: metres; max_tilt: degrees between normal and `up`. Repeatable.
        Raises: ToolError without such a plane.
        """
        cloud, up = _cloud(points, "points", least=3), _unit(up, "up")
        random = np.random.default_rng(0)
        sample = cloud if len(cloud) <= 20_000 else cloud[random.choice(len(cloud), 20_000, replace=False)]
        best, most = None, 0
        for triple in random.integers(0, len(sample), (iterations, 3)):
            a, b, c = sample[triple]
            normal = np.cross(b - a, c - a)
            length = np.linalg.norm(normal)
            if length < 1e-9 or abs(normal @ up) / length < np.cos(np.radians(max_tilt)):
                continue
            count = int((np.abs((sample - a) @ normal) < threshold * length).sum())
            if count > most:
                best, most = (normal / length, a), count
        if best is None:
            raise ToolError(
                f"no plane within {max_tilt:g} degrees of level in {len(cloud)} points; give points that hold floor"
            )
        near = cloud[np.abs((cloud - best[1]) @ best[0]) < threshold]
        centre = near.mean(axis=0)
        normal = np.linalg.svd(near[:20_000] - centre, full_matrices=False)[2][2] if len(near) > 3 else best[0]
        normal = normal * (1.0 if normal @ up >= 0 else -1.0)
        offset = -float(normal @ centre)
        return normal, offset, np.abs(np.reshape(np.asarray(points, float), (-1, 3)) @ normal + offset) < threshold

    @staticmethod
    def upright_box(points: Any, up: int = 1) -> Box3D:
        """The upright box of least footprint around (N, 3) points (of several frames, stacked): center, length, height,
        width, top, bottom, yaw, corners. up: axis that points up, 1 in a Reconstruction, 2 in ROS frames."""
        return upright_box(_cloud(points, "points", least=3), up)

    @staticmethod
    def normalized_to_pixel(box_or_point: Any, width: int, height: int) -> np.ndarray:
        """Coordinates in 0-1000, as vision-language models give them (x first), in pixels of a width x height
        picture."""
        values = np.asarray(box_or_point, float)
        if values.shape[-1] not in (2, 4):
            raise ToolError(f"expected [x, y] or [x1, y1, x2, y2] in 0-1000; got shape {values.shape}")
        return values / 1000.0 * np.resize([width, height], values.shape[-1])


def _vector(value: Any, name: str, sizes: tuple[int, ...] = (3,)) -> np.ndarray:
    array = np.asarray(value, np.float64).ravel()
    if array.size not in sizes or not np.isfinite(array).all():
        raise ToolError(
            f"{name} must be a finite vector of {' or '.join(map(str, sizes))} numbers; got "
            f"{np.asarray(value).tolist()}"
        )
    return array


def _unit(value: Any, name: str) -> np.ndarray:
    array = _vector(value, name)
    length = np.linalg.norm(array)
    if length < 1e-12:
        raise ToolError(f"{name} is a zero vector: it has no direction")
    return array / length


def _cloud(value: Any, name: str, least: int = 1) -> np.ndarray:
    array = np.asarray(value, np.float64)
    if array.size == 0 or array.shape[-1] != 3:
        raise ToolError(f"{name} must be points (N, 3); got shape {array.shape}")
    array = array.reshape(-1, 3)
    array = array[np.isfinite(array).all(axis=1)]
    if len(array) < least:
        raise ToolError(f"{name} needs at least {least} finite points; got {len(array)}")
    return array


def _matrix(value: Any, size: int, name: str) -> np.ndarray:
    array = np.asarray(value, np.float64)
    if array.shape != (size, size) or not np.isfinite(array).all():
        raise ToolError(f"{name} must be a finite ({size}, {size}) matrix; got shape {array.shape}")
    return array
