"""Masks as pictures under their source's header: a label image with its names, and an overlay on the picture."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from spatialclaw_ros.agent.requests import MaskEvent
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.ros.conversions import byte_array, time_message, wire_text

_COLOURS = np.array(
    [(230, 25, 75), (60, 180, 75), (0, 130, 200), (245, 130, 48), (145, 30, 180), (70, 240, 240), (240, 50, 230)],
    np.uint8,
)
"""Distinct hues; the eighth mask takes the first again."""

MAX_LABELS = 255
"""What mono8 can tell apart; 0 is the background."""


def source_header(frame: Frame) -> Header:
    """The header that the frame's own image came with."""
    return Header(stamp=time_message(frame.stamp), frame_id=frame.optical_frame)


def label_image(event: MaskEvent, frame: Frame) -> tuple[Image, LabelInfo]:
    """(H, W) mono8, 0 background and n the n-th mask (the best lies on top), and which name each number has."""
    masks = np.asarray(event.masks, bool)[:MAX_LABELS]
    labels = np.zeros(masks.shape[1:], np.uint8)
    for number in range(len(masks), 0, -1):
        labels[masks[number - 1]] = number
    header = source_header(frame)
    names = [event.label if len(masks) == 1 else f"{event.label} {number}" for number in range(len(masks))]
    classes = [VisionClass(class_id=number, class_name=wire_text(name)) for number, name in enumerate(names, 1)]
    return _image(header, labels, "mono8"), LabelInfo(header=header, class_map=classes)


def overlay_image(event: MaskEvent, frame: Frame) -> Image:
    """(H, W, 3) rgb8: the picture with every mask tinted. Raises: ImageError where the picture cannot be decoded."""
    picture = frame.color.copy()
    for number, mask in enumerate(np.asarray(event.masks, bool)):
        picture[mask] = picture[mask] // 2 + _COLOURS[number % len(_COLOURS)] // 2
    return _image(source_header(frame), picture, "rgb8")


def _image(header: Header, pixels: np.ndarray, encoding: str) -> Image:
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    return Image(
        header=header, height=height, width=width, encoding=encoding, step=pixels.strides[0], data=byte_array(pixels)
    )
