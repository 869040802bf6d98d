"""tools.Mask: measuring on 2D masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatialclaw_ros.workbench.errors import ToolError


class Mask:
    """Measuring on (H, W) bool masks; pixels, x right and y down."""

    @staticmethod
    def centroid(mask: Any) -> tuple[float, float]:
        """Mean (x, y) of the mask's pixels. Raises: ToolError when empty."""
        rows, columns = np.nonzero(_filled(mask))
        return float(columns.mean()), float(rows.mean())

    @staticmethod
    def centroids(masks: Any) -> np.ndarray:
        """(N, 2) centroids (x, y) of (N, H, W) masks, NaN for an empty one."""
        stack = np.asarray(masks, bool)
        if stack.ndim == 2:
            stack = stack[None]
        if stack.ndim != 3:
            raise ToolError(f"masks are (N, H, W); got shape {stack.shape}")
        return np.array([Mask.centroid(mask) if mask.any() else (np.nan, np.nan) for mask in stack]).reshape(-1, 2)

    @staticmethod
    def area(mask: Any) -> int:
        """Number of pixels."""
        return int(_mask(mask).sum())

    @staticmethod
    def bounding_box(mask: Any) -> tuple[int, int, int, int]:
        """(x1, y1, x2, y2) with x2 and y2 one past the last pixel. Raises: ToolError when empty."""
        filled = _filled(mask)
        rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    mask_to_bbox = bounding_box

    @staticmethod
    def iou(a: Any, b: Any) -> float:
        """Intersection over union, 0 to 1 (0 when both are empty)."""
        a, b = _pair(a, b)
        union = int((a | b).sum())
        return float((a & b).sum() / union) if union else 0.0

    @staticmethod
    def intersection(a: Any, b: Any) -> np.ndarray:
        """(H, W) bool: pixels in both."""
        a, b = _pair(a, b)
        return a & b


def _mask(mask: Any) -> np.ndarray:
    array = np.asarray(mask)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2:
        raise ToolError(
            f"a mask is (H, W) bool, e.g. result.get_mask(frame_index, 0); got {type(mask).__name__} of shape "
            f"{array.shape}"
        )
    return array.astype(bool)


def _filled(mask: Any) -> np.ndarray:
    array = _mask(mask)
    if not array.any():
        raise ToolError("the mask is empty: it has no centroid and no box")
    return array


def _pair(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    a, b = _mask(a), _mask(b)
    if a.shape != b.shape:
        raise ToolError(f"the masks have different shapes, {a.shape} and {b.shape}: they are of different pictures")
    return a, b
