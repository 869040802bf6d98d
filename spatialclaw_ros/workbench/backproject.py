"""Pixels to rays and depth images to points, in the camera's optical frame."""

from __future__ import annotations

from functools import lru_cache
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from spatialclaw_ros.errors import ImageError
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.decode import decode_depth
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.workbench.errors import ToolError

_FISHEYE_MODELS = ("equidistant", "fisheye")

_damage: WeakKeyDictionary[ImagePayload, str] = WeakKeyDictionary()
"""What decoding a depth image said, "" where it succeeded, so that each is tried once."""


def measured(frame: Frame) -> tuple[np.ndarray, Intrinsics, np.ndarray]:
    """Depth, intrinsics and pose of a frame that has all three. Raises: ToolError."""
    depth = frame.depth
    if depth is None or frame.intrinsics is None or frame.pose is None:
        raise ToolError(f"frame {frame.index} lacks depth, intrinsics or pose; 3D needs all three")
    return depth, frame.intrinsics, frame.pose


def depth_damage(frame: Frame) -> str:
    """Why the depth of a frame cannot be decoded; "" where it can, or where there is none.

    The check at arrival reads the header alone: a compressed image may be damaged behind it.
    """
    payload = frame.depth_payload
    if payload is None:
        return ""
    if payload not in _damage:
        try:
            if "depth" not in vars(frame):  # else it is decoded already
                decode_depth(payload)
            _damage[payload] = ""
        except ImageError as error:
            _damage[payload] = str(error)
    return _damage[payload]


@lru_cache(maxsize=8)
def pixel_rays(camera: Intrinsics, width: int, height: int) -> np.ndarray:
    """(H, W, 3) float32 rays with z = 1 through the pixel centres of a width x height picture of this camera.

    A picture of another size than the calibration's is taken to be scaled. Distortion is undone (plumb_bob and
    rational_polynomial by OpenCV's model, equidistant by its fisheye model).
    """
    matrix = scaled_matrix(camera, width, height)
    u, v = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    if any(camera.distortion):
        pixels = np.stack([u, v], axis=-1).reshape(-1, 1, 2)
        coefficients = np.array(camera.distortion)
        if camera.distortion_model in _FISHEYE_MODELS:
            rays = cv2.fisheye.undistortPoints(pixels, matrix, coefficients[:4])
        else:
            rays = cv2.undistortPoints(pixels, matrix, coefficients)
        x, y = np.moveaxis(rays.reshape(height, width, 2), -1, 0)
    else:
        x, y = (u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1]
    rays = np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float32)
    rays.setflags(write=False)
    return rays


def scaled_matrix(camera: Intrinsics, width: int, height: int) -> np.ndarray:
    """(3, 3) camera matrix for a picture of width x height pixels."""
    matrix = camera.matrix
    if (camera.width, camera.height) != (width, height):
        matrix[0] *= width / camera.width
        matrix[1] *= height / camera.height
    return matrix


def fill_holes(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth without holes (each takes its nearest measured pixel's depth) and the (H, W) bool map of measured
    pixels."""
    known = np.isfinite(depth) & (depth > 0)
    if known.all():
        return depth, known
    if not known.any():
        return np.ones_like(depth), known
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    lookup = np.zeros(int(labels.max()) + 1, np.float32)
    lookup[labels[known]] = depth[known]
    return lookup[labels], known


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a (4, 4) transform to (..., 3) points, keeping their float type."""
    points = np.asarray(points)
    kind = np.float32 if points.dtype == np.float32 else np.float64
    if points.size == 0:
        return points.astype(kind)
    rows = np.ascontiguousarray(points, kind).reshape(-1, 1, 3)
    return cv2.transform(rows, matrix[:3].astype(np.float64)).reshape(points.shape)
