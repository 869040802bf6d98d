"""Stamps and windows are ROS time; limits are steady time, which goes on when /clock stands still."""

from __future__ import annotations

from typing import Any

import pytest
from ros.ros_robot import HEAD, SECOND, START, NodeProcess, Robot, ask, send_until_taken, wait_until

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    return HEAD | {"use_sim_time": "true"}


def test_a_goal_ends_by_its_limit_while_the_clock_stands_still(client: QueryClient, robot: Robot) -> None:
    robot.send_clock(START)
    send_until_taken(robot, client)
    assert client.ask(Query("wait", time_limit=0.3), seconds=10.0).error_code is ErrorCode.TIME_LIMIT


def test_waiting_for_frames_ends_while_the_clock_stands_still(client: QueryClient, robot: Robot) -> None:
    result = ask(client, "how many?", start_time=1, end_time=2)
    assert result.error_code is ErrorCode.NO_FRAMES


def test_the_answers_stamp_is_ros_time(client: QueryClient, robot: Robot) -> None:
    robot.send_clock(START + 7 * SECOND)
    wait_until(lambda: answer_stamp(client) == START // SECOND + 7)


def test_frames_of_before_a_jump_back_are_forgotten(client: QueryClient, robot: Robot, node: NodeProcess) -> None:
    robot.stamp = START + 100 * SECOND
    late = send_until_taken(robot, client)
    robot.send_clock(late)
    wait_until(lambda: answer_stamp(client) == late // SECOND)
    robot.send_clock(START)
    node.wait_for_text("ROS time jumped back")
    assert ask(client, "how many?").error_code is ErrorCode.NO_FRAMES
    robot.stamp = START
    early = send_until_taken(robot, client)
    assert evidence(client)[-1] == early


def evidence(client: QueryClient) -> list[int]:
    answer = ask(client, "how many?").answer
    return [] if answer is None else [each.stamp for each in answer.evidence]


def answer_stamp(client: QueryClient) -> int:
    """Seconds in the header of the objects of a fresh answer."""
    pending = client.send(Query("objects"))
    pending.result(5.0)
    return pending.message.objects[0].header.stamp.sec
