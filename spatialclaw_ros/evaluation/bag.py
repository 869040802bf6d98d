"""Writing an RGB-D recording as an MCAP bag: colour, depth, CameraInfo, odometry and TF; equal input, equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.rotations import quaternion_from

COLOR_TOPIC = "/camera/color/image_raw/compressed"
DEPTH_TOPIC = "/camera/depth/image_raw/compressed"
INFO_TOPIC = "/camera/color/camera_info"
OPTICAL_FRAME = "camera_color_optical_frame"
JPEG_QUALITY = 92

_TYPES = {
    "/tf_static": "tf2_msgs/msg/TFMessage",
    "/tf": "tf2_msgs/msg/TFMessage",
    "/odom": "nav_msgs/msg/Odometry",
    INFO_TOPIC: "sensor_msgs/msg/CameraInfo",
    COLOR_TOPIC: "sensor_msgs/msg/CompressedImage",
    DEPTH_TOPIC: "sensor_msgs/msg/CompressedImage",
}
"""Topics in the order in which messages of one stamp are written."""


@dataclass(frozen=True)
class StampedPose:
    """stamp: nanoseconds; pose: (4, 4) child to parent."""

    stamp: int
    pose: np.ndarray


@dataclass(frozen=True)
class StaticTransform:
    """pose: (4, 4) child to parent, for the whole recording."""

    parent: str
    child: str
    pose: np.ndarray


@dataclass(frozen=True)
class RgbdImage:
    """stamp: nanoseconds; color: (H, W, 3) uint8 RGB; depth: (H, W) float32 metres, NaN where unknown."""

    stamp: int
    color: np.ndarray
    depth: np.ndarray


class BagWriter:
    """Writes one bag folder. Messages are sorted by stamp when it is closed, as a recorder would have met them."""

    def __init__(self, folder: Path, camera: Intrinsics) -> None:
        """folder: must not exist yet (rosbags raises WriterError). camera: of every colour and depth picture."""
        self._folder = folder
        self._camera = camera
        self._types = get_typestore(Stores.ROS2_KILTED).types
        self._store = get_typestore(Stores.ROS2_KILTED)
        self._messages: list[tuple[int, int, str, bytes]] = []

    def add_static(self, stamp: int, transforms: Sequence[StaticTransform]) -> None:
        """The fixed part of the TF tree, as one latched message."""
        self._add("/tf_static", stamp, self._tf(stamp, [(t.parent, t.child, t.pose) for t in transforms]))

    def add_odometry(self, poses: Iterable[StampedPose], parent: str = "odom", child: str = "base_link") -> None:
        """Odometry and TF of base_link. Twists are differences of neighbouring poses, in the child frame."""
        poses = list(poses)
        for k, here in enumerate(poses):
            linear, angular = _twist(poses[max(k - 1, 0)], poses[min(k + 1, len(poses) - 1)])
            self._add("/tf", here.stamp, self._tf(here.stamp, [(parent, child, here.pose)]))
            self._add("/odom", here.stamp, self._odometry(here, parent, child, linear, angular))

    def add_image(self, image: RgbdImage) -> None:
        """One colour picture with its depth and CameraInfo, at one stamp."""
        done, jpeg = cv2.imencode(".jpg", image.color[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        done_depth, png = cv2.imencode(".png", depth_in_millimetres(image.depth), [cv2.IMWRITE_PNG_COMPRESSION, 3])
        if not (done and done_depth):
            raise ValueError(
                f"a picture of shape {image.color.shape} with depth {image.depth.shape} could not be encoded"
            )
        header = self._header(image.stamp, OPTICAL_FRAME)
        compressed = self._types["sensor_msgs/msg/CompressedImage"]
        self._add(INFO_TOPIC, image.stamp, self._camera_info(header))
        self._add(COLOR_TOPIC, image.stamp, compressed(header, "jpeg", jpeg.reshape(-1)))
        self._add(DEPTH_TOPIC, image.stamp, compressed(header, "16UC1; png compressed", png.reshape(-1)))

    def close(self) -> None:
        """Write the bag."""
        order = list(_TYPES)
        with Writer(self._folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connections = {
                topic: writer.add_connection(topic, kind, typestore=self._store, offered_qos_profiles=[_qos(topic)])
                for topic, kind in _TYPES.items()
            }
            for stamp, _, topic, data in sorted(self._messages, key=lambda m: (m[0], order.index(m[2]), m[1])):
                writer.write(connections[topic], stamp, data)

    def _add(self, topic: str, stamp: int, message: Any) -> None:
        data = bytes(self._store.serialize_cdr(message, _TYPES[topic]))
        self._messages.append((stamp, len(self._messages), topic, data))

    def _header(self, stamp: int, frame: str) -> Any:
        time = self._types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
        return self._types["std_msgs/msg/Header"](stamp=time, frame_id=frame)

    def _tf(self, stamp: int, transforms: Sequence[tuple[str, str, np.ndarray]]) -> Any:
        types = self._types
        stamped = types["geometry_msgs/msg/TransformStamped"]
        return types["tf2_msgs/msg/TFMessage"](
            transforms=[
                stamped(
                    self._header(stamp, parent),
                    child,
                    types["geometry_msgs/msg/Transform"](
                        translation=types["geometry_msgs/msg/Vector3"](*(float(v) for v in pose[:3, 3])),
                        rotation=self._quaternion(pose),
                    ),
                )
                for parent, child, pose in transforms
            ]
        )

    def _quaternion(self, pose: np.ndarray) -> Any:
        return self._types["geometry_msgs/msg/Quaternion"](*quaternion_from(pose[:3, :3]).tolist())

    def _odometry(self, here: StampedPose, parent: str, child: str, linear: np.ndarray, angular: np.ndarray) -> Any:
        types = self._types
        vector = types["geometry_msgs/msg/Vector3"]
        place = types["geometry_msgs/msg/Point"](*(float(v) for v in here.pose[:3, 3]))
        pose = types["geometry_msgs/msg/Pose"](position=place, orientation=self._quaternion(here.pose))
        twist = types["geometry_msgs/msg/Twist"](
            linear=vector(*map(float, linear)), angular=vector(*map(float, angular))
        )
        unknown = np.zeros(36)
        return types["nav_msgs/msg/Odometry"](
            self._header(here.stamp, parent),
            child,
            types["geometry_msgs/msg/PoseWithCovariance"](pose, unknown),
            types["geometry_msgs/msg/TwistWithCovariance"](twist, unknown),
        )

    def _camera_info(self, header: Any) -> Any:
        camera, types = self._camera, self._types
        region = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        projection = np.hstack([camera.matrix, np.zeros((3, 1))])
        return types["sensor_msgs/msg/CameraInfo"](
            header,
            camera.height,
            camera.width,
            "plumb_bob",
            np.zeros(5),
            camera.matrix.reshape(-1),
            np.eye(3).reshape(-1),
            projection.reshape(-1),
            0,
            0,
            region,
        )


def depth_in_millimetres(depth: np.ndarray) -> np.ndarray:
    """(H, W) uint16 from float32 metres; 0 where unknown or beyond 65.534 m (REP-118)."""
    millimetres = np.nan_to_num(depth * 1000.0, nan=0.0, posinf=0.0)
    return np.where((millimetres < 0.5) | (millimetres > 65534), 0, millimetres + 0.5).astype(np.uint16)


def _twist(before: StampedPose, after: StampedPose) -> tuple[np.ndarray, np.ndarray]:
    """Linear (3,) m/s and angular (3,) rad/s velocity between two poses, in the first one's frame."""
    seconds = (after.stamp - before.stamp) * 1e-9
    if seconds <= 0:
        return np.zeros(3), np.zeros(3)
    step = np.linalg.inv(before.pose) @ after.pose
    x, y, z, w = quaternion_from(step[:3, :3]).tolist()
    axis = np.array([x, y, z])
    sine = np.linalg.norm(axis)
    angle = 2.0 * np.arctan2(sine, w)
    return step[:3, 3] / seconds, (axis / sine * angle / seconds if sine > 1e-12 else np.zeros(3))


def _qos(topic: str) -> Qos:
    """Reliable and volatile, as drivers offer; /tf_static is latched (transient local) for those who come late."""
    latched = topic == "/tf_static"
    never = QosTime(0, 0)
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        never,
        never,
        QosLiveliness.AUTOMATIC,
        never,
        False,
    )
