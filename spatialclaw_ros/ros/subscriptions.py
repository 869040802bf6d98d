"""Subscriptions: what the cameras and the robot say goes into the buffers as it came; nothing is decoded on arrival."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from spatialclaw_ros.config import AgentConfig, CameraConfig
from spatialclaw_ros.errors import CameraInfoError, ConfigurationError, ImageError, SpatialClawError, TransformError
from spatialclaw_ros.frames import messages
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.transforms import TransformBuffer
from spatialclaw_ros.ros.arrivals import Arrivals
from spatialclaw_ros.ros.hearing import Heard, Part, what_was_seen

SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
ODOMETRY = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
TF = QoSProfile(depth=100)
TF_STATIC = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""As tf2_ros listens: reliable, and static transforms also from before."""

_COMPRESSED = ("/compressed", "/compressedDepth")


def camera_topics(name: str, camera: CameraConfig) -> CameraConfig:
    """The topics of a camera with the usual names filled in.

    Without an image topic they are `<camera>/image`, `<camera>/depth` and `<camera>/camera_info`; with one, camera_info
    lies beside it, as image_transport has it, and there is no depth unless its topic is named.
    """
    if not camera.image_topic:
        names = {"image_topic": "image", "depth_topic": "depth", "camera_info_topic": "camera_info"}
        filled = {key: getattr(camera, key) or f"{name}/{topic}" for key, topic in names.items()}
    else:
        base = camera.image_topic
        for suffix in _COMPRESSED:
            base = base.removesuffix(suffix)
        beside = f"{base.rpartition('/')[0]}/camera_info".lstrip("/" if not base.startswith("/") else "")
        filled = {
            "image_topic": camera.image_topic,
            "depth_topic": camera.depth_topic,
            "camera_info_topic": camera.camera_info_topic or beside,
        }
    return CameraConfig(
        **filled, depth_camera_info_topic=camera.depth_camera_info_topic, optical_frame=camera.optical_frame
    )


