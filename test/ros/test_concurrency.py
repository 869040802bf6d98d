"""Goals that come while another runs: each way of `loop.concurrency`, through the action of a real node process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from ros.ros_robot import HEAD, NodeProcess, Robot, send_until_taken, wait_until

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]

Serving = Callable[[str], tuple[QueryClient, Robot]]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A node of a way of concurrency, started when first asked for: its client, and a robot that it listens to."""
    made: dict[str, tuple[QueryClient, Robot]] = {}
    with ExitStack() as ending:

        def start(concurrency: str) -> tuple[QueryClient, Robot]:
            if concurrency not in made:
                log = tmp_path_factory.mktemp("node") / "node.log"
                timeout = "20.0" if concurrency == "parallel" else HEAD["frame_timeout"]
                parameters = HEAD | {"loop.concurrency": concurrency, "frame_timeout": timeout}
                node = NodeProcess(log, parameters, name=concurrency)
                ending.callback(node.end)
                client = ending.enter_context(QueryClient(f"/{concurrency}"))
                client.wait_for_server(20.0)
                robot = Robot(client.node)
                ending.callback(robot.close)
                robot.wait_for_listener()
                robot.send_mounting()
                made[concurrency] = client, robot
            return made[concurrency]

        yield start


def test_goals_that_wait_for_frames_at_once_are_woken_and_cancelled_each_for_itself(serving: Serving) -> None:
    client, robot = serving("parallel")
    cancelled, patient = client.send(Query("how many?")), client.send(Query("how many?"))
    assert cancelled.cancel(20.0)
    assert cancelled.result(10.0).error_code is ErrorCode.CANCELED
    assert not patient.is_done()
    wait_until(lambda: robot.send_frame() and patient.is_done())
    assert patient.result(20.0).ok


def test_parallel_goals_run_at_once_and_the_next_one_waits(serving: Serving) -> None:
    client, robot = serving("parallel")
    send_until_taken(robot, client)
    running = [client.send(Query("wait")) for _ in range(2)]
    wait_until(lambda: all(each.events for each in running))
    third = client.send(Query("how many?"))
    assert running[0].cancel(20.0)
    assert third.result(20.0).ok
    assert not running[1].is_done()
    assert running[1].cancel(20.0) and running[1].result(20.0).error_code is ErrorCode.CANCELED


def test_parallel_goals_of_one_session_run_one_after_the_other_and_others_pass(serving: Serving) -> None:
    client, robot = serving("parallel")
    send_until_taken(robot, client)
    first = client.send(Query("wait", session_id="kitchen"))
    wait_until(lambda: first.events)
    follow_up = client.send(Query("wait", session_id="kitchen"))
    assert client.ask(Query("how many?", session_id="hall"), seconds=20.0).ok
    assert not follow_up.events and not first.is_done()
    assert first.cancel(20.0)
    wait_until(lambda: follow_up.events)
    assert follow_up.cancel(20.0) and follow_up.result(20.0).error_code is ErrorCode.CANCELED


def test_a_rejected_goal_ends_at_once_as_busy_and_the_running_one_goes_on(serving: Serving) -> None:
    client, robot = serving("reject")
    send_until_taken(robot, client)
    running = client.send(Query("wait"))
    wait_until(lambda: running.events)
    refused = client.ask(Query("how many?"), seconds=20.0)
    assert refused.error_code is ErrorCode.BUSY and "loop.concurrency" in refused.error_message
    assert not running.is_done()
    assert running.cancel(20.0) and running.result(20.0).error_code is ErrorCode.CANCELED
    assert client.ask(Query("how many?"), seconds=20.0).ok


def test_a_newer_goal_preempts_the_running_one_which_is_told_by_what(serving: Serving) -> None:
    client, robot = serving("preempt")
    send_until_taken(robot, client)
    running = client.send(Query("wait"))
    wait_until(lambda: running.events)
    newer = client.send(Query("how many red mugs?"))
    result = running.result(20.0)
    assert result.error_code is ErrorCode.PREEMPTED and "how many red mugs?" in result.error_message
    assert newer.result(20.0).ok


def test_a_goal_that_cannot_be_served_preempts_nobody(serving: Serving) -> None:
    client, robot = serving("preempt")
    send_until_taken(robot, client)
    running = client.send(Query("wait"))
    wait_until(lambda: running.events)
    assert client.ask(Query("how many?", cameras=("haed",)), seconds=20.0).error_code is ErrorCode.UNKNOWN_CAMERA
    assert not running.is_done()
    assert running.cancel(20.0) and running.result(20.0).error_code is ErrorCode.CANCELED
