"""A signal while a real kernel runs a cell: goals end with a code, and no process or shared memory stays behind."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("spatialclaw_msgs", reason="spatialclaw_msgs is not built (make setup)")

from ros.ros_robot import HEAD, NodeProcess, Robot, wait_until

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer, RecordedRequest
from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]

CELL = """Purpose: never end
Reasoning: none
Next goal: none
```python
vlm.ask_with_thinking(InputImages[0], "Is anybody there?")
while True:
    pass
```"""


def reply(request: RecordedRequest) -> str:
    return "Somebody." if "Is anybody there?" in request.text else CELL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_real_cell_leaves_no_process_and_no_shared_memory(tmp_path: Path, number: int) -> None:
    with FakeOpenAIServer(reply) as server:
        settings = {
            "backbone.name": "openai",
            "backbone.base_url": server.url,
            "backbone.model": server.model,
            "loop.planning": "false",
            "trace.folder": str(tmp_path),
            "frame_timeout": "30.0",
        }
        node = NodeProcess(tmp_path / "log", HEAD | settings, "real", "spatialclaw_ros.ros.main")
        with QueryClient("/real") as client:
            client.wait_for_server(30.0)
            robot = Robot(client.node)
            robot.wait_for_listener()
            running = client.send(Query("How far is the wall?"))
            wait_until(lambda: robot.send_frame() and (running.events or running.is_done()), 30.0)
            server.wait_for_requests(2, 60.0)  # the cell's own: it runs
            started = psutil.Process(node.process.pid).children(recursive=True)
            assert started and node.shared_memory()
            assert node.end(number, 20.0) == 0, node.text()
            assert running._done.wait(5.0), node.text()
            assert running.result().error_code is ErrorCode.CANCELED
            robot.close()
    assert not psutil.wait_procs(started, timeout=5.0)[1]
    assert not node.shared_memory()
