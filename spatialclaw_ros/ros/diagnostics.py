"""`/diagnostics`: how the kernels of this node are isolated, once a second, for rqt_robot_monitor and its like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

PERIOD = 1.0
"""Seconds of steady time between two messages (REP-107 names 1 Hz as usual)."""

WITHOUT = "no isolation: cells that a model writes run with all rights of this user (kernel.sandbox: none)"


@dataclass(frozen=True)
class Isolation:
    """level: of the kernels, "" where the node is not configured. problem: why no level works, "" where one does."""

    level: str = ""
    problem: str = ""


class Diagnostics:
    """Publishes what `isolation` returns as one status, named after the node."""

    def __init__(self, node: Node, isolation: Callable[[], Isolation]) -> None:
        self._node = node
        self._isolation = isolation
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(PERIOD, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _publish(self) -> None:
        message = DiagnosticArray(status=[isolation_status(self._node.get_fully_qualified_name(), self._isolation())])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def isolation_status(node_name: str, isolation: Isolation) -> DiagnosticStatus:
    """OK with a level, WARN without isolation, ERROR where no level works, STALE before the node is configured."""
    if isolation.problem:
        level, text = DiagnosticStatus.ERROR, isolation.problem
    elif not isolation.level:
        level, text = DiagnosticStatus.STALE, "the node is not configured"
    elif isolation.level == "none":
        level, text = DiagnosticStatus.WARN, WITHOUT
    else:
        level, text = DiagnosticStatus.OK, f"kernels are isolated by {isolation.level}"
    return DiagnosticStatus(
        level=level,
        name=f"{node_name.lstrip('/')}: kernel isolation",
        message=text,
        hardware_id=node_name,
        values=[KeyValue(key="level", value=isolation.level)],
    )
