"""What the node publishes: masks under the source's header, the answer in the fixed frame, heavy topics on demand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros.ros_robot import ask, wait_until
from sensor_msgs.msg import Image, PointCloud2
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import Marker, MarkerArray

from spatialclaw_msgs.msg import ReasoningStep, SpatialAnswer
from spatialclaw_ros.frames.messages import stamp_ns
from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Listener:
    """Keeps what comes on topics of the node."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._subscriptions: list[Any] = []

    def listen(self, kind: type, name: str, qos: Any = 10) -> list[Any]:
        """Messages of ~/name, as they come; returns once the publisher is there."""
        came: list[Any] = []
        topic = f"/spatialclaw/{name}"
        self._subscriptions.append(self._node.create_subscription(kind, topic, came.append, qos))
        wait_until(lambda: self._node.count_publishers(topic))
        return came

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


@pytest.fixture
def listener(client: QueryClient) -> Iterator[Listener]:
    made = Listener(client.node)
    yield made
    made.close()


def test_masks_and_overlay_keep_the_header_of_the_picture(
    client: QueryClient, frames: list[int], listener: Listener
) -> None:
    masks, overlays = listener.listen(Image, "masks"), listener.listen(Image, "overlay")
    labels = listener.listen(LabelInfo, "label_info", LATCHED)
    wait_until(lambda: ask(client, "masks").ok and masks and overlays and labels)
    for message in (masks[0], overlays[0], labels[0]):
        assert stamp_ns(message.header.stamp) == frames[0]
        assert message.header.frame_id == "head_optical"
    pixels = np.frombuffer(masks[0].data, np.uint8).reshape(24, 32)
    assert (pixels[:, :16] == 1).all() and (pixels[:, 16:] == 0).all()
    assert [(each.class_id, each.class_name) for each in labels[0].class_map] == [(1, "left half")]
    picture = np.frombuffer(overlays[0].data, np.uint8).reshape(24, 32, 3)
    assert (picture[:, 16:] == 128).all() and (picture[:, :16] != 128).any()


def test_the_answer_reaches_whoever_comes_late(client: QueryClient, frames: list[int], listener: Listener) -> None:
    result = ask(client, "objects", session_id="kitchen")
    answers = listener.listen(SpatialAnswer, "answer", LATCHED)
    wait_until(lambda: answers)
    assert answers[-1].question == "objects" and answers[-1].answer == result.answer.text
    assert answers[-1].session_id == "kitchen" and answers[-1].header.frame_id == "odom"


def test_objects_are_drawn_in_the_fixed_frame(client: QueryClient, frames: list[int], listener: Listener) -> None:
    markers, detections = (
        listener.listen(MarkerArray, "markers", LATCHED),
        listener.listen(Detection3DArray, "detections", LATCHED),
    )
    ask(client, "objects")
    wait_until(lambda: markers and detections and detections[-1].detections)
    assert detections[-1].header.frame_id == "odom"
    found = detections[-1].detections[0]
    assert found.results[0].hypothesis.class_id == "red box"
    assert (found.bbox.center.position.x, found.bbox.size.z) == (1.0, 0.4)
    cubes = [each for each in markers[-1].markers if each.type == Marker.CUBE and each.action == Marker.ADD]
    assert len(cubes) == 1 and cubes[0].header.frame_id == "odom"


def test_objects_in_a_camera_frame_are_moved_to_the_fixed_frame(
    client: QueryClient, frames: list[int], listener: Listener
) -> None:
    detections = listener.listen(Detection3DArray, "detections", LATCHED)
    ask(client, "objects", target_frame="head_optical")
    wait_until(lambda: detections and detections[-1].detections)
    place = detections[-1].detections[0].bbox.center.position
    assert (place.x, place.y, place.z) == pytest.approx((0.5, -1.0, -1.0))  # x right, y down, z forward; 1 m above base


def test_the_depth_cloud_is_metric_and_in_the_fixed_frame(
    client: QueryClient, frames: list[int], listener: Listener
) -> None:
    clouds = listener.listen(PointCloud2, "depth_cloud")
    wait_until(lambda: ask(client, "how many?").ok and clouds)
    cloud = clouds[0]
    assert cloud.header.frame_id == "odom"
    points = np.frombuffer(cloud.data, np.float32).reshape(-1, 4)
    assert len(points) == cloud.width and cloud.width >= 32 * 24
    assert points[:, 0] == pytest.approx(1.5)  # 1.5 m ahead of a robot that stands at the origin and looks along x
    assert points[:, 2].max() == pytest.approx(1.0 + 1.5 * 12 / 30)


def test_every_stage_is_published_with_its_question(client: QueryClient, frames: list[int], listener: Listener) -> None:
    steps = listener.listen(ReasoningStep, "step")
    wait_until(lambda: ask(client, "how many?").ok and len(steps) >= 5)
    assert {each.question for each in steps} == {"how many?"}
    assert {each.stage for each in steps} == {"plan", "generate", "execute", "observe", "decide"}
    assert len({bytes(each.goal_id.uuid) for each in steps[:5]}) == 1
