"""Heavy topics are made only while somebody listens; light ones always."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("spatialclaw_msgs", reason="spatialclaw_msgs is not built (make setup)")

from builtin_interfaces.msg import Time

from spatialclaw_ros.agent.records import Query, QueryResult
from spatialclaw_ros.agent.requests import MaskEvent
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.ros.outputs import Outputs

pytestmark = pytest.mark.ros


class Node:
    """Stands for an rclpy node: remembers what is published on each topic."""

    def __init__(self, listeners: int) -> None:
        self.published: dict[str, int] = {}
        self._listeners = listeners

    def create_publisher(self, kind: type, name: str, *_: Any, **__: Any) -> SimpleNamespace:
        def publish(message: Any) -> None:
            assert isinstance(message, kind)
            self.published[name] = self.published.get(name, 0) + 1

        return SimpleNamespace(publish=publish, get_subscription_count=lambda: self._listeners)

    def get_clock(self) -> SimpleNamespace:
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=Time))


@pytest.fixture
def frame() -> Frame:
    color = ImagePayload.from_array(np.zeros((4, 6, 3), np.uint8), "rgb8")
    depth = ImagePayload.from_array(np.ones((4, 6), np.float32), "32FC1")
    return Frame(
        "head", 1, color, depth, Intrinsics(5, 5, 3, 2, 6, 4), np.eye(4), optical_frame="head_optical", index=0
    )


@pytest.mark.parametrize(("listeners", "heavy"), [(0, set()), (1, {"~/masks", "~/label_info", "~/overlay"})])
def test_masks_are_drawn_only_for_listeners(frame: Frame, listeners: int, heavy: set[str]) -> None:
    node = Node(listeners)
    Outputs(node).publish_masks(MaskEvent(frame, "mug", np.ones((1, 4, 6), bool), np.ones(1), "fake"))
    assert set(node.published) == heavy


@pytest.mark.parametrize(("listeners", "cloud"), [(0, set()), (1, {"~/depth_cloud"})])
def test_the_cloud_is_made_only_for_listeners_and_markers_always(frame: Frame, listeners: int, cloud: set[str]) -> None:
    node = Node(listeners)
    Outputs(node).publish_scene(QueryResult(Query("how far?"), ErrorCode.NONE), Snapshot.from_frames([frame]))
    assert set(node.published) == {"~/markers"} | cloud


def test_masks_of_a_picture_that_is_no_frame_are_not_drawn(frame: Frame) -> None:
    node = Node(1)
    Outputs(node).publish_masks(MaskEvent(None, "mug", np.ones((1, 4, 6), bool), np.ones(1), "fake"))
    assert not node.published
