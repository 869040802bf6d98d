"""Isolation as the node tells it: in /diagnostics, in the log, and by not starting where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ros.ros_robot import NodeProcess, wait_until

from spatialclaw_ros.ros.client import QueryClient
from spatialclaw_ros.ros.diagnostics import Isolation, isolation_status

pytestmark = [pytest.mark.process, pytest.mark.ros]


@pytest.mark.parametrize(
    ("isolation", "level", "text"),
    [
        (Isolation("bwrap"), DiagnosticStatus.OK, "isolated by bwrap"),
        (Isolation("none"), DiagnosticStatus.WARN, "kernel.sandbox: none"),
        (Isolation(problem="bwrap: not installed"), DiagnosticStatus.ERROR, "bwrap: not installed"),
        (Isolation(), DiagnosticStatus.STALE, "not configured"),
    ],
)
def test_every_state_of_isolation_has_its_level(isolation: Isolation, level: bytes, text: str) -> None:
    status = isolation_status("/robot/spatialclaw", isolation)
    assert status.level == level and text in status.message
    assert status.name == "robot/spatialclaw: kernel isolation"


def test_node_without_isolation_warns_in_its_log_and_in_diagnostics(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node.log", {"kernel.sandbox": "none"})
    heard: list[Any] = []
    with QueryClient() as client:
        client.node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
        found = wait_until(lambda: [each for message in heard for each in message.status])
    assert node.end() == 0
    assert found[-1].level == DiagnosticStatus.WARN and found[-1].values[0].value == "none"
    assert "all rights of this user" in node.text()


def test_node_whose_kernels_cannot_be_isolated_does_not_start_and_says_what_is_missing(tmp_path: Path) -> None:
    parameters = {"kernel.sandbox": "landlock", "kernel.max_processes": 4}
    node = NodeProcess(tmp_path / "node.log", parameters, module="spatialclaw_ros.ros.main")
    assert node.process.wait(30.0) == 1
    assert "SANDBOX_UNAVAILABLE" in node.text() and "max_processes" in node.text()
