"""PoseSource: where a camera was at a stamp, whoever knows it (a transform buffer here, tf2_ros on a robot)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from spatialclaw_ros.errors import TransformError

_RIGID_TOLERANCE = 1e-3  # 7-Scenes and other text poses carry rotations rounded to 4 digits


class PoseSource(Protocol):
    """Answers one question: the pose of a camera in a world frame at a stamp."""

    def pose(self, optical_frame: str, world_frame: str, stamp_ns: int) -> np.ndarray:
        """(4, 4) float64, camera-to-world at the stamp. Raises: TransformError with the reason."""
        ...


@dataclass(frozen=True)
class FoundPose:
    """matrix: (4, 4) camera-to-world, or None; note: where it came from when not from TF, or why there is none."""

    matrix: np.ndarray | None
    note: str = ""


@runtime_checkable
class TrajectorySource(PoseSource, Protocol):
    """A pose source that answers for many stamps at once and knows the path of every frame."""

    def poses(self, optical_frame: str, world_frame: str, stamps: Sequence[int]) -> list[FoundPose]: ...

    def frame_ids(self) -> list[str]:
        """Every frame that it has heard of."""
        ...

    def trajectory(
        self, frame: str, world: str, start_ns: int = 0, end_ns: int = 0, rate_hz: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Stamps (N,) int64 ns and poses (N, 4, 4) frame-to-world; one sample, at stamp 0, where the frame is fixed.

        Raises: TransformError.
        """
        ...


class NoPoses:
    """A pose source for a robot that does not say where it is."""

    def pose(self, optical_frame: str, world_frame: str, stamp_ns: int) -> np.ndarray:
        raise TransformError(f"no transform from {world_frame!r} to {optical_frame!r}: no transform was ever received")


def check_pose(pose: np.ndarray, what: str) -> np.ndarray:
    """The pose as (4, 4) float64. Raises: TransformError where it is not finite or not a rigid motion."""
    pose = np.array(pose, np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise TransformError(f"{what}: pose of shape {pose.shape} is not usable; expected a finite 4x4 camera-to-world")
    rotation = pose[:3, :3]
    error = np.abs(rotation.T @ rotation - np.eye(3)).max()
    if error > _RIGID_TOLERANCE or np.linalg.det(rotation) < 0 or np.abs(pose[3] - (0, 0, 0, 1)).max() > 1e-9:
        raise TransformError(
            f"{what}: pose is not a rigid motion (rotation is {error:.2g} from orthonormal, last row "
            f"{pose[3].tolist()}); expected a rotation matrix and a translation in metres"
        )
    return pose


def find_poses(source: PoseSource, optical_frame: str, world_frame: str, stamps: Sequence[int]) -> list[FoundPose]:
    """The poses of one camera at several stamps; a missing or unusable one is a note, not an error."""
    if isinstance(source, TrajectorySource):
        return source.poses(optical_frame, world_frame, stamps)
    return [_find_pose(source, optical_frame, world_frame, stamp) for stamp in stamps]


def _find_pose(source: PoseSource, optical_frame: str, world_frame: str, stamp: int) -> FoundPose:
    try:
        return FoundPose(check_pose(source.pose(optical_frame, world_frame, stamp), f"pose of {optical_frame!r}"))
    except TransformError as error:
        return FoundPose(None, str(error))
