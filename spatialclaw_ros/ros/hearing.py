"""What came on every topic that the node listens to, and in one sentence per topic why nothing did."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from spatialclaw_ros.errors import SpatialClawError

Part = Literal["", "depth", "intrinsics", "pose"]


@dataclass
class Heard:
    """One subscription's record. stamps: ns of ROS time, as in the messages' headers; 0 before the first.

    purpose: what the topic is for ("head colour"). needed: without it no frame can be made.
    camera: whose it is, "" = the robot's. part: what a frame gets from it besides colour.
    unstamped: an image had stamp zero, or the stamp of the one before.
    since: when listening to it began, seconds of the steady clock.
    """

    topic: str
    type_name: str
    purpose: str
    qos: QoSProfile
    needed: bool = False
    count: int = 0
    first_stamp: int = 0
    last_stamp: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    last_refusal: str = ""
    camera: str = ""
    part: Part = ""
    unstamped: bool = False
    since: float = field(default_factory=time.monotonic)

    def hear(self, stamp: int) -> None:
        """Count a message."""
        self.count += 1
        self.first_stamp = self.first_stamp or stamp
        self.last_stamp = stamp

    def refuse(self, error: SpatialClawError) -> bool:
        """Count a message that could not be used; True where it is the first of its kind."""
        name = type(error).__name__
        self.refused[name] += 1
        self.last_refusal = f"{name}: {error}"
        return self.refused[name] == 1


def describe(node: Node, records: Iterable[Heard]) -> str:
    """One line per topic: what it is for, its type, and what was seen on it."""
    return "; ".join(f"{each.purpose} {each.topic} ({each.type_name}): {what_was_seen(node, each)}" for each in records)


def what_was_seen(node: Node, heard: Heard) -> str:
    """Why nothing came, or what did: no publisher, another type, incompatible QoS, refused, or stamps from-to."""
    if not heard.count:
        return _why_silent(node, heard)
    seen = f"{heard.count} messages, stamps {heard.first_stamp / 1e9:.3f} s to {heard.last_stamp / 1e9:.3f} s"
    refused = sum(heard.refused.values())
    if refused:
        each = ", ".join(f"{count} {name}" for name, count in heard.refused.items())
        seen += f", {refused} refused ({each}; the last was {heard.last_refusal})"
    return seen


def _why_silent(node: Node, heard: Heard) -> str:
    publishers = node.get_publishers_info_by_topic(heard.topic)
    if not publishers:
        return _no_publisher(node, heard.topic)
    others = sorted({each.topic_type for each in publishers} - {heard.type_name})
    if others and all(each.topic_type != heard.type_name for each in publishers):
        return f"no message; its publisher sends another type, {', '.join(others)}"
    for each in publishers:
        verdict, reason = qos_check_compatible(each.qos_profile, heard.qos)
        if verdict == QoSCompatibility.ERROR:
            return f"no message; QoS does not match publisher {each.node_name!r}: {reason.strip()}"
    return (
        f"no message, though {len(publishers)} publisher(s) match: is it sending, and does its data reach this machine?"
    )


def _no_publisher(node: Node, topic: str) -> str:
    twin = topic.removesuffix("/compressed") if topic.endswith("/compressed") else f"{topic}/compressed"
    if node.get_publishers_info_by_topic(twin):
        return f"no publisher; there is one on {twin}"
    return "no publisher"
