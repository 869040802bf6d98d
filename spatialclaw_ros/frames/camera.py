"""Intrinsics: a pinhole camera with distortion, validated when made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatialclaw_ros.errors import CameraInfoError


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera: focal lengths and principal point in pixels, for pictures of width x height pixels.

    distortion: coefficients in the order of sensor_msgs/CameraInfo; empty for a rectified picture.
    Raises: CameraInfoError for a focal length that is not positive and finite, or a size below one pixel.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion_model: str = ""
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(np.isfinite(values)) or self.fx <= 0 or self.fy <= 0 or self.width < 1 or self.height < 1:
            raise CameraInfoError(
                f"camera intrinsics fx={self.fx:g} fy={self.fy:g} cx={self.cx:g} cy={self.cy:g} for "
                f"{self.width}x{self.height} pixels are not usable; expected finite values, fx and fy above 0 and a "
                f"picture size. Is the camera calibrated (a driver that is not publishes K as zeros)?"
            )

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64 camera matrix K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])
