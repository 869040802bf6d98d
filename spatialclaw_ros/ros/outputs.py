"""What the node publishes while and after it answers; what is heavy, only when somebody listens."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from spatialclaw_msgs.msg import ReasoningStep, SpatialAnswer
from spatialclaw_ros.agent.records import Answer, Event, QueryResult
from spatialclaw_ros.agent.reference_frames import SnapshotFrames
from spatialclaw_ros.agent.requests import MaskEvent
from spatialclaw_ros.errors import ImageError, TransformError
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.ros.clouds import depth_cloud, has_cloud
from spatialclaw_ros.ros.conversions import answer_message, step_message
from spatialclaw_ros.ros.goal import Goal
from spatialclaw_ros.ros.markers import answer_markers, detections, in_frame
from spatialclaw_ros.ros.pictures import label_image, overlay_image

PLAIN = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CLOUD_FRAMES = 4
"""Frames of one depth cloud: those that the answer rests on, else the newest."""


class Outputs:
    """The node's publishers, for as long as the node lives. Publishes from whichever thread calls.

    Messages that belong together (masks and their labels, the markers of one answer) are not mixed with another goal's.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._step = self._publisher(ReasoningStep, "step", PLAIN)
        self._answer = self._publisher(SpatialAnswer, "answer", LATCHED)
        self._overlay = self._publisher(Image, "overlay", PLAIN)
        self._masks = self._publisher(Image, "masks", PLAIN)
        self._labels = self._publisher(LabelInfo, "label_info", LATCHED)
        self._cloud = self._publisher(PointCloud2, "depth_cloud", PLAIN)
        self._markers = self._publisher(MarkerArray, "markers", LATCHED)
        self._detections = self._publisher(Detection3DArray, "detections", LATCHED)

    def publish_step(self, goal: Goal, event: Event) -> None:
        """A stage of a goal, on ~/step."""
        self._step.publish(step_message(event, goal.id, goal.query.question, self._now()))

    def publish_masks(self, event: MaskEvent) -> None:
        """Masks that a cell asked for, on the picture they lie on: ~/masks with ~/label_info, and ~/overlay."""
        if event.frame is None or not len(event.masks):
            return
        if self._wanted(self._masks) or self._wanted(self._labels):
            image, labels = label_image(event, event.frame)
            with self._lock:
                self._labels.publish(labels)
                self._masks.publish(image)
        if self._wanted(self._overlay):
            self._overlay.publish(overlay_image(event, event.frame))

    def publish_scene(self, result: QueryResult, snapshot: Snapshot) -> None:
        """The answer in 3D, in the snapshot's world frame: ~/markers, ~/detections and ~/depth_cloud."""
        header = Header(stamp=self._now(), frame_id=snapshot.world_frame)
        answer = self._in_world(result.answer, snapshot)
        markers = answer_markers(answer, snapshot, header)
        with self._lock:
            self._markers.publish(markers)
            if answer is not None:
                self._detections.publish(detections(answer, header))
        if self._wanted(self._cloud):
            self._publish_cloud(answer, snapshot, header)

    def publish_answer(self, goal: Goal, result: QueryResult, fixed_frame: str) -> None:
        """How a goal ended, on ~/answer."""
        self._answer.publish(answer_message(result, goal.id, self._now(), fixed_frame))

    def _publish_cloud(self, answer: Answer | None, snapshot: Snapshot, header: Header) -> None:
        usable = [frame for frame in snapshot if has_cloud(frame)]
        named = {each.index for each in answer.evidence} if answer is not None else set()
        chosen = [frame for frame in usable if frame.index in named] or usable
        try:
            self._cloud.publish(depth_cloud(chosen[-CLOUD_FRAMES:], header))
        except ImageError as error:
            self._node.get_logger().warning(f"no depth cloud: {error}")

    def _in_world(self, answer: Answer | None, snapshot: Snapshot) -> Answer | None:
        if answer is None or not answer.frame or answer.frame == snapshot.world_frame:
            return answer
        stamp = answer.evidence[-1].stamp if answer.evidence else 0
        try:
            return in_frame(answer, SnapshotFrames(snapshot).transform(answer.frame, snapshot.world_frame, stamp))
        except TransformError as error:
            self._node.get_logger().warning(f"the answer is not drawn: {error}")
            return None

    def _publisher(self, kind: type, name: str, qos: QoSProfile) -> Any:
        overrides = QoSOverridingOptions.with_default_policies()
        return self._node.create_publisher(kind, f"~/{name}", qos, qos_overriding_options=overrides)

    def _wanted(self, publisher: Any) -> bool:
        return publisher.get_subscription_count() > 0

    def _now(self) -> Any:
        return self._node.get_clock().now().to_msg()
