"""ROS time that jumps back and forth, as when a recording loops: every goal is answered from its own round."""

from __future__ import annotations

from typing import Any

import pytest
from ros.ros_robot import HEAD, SECOND, START, Robot, ask, send_until_taken

from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]

HOUR = 3600 * SECOND


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    return HEAD | {"use_sim_time": "true", "buffer.seconds": "600.0"}


@pytest.mark.parametrize("offset", [HOUR, 3 * HOUR, 2 * HOUR, 4 * HOUR, 0])
def test_goal_after_a_jump_is_answered_from_frames_after_it(client: QueryClient, robot: Robot, offset: int) -> None:
    robot.send_clock(START + offset)
    robot.stamp = START + offset
    newest = send_until_taken(robot, client)
    robot.send_clock(newest)
    answer = ask(client, "how many?").answer
    assert answer is not None
    assert all(START + offset <= each.stamp <= newest for each in answer.evidence)


def test_recording_that_loops_is_answered_in_every_round(client: QueryClient, robot: Robot) -> None:
    lengths = []
    for _ in range(4):
        robot.stamp = START + 10 * HOUR
        robot.send_clock(robot.stamp)
        newest = send_until_taken(robot, client)
        robot.send_clock(newest)
        answer = ask(client, "how many?").answer
        assert answer is not None
        stamps = [each.stamp for each in answer.evidence]
        assert stamps == sorted(set(stamps)) and stamps[-1] == newest
        lengths.append(len(stamps))
    assert max(lengths) < 100
