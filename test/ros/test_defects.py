"""Defects of our own end in a code or an exit code; nothing hangs, and nothing stays behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("spatialclaw_msgs", reason="spatialclaw_msgs is not built (make setup)")

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import TransitionCallbackReturn
from ros.ros_robot import wait_until

from spatialclaw_msgs.action import SpatialQuery
from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.config import LoopConfig
from spatialclaw_ros.errors import ErrorCode, SpatialClawError
from spatialclaw_ros.fakes.agent import FakeAgent
from spatialclaw_ros.ros import action, main, node
from spatialclaw_ros.ros.agent_threads import AgentThreads
from spatialclaw_ros.ros.transforms import Tf2Transforms

pytestmark = pytest.mark.ros


class Handle:
    """Stands for rclpy's ServerGoalHandle. ended: set when the goal's execute coroutine would run."""

    def __init__(self) -> None:
        self.request = SpatialQuery.Goal(question="how far?")
        self.goal_id = SimpleNamespace(uuid=bytes(16))
        self.ended = threading.Event()
        self.execute = self.ended.set


def server(monkeypatch: pytest.MonkeyPatch, check: Any) -> action.QueryServer:
    monkeypatch.setattr(action, "ActionServer", lambda *_, **__: None)
    ros = SimpleNamespace(get_logger=lambda: SimpleNamespace(error=lambda _: None))
    return action.QueryServer(ros, AgentThreads(), LoopConfig, check, None, None, lambda: "odom")


def test_a_defect_at_acceptance_ends_the_goal_with_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(_: Query) -> None:
        raise ZeroDivisionError("nobody thought of this")

    serving, handle = server(monkeypatch, check), Handle()
    serving._accept(handle)
    (goal,) = serving._goals.values()
    assert handle.ended.is_set()
    assert goal.result.result().error_code is ErrorCode.INTERNAL
    assert "nobody thought of this" in goal.result.result().error_message


class Executor:
    """Fails a number of times, then says that it was shut down."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    def spin(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ExternalShutdownException()
        raise ValueError("a callback failed")


@pytest.mark.parametrize(
    ("failures", "gives_up"), [(1, False), (main.MOST_FAILURES - 1, False), (10 * main.MOST_FAILURES, True)]
)
def test_the_node_survives_failures_but_not_one_that_never_ends(failures: int, gives_up: bool) -> None:
    stop, given_up, executor = threading.Event(), threading.Event(), Executor(failures)
    main._spin(executor, stop, given_up)
    assert (stop.is_set(), given_up.is_set()) == (gives_up, gives_up)
    assert executor.left == (failures - main.MOST_FAILURES if gives_up else -1)


class Agent(FakeAgent):
    """Notes that it was closed."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.closed = threading.Event()

    def close(self) -> None:
        super().close()
        self.closed.set()


@pytest.fixture
def context() -> Iterator[Any]:
    made = rclpy.Context()
    rclpy.init(args=[], context=made)
    yield made
    made.try_shutdown()


@pytest.mark.parametrize("error", [SpatialClawError("no room for frames"), OSError("no room for frames")])
def test_an_agent_is_closed_when_the_node_cannot_be_configured_after_it(
    monkeypatch: pytest.MonkeyPatch, context: Any, error: Exception
) -> None:
    agents: list[Agent] = []

    def make(config: Any) -> Agent:
        agents.append(Agent(config))
        return agents[-1]

    def no_buffer(*_: Any) -> None:
        raise error

    monkeypatch.setattr(node, "FrameBuffer", no_buffer)
    made = node.SpatialClawNode(make_agent=make, context=context, enable_rosout=False)
    try:
        assert made.trigger_configure() != TransitionCallbackReturn.SUCCESS
        wait_until(agents[0].closed.is_set)
    finally:
        made.finish(5.0)
    assert not agents[0].store.folder.exists()


def test_every_cleanup_ends_what_tf2_listens_to(monkeypatch: pytest.MonkeyPatch, context: Any) -> None:
    ended: list[int] = []

    def make(_: Any, seconds: float) -> Tf2Transforms:
        made = Tf2Transforms(lambda *_: None, seconds)
        made.listener = SimpleNamespace(unregister=lambda: ended.append(1))
        return made

    monkeypatch.setattr(node, "make_transforms", make)
    made = node.SpatialClawNode(make_agent=FakeAgent, context=context, enable_rosout=False)
    try:
        for count in (1, 2):
            assert made.trigger_configure() == TransitionCallbackReturn.SUCCESS
            assert made.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
            assert len(ended) == count
    finally:
        made.finish(5.0)
