"""ImagePayload: an image as it came, not decoded, with what decoding needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ImagePayload:
    """An image as it came, not decoded: the fields of a ROS image message that decoding needs, without ROS.

    encoding: a sensor_msgs encoding ('rgb8', '16UC1', ...), or for compressed data the transport's format
        ('jpeg', 'png', '16UC1; png compressed', '32FC1; compressedDepth png', ...).
    width, height: pixels (0 where compressed data has not been opened); step: bytes per row (0 for compressed data).
    data: the bytes, height * step long for raw encodings; may be a read-only map of shared memory.
    source: where it came from, for error messages (a topic or a path).
    file: path of the shared-memory file that holds `data`, "" when it lies in private memory.
    Two payloads are equal only when they are the same object, so that one can be a key without its bytes being read.
    """

    encoding: str
    data: memoryview
    width: int = 0
    height: int = 0
    step: int = 0
    is_bigendian: bool = False
    source: str = ""
    file: str = ""

    @classmethod
    def from_array(cls, array: np.ndarray, encoding: str, source: str = "") -> ImagePayload:
        """Wrap an (H, W[, C]) array without copying it (it is made contiguous first where it is not)."""
        array = np.ascontiguousarray(array)
        height, width = array.shape[:2]
        data = array.data.cast("B") if array.size else memoryview(b"")
        return cls(encoding, data, width, height, array.strides[0], source=source)
