"""Intrinsics: a pinhole camera with distortion, validated when made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

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

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, width: int, height: int) -> Intrinsics:
        """From a (3, 3) camera matrix K (array or nested list) for rectified pictures of width x height pixels.

        Raises: CameraInfoError where it is no such matrix: another shape, skew, a last row other than 0 0 1, zeros.
        """
        try:
            k = np.asarray(matrix, np.float64)
        except (TypeError, ValueError) as error:
            raise CameraInfoError(
                f"camera matrix is a {type(matrix).__name__} that holds no 3x3 numbers ({error})"
            ) from error
        if k.shape != (3, 3):
            raise CameraInfoError(f"camera matrix has shape {k.shape}; expected (3, 3), or Intrinsics")
        if np.any(k) and (k[0, 1] or k[1, 0] or k[2].tolist() != [0.0, 0.0, 1.0]):
            raise CameraInfoError(
                f"camera matrix {k.tolist()} is no pinhole camera's; expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]"
            )
        return cls(float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]), width, height)

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64 camera matrix K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])