class Subscriptions:
    """Listens to every camera, odometry and TF from its making until `close`.

    on_kept: called with each colour payload that the ring kept. arrived: told whenever a message was taken.
    An image topic's message type is its publisher's where there is one, else told by its name.
    Raises: ConfigurationError where a topic's name is not valid; nothing is listened to then.
    """

    def __init__(
        self,
        node: Node,
        config: AgentConfig,
        buffer: FrameBuffer,
        transforms: TransformBuffer,
        on_kept: Callable[[ImagePayload], Any],
    ) -> None:
        self._node = node
        self._buffer = buffer
        self._on_kept = on_kept
        self.arrived = Arrivals()
        self.records: list[Heard] = []
        self._images: list[tuple[Heard, Callable[[Any], None]]] = []
        self._subscriptions: dict[int, Any] = {}
        self.cameras: dict[str, CameraConfig] = {}
        try:
            for name, camera in config.cameras.items():
                self.add_camera(name, camera_topics(name, camera))
            self._add_poses(transforms)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.popitem()[1])

    def of_cameras(self, cameras: tuple[str, ...]) -> list[Heard]:
        """The colour topics of these cameras (empty = all), then whatever else belongs to them."""
        chosen = [r for r in self.records if r.camera and (not cameras or r.camera in cameras)]
        return sorted(chosen, key=lambda r: not r.needed)

    def expected_parts(self, camera: str) -> set[Part]:
        """Which of depth, intrinsics and pose a frame of this camera gets, by what is configured or publishes."""
        own = [r for r in self.records if r.part and r.camera in (camera, "")]
        return {r.part for r in own if r.part == "depth" or r.count or self._node.count_publishers(r.topic)}

    def correct_types(self) -> list[str]:
        """Listen anew to silent image topics whose publishers send the other image type; says which."""
        corrected = []
        for heard, handle in self._images:
            other = None if heard.count else _type_of_publishers(self._node, heard.topic)
            if other is not None and _type_name(other) != heard.type_name:
                self._node.destroy_subscription(self._subscriptions.pop(id(heard)))
                heard.type_name = _type_name(other)
                self._subscribe(heard, other, handle)
                corrected.append(f"{heard.topic} sends {heard.type_name}; listening to that")
        return corrected

    def silent(self, seconds: float) -> dict[str, str]:
        """Topic -> why nothing came on it, for every camera's topic after so many seconds of listening to it.

        The robot's topics are one entry, where no pose came on any of them.
        """
        long = [r for r in self.records if time.monotonic() - r.since > seconds]
        silent = {r.topic: f"{r.purpose}: {what_was_seen(self._node, r)}" for r in long if r.camera and not r.count}
        robots = [r for r in long if not r.camera]
        if robots and not any(r.count for r in robots):
            silent[", ".join(r.topic for r in robots)] = (
                "no message: frames have no poses, and questions about places fail"
            )
        return silent

    def add_camera(self, name: str, camera: CameraConfig) -> None:
        """Listen to one more camera, whose topics are all named."""
        self.cameras[name] = camera
        self._add_image(name, "colour", camera.image_topic, self._color(name, camera))
        if camera.depth_topic:
            self._add_image(name, "depth", camera.depth_topic, self._depth(name, camera))
        infos: tuple[tuple[str, str, str, Part], ...] = (
            ("camera info", camera.camera_info_topic, camera.image_topic, "intrinsics"),
            ("depth camera info", camera.depth_camera_info_topic, camera.depth_topic, ""),
        )
        for what, topic, image, part in infos:
            if topic:
                heard = self._heard(topic, CameraInfo, SENSOR, f"{name} {what}", camera=name, part=part)
                self._subscribe(heard, CameraInfo, self._info(name, camera, topic, image, part != "intrinsics"))

    def _add_poses(self, transforms: TransformBuffer) -> None:
        handlers: tuple[tuple[str, type, QoSProfile, str, Callable[[Any], None]], ...] = (
            ("odom", Odometry, ODOMETRY, "odometry", lambda m: messages.add_odometry(transforms, m)),
            ("/tf", TFMessage, TF, "transforms", lambda m: messages.add_transforms(transforms, m, False)),
            ("/tf_static", TFMessage, TF_STATIC, "transforms", lambda m: messages.add_transforms(transforms, m, True)),
        )
        for topic, kind, qos, purpose, handle in handlers:
            self._subscribe(self._heard(topic, kind, qos, purpose, part="pose"), kind, handle)

    def _color(self, name: str, camera: CameraConfig) -> Callable[[Any], None]:
        def handle(message: Any) -> None:
            frame = camera.optical_frame or message.header.frame_id
            payload = messages.image_payload(message, camera.image_topic)
            kept = self._buffer.add_color(name, messages.stamp_ns(message.header.stamp), payload, frame)
            if kept is not None:
                self._on_kept(kept)

        return handle

    def _depth(self, name: str, camera: CameraConfig) -> Callable[[Any], None]:
        def handle(message: Any) -> None:
            frame = camera.optical_frame or message.header.frame_id
            payload = messages.image_payload(message, camera.depth_topic)
            self._buffer.add_depth(name, messages.stamp_ns(message.header.stamp), payload, frame)

        return handle

    def _info(
        self, name: str, camera: CameraConfig, topic: str, image_topic: str, of_depth: bool
    ) -> Callable[[Any], None]:
        rectified = messages.is_rectified(image_topic)

        def handle(message: Any) -> None:
            try:
                intrinsics = messages.intrinsics_from_info(message, topic, rectified)
            except CameraInfoError as error:
                self._buffer.count_refused(name, error)
                raise
            frame = camera.optical_frame or message.header.frame_id
            stamp = messages.stamp_ns(message.header.stamp)
            self._buffer.add_camera_info(name, stamp, intrinsics, frame, of_depth)

        return handle

    def _add_image(self, camera: str, what: str, topic: str, handle: Callable[[Any], None]) -> None:
        purpose, is_color = f"{camera} {what}", what == "colour"
        kind = _type_of_publishers(self._node, self._resolved(topic, purpose)) or _type_by_name(topic)
        part: Part = "" if is_color else "depth"
        heard = self._heard(topic, kind, SENSOR, purpose, needed=is_color, camera=camera, part=part)
        self._subscribe(heard, kind, handle)
        self._images.append((heard, handle))

    def _heard(self, topic: str, kind: type, qos: QoSProfile, purpose: str, **fields: Any) -> Heard:
        heard = Heard(self._resolved(topic, purpose), _type_name(kind), purpose, qos, **fields)
        self.records.append(heard)
        return heard

    def _resolved(self, topic: str, purpose: str) -> str:
        try:
            return self._node.resolve_topic_name(topic)
        except (
            ValueError,
            RuntimeError,
        ) as error:  # rclpy's exceptions of names are ValueErrors, its C layer's are not
            raise ConfigurationError(
                f"{purpose}: {topic!r} is no valid topic name: {' '.join(str(error).split())}"
            ) from error

    def _subscribe(self, heard: Heard, kind: type, handle: Callable[[Any], None]) -> None:
        def receive(message: Any) -> None:
            stamp = _stamp(message)
            if heard.needed and stamp in (0, heard.last_stamp):
                self._say_unstamped(heard, stamp)
            heard.hear(stamp)
            try:
                handle(message)
            except (ImageError, CameraInfoError, TransformError) as error:
                self._refuse(heard, error)
            self.arrived.set()

        subscription = self._node.create_subscription(
            kind, heard.topic, receive, heard.qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )
        heard.qos = subscription.qos_profile
        self._subscriptions[id(heard)] = subscription

    def _say_unstamped(self, heard: Heard, stamp: int) -> None:
        if not heard.unstamped:
            heard.unstamped = True
            what = "has stamp zero" if stamp == 0 else f"repeats the stamp {stamp * 1e-9:.3f} s"
            self._node.get_logger().warning(
                f"{heard.topic}: an image {what}; of images with one stamp only the first is kept: does the camera's "
                f"driver stamp them? (said once)"
            )

    def _refuse(self, heard: Heard, error: SpatialClawError) -> None:
        if heard.refuse(error):
            self._node.get_logger().warning(f"{heard.topic}: {type(error).__name__}: {error} (said once, then counted)")


def _type_by_name(topic: str) -> type:
    return CompressedImage if topic.endswith(_COMPRESSED) else Image


def _type_of_publishers(node: Node, topic: str) -> type | None:
    """Image or CompressedImage where every publisher of the topic agrees on it, else None."""
    names = {each.topic_type for each in node.get_publishers_info_by_topic(topic)}
    return {_type_name(kind): kind for kind in (Image, CompressedImage)}.get(names.pop()) if len(names) == 1 else None


def _type_name(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def _stamp(message: Any) -> int:
    if isinstance(message, TFMessage):
        return messages.stamp_ns(message.transforms[0].header.stamp) if message.transforms else 0
    return messages.stamp_ns(message.header.stamp)
