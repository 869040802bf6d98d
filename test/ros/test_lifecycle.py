"""The lifecycle: what goals get in each state, and that an end leaves nothing behind."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from ros.ros_robot import HEAD, NodeProcess, Robot, ask, send_until_taken, wait_until

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    return HEAD | {"autostart": "false"}


@pytest.fixture(scope="module")
def change(client: QueryClient) -> Any:
    service = client.node.create_client(ChangeState, "/spatialclaw/change_state")
    assert service.wait_for_service(10.0)

    def call(transition: int) -> bool:
        future = service.call_async(ChangeState.Request(transition=Transition(id=transition)))
        wait_until(future.done)
        return future.result().success

    return call


def test_goals_are_answered_only_while_the_node_is_active(client: QueryClient, change: Any) -> None:
    assert ask(client, "how many?").error_code is ErrorCode.NOT_ACTIVE
    assert change(Transition.TRANSITION_CONFIGURE)
    inactive = ask(client, "how many?")
    assert inactive.error_code is ErrorCode.NOT_ACTIVE and "activate it" in inactive.error_message
    assert change(Transition.TRANSITION_ACTIVATE)
    robot = Robot(client.node)
    robot.wait_for_listener()
    send_until_taken(robot, client)
    robot.close()


def test_deactivating_ends_running_and_waiting_goals_with_a_code(client: QueryClient, change: Any) -> None:
    running, waiting = client.send(Query("wait")), client.send(Query("wait"))
    wait_until(lambda: running.events)
    assert change(Transition.TRANSITION_DEACTIVATE)
    for pending in (running, waiting):
        result = pending.result(5.0)
        assert result.error_code is ErrorCode.NOT_ACTIVE
        assert "deactivated" in result.error_message


def test_a_node_that_was_cleaned_up_can_be_used_again(client: QueryClient, change: Any, node: NodeProcess) -> None:
    assert change(Transition.TRANSITION_CLEANUP)
    wait_until(lambda: not node.shared_memory())
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_ACTIVATE)
    robot = Robot(client.node)
    robot.wait_for_listener()
    send_until_taken(robot, client)
    robot.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_goals_with_a_result_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    node = NodeProcess(tmp_path / "log", HEAD, name="other")
    with QueryClient("/other") as client:
        client.wait_for_server(10.0)
        robot = Robot(client.node)
        robot.wait_for_listener()
        send_until_taken(robot, client)
        running, waiting = client.send(Query("wait")), client.send(Query("wait"))
        wait_until(lambda: running.events)
        assert node.shared_memory()
        assert node.end(number) == 0, node.text()
        assert running.result(5.0).error_code is ErrorCode.CANCELED
        assert waiting.result(5.0).error_code is ErrorCode.CANCELED
        assert not node.shared_memory()
        robot.close()


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("buffer.secnds", "3.0", "buffer.seconds"),
        ("buffer.seconds", "-1.0", "buffer.seconds"),
        ("buffer.seconds", "many", "buffer.seconds"),
        ("cameras.head.imge_topic", "/a", "cameras.head.image_topic"),
        ("backbone.name", "rule", "one of rules"),
    ],
)
def test_a_wrong_parameter_stops_the_node_and_names_the_right_one(
    tmp_path: Path, name: str, value: str, named: str
) -> None:
    node = NodeProcess(tmp_path / "log", {name: value})
    assert node.process.wait(20.0) == 1
    assert "BAD_CONFIGURATION" in node.text() and named in node.text()
    assert not node.shared_memory()
