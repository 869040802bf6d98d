"""From ROS messages to the types of this package, by their fields alone: rclpy's and rosbags' objects both do."""

from __future__ import annotations

import re
from typing import Any

from spatialclaw_ros.errors import CameraInfoError, TransformError
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.camera_topics import without_transport
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.transforms import TransformBuffer

_RECTIFIED = re.compile(r"(?:^|_)rect(?:ified)?(?:_|$)")


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def image_payload(message: Any, source: str) -> ImagePayload:
    """A sensor_msgs/Image or CompressedImage without a copy: the payload refers to the message's own memory."""
    data = memoryview(message.data)
    if hasattr(message, "format"):
        return ImagePayload(message.format, data, source=source)
    return ImagePayload(
        message.encoding,
        data,
        message.width,
        message.height,
        message.step,
        bool(message.is_bigendian),
        source=source,
    )


def intrinsics_from_info(message: Any, source: str, rectified: bool = False) -> Intrinsics:
    """A sensor_msgs/CameraInfo for the pictures as they are published, binning and region of interest applied.

    rectified: use the projection matrix P and no distortion (for image_rect topics), else K with D.
    Raises: CameraInfoError for a calibration that is not one (focal length zero, no size, too few numbers).
    Source: sensor_msgs/CameraInfo.msg: K and P are for the full sensor; the region's offset is in its pixels too.
    """
    matrix = message.p if rectified else message.k
    if len(matrix) != (12 if rectified else 9):
        raise CameraInfoError(f"{source}: matrix has {len(matrix)} numbers; expected 9 (K) or 12 (P)")
    fx, cx = float(matrix[0]), float(matrix[2])
    fy, cy = (float(matrix[5]), float(matrix[6])) if rectified else (float(matrix[4]), float(matrix[5]))
    across, down = max(1, message.binning_x), max(1, message.binning_y)
    region = message.roi
    width, height = region.width or message.width, region.height or message.height
    try:
        return Intrinsics(
            fx / across,
            fy / down,
            (cx - region.x_offset) / across,
            (cy - region.y_offset) / down,
            width // across,
            height // down,
            "" if rectified else message.distortion_model,
            () if rectified else tuple(float(value) for value in message.d),
        )
    except CameraInfoError as error:
        raise CameraInfoError(f"{source}: {error}") from None


def is_rectified(topic: str) -> bool:
    """Whether a topic's name says that its pictures are rectified (image_proc's and the drivers' custom).

    'rect' as a word of one of the last two parts says so: `image_rect_color`, `image_rect/compressed`, `rect/image`.
    """
    return any(_RECTIFIED.search(part) for part in without_transport(topic).rsplit("/", 2)[-2:])


def add_transforms(buffer: TransformBuffer, message: Any, static: bool) -> None:
    """Feed a tf2_msgs/TFMessage. Raises: TransformError for the first that is refused, the rest being added."""
    refused = None
    for transform in message.transforms:
        try:
            move, turn = transform.transform.translation, transform.transform.rotation
            buffer.add(
                transform.header.frame_id,
                transform.child_frame_id,
                stamp_ns(transform.header.stamp),
                (move.x, move.y, move.z),
                (turn.x, turn.y, turn.z, turn.w),
                static,
            )
        except TransformError as error:
            refused = refused or error
    if refused is not None:
        raise refused


def add_odometry(buffer: TransformBuffer, message: Any) -> None:
    """Feed a nav_msgs/Odometry. Raises: TransformError where its pose is not usable."""
    place, turn = message.pose.pose.position, message.pose.pose.orientation
    buffer.add_odometry(
        message.header.frame_id,
        message.child_frame_id,
        stamp_ns(message.header.stamp),
        (place.x, place.y, place.z),
        (turn.x, turn.y, turn.z, turn.w),
    )
