"""A node that is killed leaves no kernel, and the next one finds its place clean and answers."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("spatialclaw_msgs", reason="spatialclaw_msgs is not built (make setup)")

from ros.ros_robot import HEAD, NodeProcess, Robot, wait_until

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer, RecordedRequest
from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]

CELL = "Purpose: {purpose}\nReasoning: none\nNext goal: none\n```python\n{code}\n```"
ENDLESS = "vlm.ask_with_thinking(InputImages[0], 'Is anybody there?')\nwhile True: pass"


def reply(request: RecordedRequest) -> str:
    if "Is anybody there?" in request.text:
        return "Somebody."
    never = any("never end" in str(message["content"]) for message in request.messages)
    return CELL.format(purpose="answer", code=ENDLESS if never else "ReturnAnswer(len(InputImages) > 0)")


@pytest.mark.parametrize("killed_too", [False, True], ids=["node", "node and what cleans up after it"])
def test_killed_node_leaves_no_kernel_and_the_next_one_answers(
    tmp_path: Path, killed_too: bool, request: pytest.FixtureRequest
) -> None:
    with FakeOpenAIServer(reply) as server, QueryClient("/first") as client:
        robot = Robot(client.node)
        robot.send_mounting()  # latched: a node that comes later hears it too
        first = start("first", tmp_path, server, client, request)
        client.send(Query("Will it never end?"))
        wait_until(lambda: robot.send_frame() and len(server.requests) >= 2, 60.0)  # the second is the cell's own
        family = psutil.Process(first.process.pid).children(recursive=True)
        if killed_too:
            janitors = [each for each in family if each.name() == "sh"]
            assert janitors
            for janitor in janitors:
                janitor.kill()
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(10.0)
        assert not psutil.wait_procs(family, timeout=10.0)[1]
        if not killed_too:
            wait_until(lambda: not first.shared_memory())
        with QueryClient("/second") as other:  # another name: DDS does not know at once that the first is gone
            second = start("second", tmp_path, server, other, request)
            wait_until(lambda: not first.shared_memory())  # removed at the latest by this start
            pending = other.send(Query("Is anything there?"))
            wait_until(lambda: robot.send_frame() and pending.is_done(), 60.0)
            assert pending.result().ok, pending.result().error_message
            assert second.end() == 0, second.text()
        robot.close()


def start(
    name: str, folder: Path, server: FakeOpenAIServer, client: QueryClient, request: pytest.FixtureRequest
) -> NodeProcess:
    """A node that takes goals, and that ends with the test at the latest."""
    settings = {
        "backbone.name": "openai",
        "backbone.base_url": server.url,
        "backbone.model": server.model,
        "loop.planning": "false",
        "trace.folder": str(folder),
        "frame_timeout": "30.0",
    }
    node = NodeProcess(folder / f"{name}.log", HEAD | settings, name, "spatialclaw_ros.ros.main")
    request.addfinalizer(lambda: node.process.poll() is None and node.end(signal.SIGKILL))
    client.wait_for_server(30.0)
    return node
