"""QueryClient against a node that does not keep its word."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.action import ActionServer
from rclpy.executors import SingleThreadedExecutor

from spatialclaw_msgs.action import SpatialQuery
from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]


@pytest.fixture
def forgetful_node() -> Iterator[None]:
    """Serves `/forgetful/query`: says that it sent three feedback messages, and sent one."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node("forgetful", context=context, enable_rosout=False)

    def execute(handle: Any) -> SpatialQuery.Result:
        handle.publish_feedback(SpatialQuery.Feedback(stage="plan"))
        handle.succeed()
        return SpatialQuery.Result(answer="4", answer_type=SpatialQuery.Goal.TYPE_TEXT, feedback_count=3)

    server = ActionServer(node, SpatialQuery, "~/query", execute)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin)
    spinning.start()
    yield
    executor.shutdown(timeout_sec=2.0)
    spinning.join(5.0)
    server.destroy()
    node.destroy_node()
    context.try_shutdown()


def test_a_result_whose_feedback_got_lost_comes_all_the_same_and_says_so(forgetful_node: None) -> None:
    with QueryClient("/forgetful") as client:
        client.wait_for_server(20.0)
        result = client.ask(Query("how many?"), seconds=10.0)
    assert result.ok and result.answer is not None and result.answer.text == "4"
    assert any("of 3 feedback messages did not arrive" in note for note in result.notes)
