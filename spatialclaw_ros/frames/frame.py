"""Frame: one picture of one camera with what is known about it, decoded on first use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.decode import decode_color, decode_depth
from spatialclaw_ros.frames.payload import ImagePayload


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture, optional metric depth, and where the camera was.

    camera: the camera's name; stamp: nanoseconds of ROS time at exposure.
    color: (H, W, 3) uint8 RGB. depth: (H, W) float32, metres along the optical axis, NaN unknown; None without depth.
    pose: (4, 4) float64, camera (optical convention: x right, y down, z forward) to `frame_id`; None where unknown.
    frame_id: the world frame of `pose`; optical_frame: the camera's own frame.
    index: unique over all cameras of a session, never reused. depth_stamp: ns, the depth image's own stamp.
    notes: what is missing or was compensated, in sentences ("no transform from odom to cam at 12.3 s: ...").
    """

    camera: str
    stamp: int
    color_payload: ImagePayload
    depth_payload: ImagePayload | None = None
    intrinsics: Intrinsics | None = None
    pose: np.ndarray | None = None
    frame_id: str = "odom"
    optical_frame: str = ""
    index: int = -1
    depth_stamp: int = 0
    notes: tuple[str, ...] = ()

    @cached_property
    def color(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB, decoded once; read-only. Raises: ImageError."""
        return decode_color(self.color_payload)

    @cached_property
    def depth(self) -> np.ndarray | None:
        """(H, W) float32 metres, NaN where unknown, decoded once; read-only. Raises: ImageError."""
        return None if self.depth_payload is None else decode_depth(self.depth_payload)

    @classmethod
    def from_files(
        cls,
        color: str | Path,
        depth: str | Path | None = None,
        intrinsics: Intrinsics | ArrayLike | None = None,
        pose: np.ndarray | None = None,
        stamp: int = 0,
        camera: str = "camera",
        depth_scale: float = 1e-3,
    ) -> Frame:
        """A frame of picture files: see `frames.files.frame_from_files`."""
        from spatialclaw_ros.frames.files import frame_from_files  # lazily: the kernel never reads picture files

        return frame_from_files(color, depth, intrinsics, pose, stamp, camera, depth_scale)
