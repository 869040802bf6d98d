"""Rotation matrices from unit quaternions (x, y, z, w) and back, for one or for many at once."""

from __future__ import annotations

import numpy as np


def rotation_from(quaternions: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotations of quaternions xyzw (..., 4), which are normalised first; NaN for one of length zero."""
    quaternions = np.asarray(quaternions, np.float64)
    with np.errstate(invalid="ignore"):
        units = quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)
    x, y, z, w = np.moveaxis(units, -1, 0)
    entries = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in entries], axis=-2)


def quaternion_from(rotations: np.ndarray) -> np.ndarray:
    """(..., 4) unit quaternions xyzw, w >= 0, of rotations (..., 3, 3), whose numbers may be rounded.

    Source: S. Shepperd, Quaternion from rotation matrix (1978): the row of q q^T in which the largest component stands.
    """
    r = np.asarray(rotations, np.float64)
    trace = r[..., 0, 0] + r[..., 1, 1] + r[..., 2, 2]
    products = np.empty((*r.shape[:-2], 4, 4))  # 4 q q^T
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        products[..., i, i] = 1 + 2 * r[..., i, i] - trace
        products[..., i, j] = products[..., j, i] = r[..., j, i] + r[..., i, j]
        products[..., k, 3] = products[..., 3, k] = r[..., j, i] - r[..., i, j]
    products[..., 3, 3] = 1 + trace
    largest = np.argmax(np.diagonal(products, axis1=-2, axis2=-1), axis=-1)
    rows = np.take_along_axis(products, largest[..., None, None], axis=-2)[..., 0, :]
    rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.where(rows[..., 3:] < 0, -rows, rows)
