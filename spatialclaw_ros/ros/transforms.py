"""Poses from /tf, /tf_static and odometry: tf2_ros where the distribution has it, else this package's own buffer.

Behind both stands the same TrajectorySource, so that nothing else knows which of them answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from spatialclaw_ros.errors import TransformError
from spatialclaw_ros.frames.poses import FoundPose
from spatialclaw_ros.frames.rotations import rotation_from
from spatialclaw_ros.frames.transforms import TransformBuffer


def have_tf2() -> bool:
    """Whether tf2_ros can be imported: from a distribution, not from PyPI."""
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        return False
    return True


class Tf2Transforms(TransformBuffer):
    """Asks tf2 for poses at a stamp, and this buffer for what tf2 does not keep at hand: paths, odometry, frame names.

    tf2 extrapolates nothing either; where it has no answer, the own buffer's (perhaps from odometry) counts.
    clear: makes tf2 forget what is not static.
    lookup: (target, source, stamp ns) -> geometry_msgs/TransformStamped, raising any exception for "not known".
    """

    def __init__(
        self, lookup: Callable[[str, str, int], Any], seconds: float, clear: Callable[[], Any] = lambda: None
    ) -> None:
        super().__init__(seconds)
        self._tf2_lookup = lookup
        self._tf2_clear = clear
        self.listener: Any = None
        """tf2's own subscriptions, which live until `close`."""

    def clear(self) -> None:
        """Forget all but the static transforms, here and in tf2, which would otherwise answer from before a jump."""
        super().clear()
        self._tf2_clear()

    def close(self) -> None:
        """End tf2's subscriptions; a second call does nothing."""
        if self.listener is not None:
            self.listener.unregister()
            self.listener = None

    def poses(self, optical_frame: str, world_frame: str, stamps: Sequence[int]) -> list[FoundPose]:
        found = super().poses(optical_frame, world_frame, stamps)
        return [
            self._from_tf2(optical_frame, world_frame, stamp) or own for stamp, own in zip(stamps, found, strict=True)
        ]

    def _from_tf2(self, source: str, target: str, stamp: int) -> FoundPose | None:
        try:
            transform = self._tf2_lookup(target, source, stamp).transform
        except (
            Exception
        ):  # tf2's exceptions share no base class over the distributions; the own buffer names the reason
            return None
        move, turn = transform.translation, transform.rotation
        return FoundPose(matrix_of((move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w)))


def make_transforms(node: Node, seconds: float) -> TransformBuffer:
    """The buffer that the node feeds (subscriptions.py) and that snapshots take poses from."""
    if not have_tf2():
        return TransformBuffer(seconds)
    import tf2_ros

    buffer = tf2_ros.Buffer(cache_time=Duration(seconds=seconds), node=node)
    transforms = Tf2Transforms(
        lambda target, source, stamp: buffer.lookup_transform(target, source, Time(nanoseconds=stamp)),
        seconds,
        buffer.clear,
    )
    transforms.listener = tf2_ros.TransformListener(buffer, node, spin_thread=False)
    return transforms


def matrix_of(translation: Sequence[float], quaternion_xyzw: Sequence[float]) -> np.ndarray:
    """(4, 4) float64 of a translation in metres and a unit quaternion. Raises: TransformError where not finite."""
    norm = float(np.linalg.norm(quaternion_xyzw))
    if not np.isfinite(norm) or norm == 0.0 or not np.isfinite(translation).all():
        raise TransformError(f"transform {[*translation, *quaternion_xyzw]} is not finite")
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from(np.array(quaternion_xyzw))
    matrix[:3, 3] = translation
    return matrix
