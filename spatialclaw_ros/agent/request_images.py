"""Images of a cell's requests: a frame by its number, or pixels that came inline; and their encoding for a model."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from spatialclaw_ros.backbones.chat import Picture
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.compressed import JPEG_MAGIC, read_header
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.kernel.methods import MAX_SIDE
from spatialclaw_ros.workbench.errors import ToolError

MODEL_SIDE = 1280
"""Pictures are shrunk to this longer side before a model looks for things in them, pixels."""

JPEG_QUALITY = 90

MAX_DECODED = 32
"""Frames whose pixels and depth are kept decoded for the next request: 70 MB at 640x480."""


@dataclass(frozen=True)
class ImageOfRequest:
    """color: (H, W, 3) uint8 RGB; depth, intrinsics and frame only where the image is an unmodified frame."""

    color: np.ndarray
    depth: np.ndarray | None = None
    intrinsics: Intrinsics | None = None
    frame: Frame | None = None


class DecodedFrames(Mapping[int, Frame]):
    """Frames by index, as copies of which the last few used stay decoded: a goal may hold more than fit in memory."""

    def __init__(self, frames: Mapping[int, Frame], most: int = MAX_DECODED) -> None:
        self._frames = frames
        self._most = most
        self._recent: OrderedDict[int, Frame] = OrderedDict()

    def __getitem__(self, index: int) -> Frame:
        frame = self._recent.pop(index, None) or replace(self._frames[index])
        self._recent[index] = frame
        if len(self._recent) > self._most:
            self._recent.popitem(last=False)
        return frame

    def __iter__(self) -> Iterator[int]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)


def image_of(reference: Any, frames: Mapping[int, Frame]) -> ImageOfRequest:
    """The image behind {"frame": index} or {"shape": [h, w, 3], "data": RGB bytes}. Raises: ToolError, ImageError."""
    if not isinstance(reference, Mapping):
        raise ToolError(f"an image is {type(reference).__name__}; expected a frame's number or pixels")
    if "frame" in reference:
        index = reference["frame"]
        if not isinstance(index, int) or isinstance(index, bool) or index not in frames:
            known = f"{min(frames)} to {max(frames)}" if frames else "none"
            raise ToolError(f"frame {index!r:.40} is not in this session; frame indices are {known}")
        frame = frames[index]
        return ImageOfRequest(frame.color, frame.depth, frame.intrinsics, frame)
    shape, data = reference.get("shape"), reference.get("data")
    sides = shape if isinstance(shape, (list, tuple)) and len(shape) == 3 else ()
    if not sides or sides[2] != 3 or not all(type(side) is int and 1 <= side <= MAX_SIDE for side in sides):
        raise ToolError(
            f"an inline image has shape {shape!r:.80}; expected [height, width, 3] up to {MAX_SIDE} pixels a side"
        )
    if not isinstance(data, bytes) or len(data) != math.prod(sides):
        raise ToolError(f"an inline image of shape {list(sides)} needs {math.prod(sides)} bytes of RGB data")
    return ImageOfRequest(np.frombuffer(data, np.uint8).reshape(sides))


def picture_of(image: ImageOfRequest) -> Picture:
    """The image as a model gets it: a frame's own JPEG where that is usable, else a new one of at most MODEL_SIDE."""
    if image.frame is not None and image.frame.color_payload.data[:2] == JPEG_MAGIC:
        header = read_header(image.frame.color_payload.data)
        if max(header.width, header.height) <= MODEL_SIDE:
            return Picture(bytes(image.frame.color_payload.data), "image/jpeg", header.width, header.height)
    color = image.color
    scale = MODEL_SIDE / max(color.shape[:2])
    if scale < 1:
        width, height = max(1, round(color.shape[1] * scale)), max(1, round(color.shape[0] * scale))
        color = cv2.resize(color, (width, height), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", color[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return Picture(encoded.tobytes(), "image/jpeg", color.shape[1], color.shape[0])
