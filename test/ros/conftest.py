"""A node process with the fake agent for a whole module, its client, and a robot for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("spatialclaw_msgs", reason="spatialclaw_msgs is not built (make setup)")

from ros.ros_robot import HEAD, NodeProcess, Robot, ask, wait_until

from spatialclaw_ros.ros.client import QueryClient


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    """The node's parameters; a module may have its own."""
    return HEAD


@pytest.fixture(scope="module")
def node(parameters: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    started = NodeProcess(tmp_path_factory.mktemp("node") / "node.log", parameters)
    yield started
    if started.process.poll() is None:
        assert started.end() == 0, started.text()


@pytest.fixture(scope="module")
def client(node: NodeProcess) -> Iterator[QueryClient]:
    with QueryClient() as made:
        made.wait_for_server(20.0)
        yield made


@pytest.fixture(scope="module")
def robot(client: QueryClient) -> Iterator[Robot]:
    made = Robot(client.node)
    made.wait_for_listener()
    made.send_mounting()
    yield made
    made.close()


@pytest.fixture(scope="module")
def frames(robot: Robot, client: QueryClient) -> list[int]:
    """Stamps of the frames that the node has, ns: three or more, the last of them whole.

    A best-effort subscription loses what is sent before both sides know of each other, so frames are sent until it has.
    """

    def taken() -> list[int]:
        robot.send_frame()
        answer = ask(client, "how many?").answer
        stamps = [each.stamp for each in answer.evidence] if answer is not None else []
        return stamps if len(stamps) >= 3 else []

    return wait_until(taken)
