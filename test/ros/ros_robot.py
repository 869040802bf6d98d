"""What the ROS tests share: a node in a process of its own, and a robot that publishes what a test wants."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from spatialclaw_ros.agent.records import Query, QueryResult
from spatialclaw_ros.ros.client import QueryClient
from spatialclaw_ros.ros.conversions import byte_array, time_message

SECOND = 1_000_000_000
START = (int(time.time()) - 3_000) * SECOND
"""First stamp of the robot's images, ns: they go on at a second each, and stay within HEAD's window of an hour."""


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The condition's value as soon as it is true; fails the test after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.01)
    pytest.fail(f"did not become true within {seconds:g} s")


class NodeProcess:
    """An agent node in a process of its own. parameters: those that differ from the defaults; module: what it runs."""

    def __init__(
        self,
        log: Path,
        parameters: dict[str, Any],
        name: str = "spatialclaw",
        module: str = "spatialclaw_ros.fakes.agent_node",
    ) -> None:
        arguments = [part for key, value in parameters.items() for part in ("-p", f"{key}:={value}")]
        arguments += ["-r", f"__node:={name}"]
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "--ros-args", *arguments], stdout=file, stderr=subprocess.STDOUT
            )

    def end(self, number: int = signal.SIGTERM, seconds: float = 15.0) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"the node did not end within {seconds:g} s:\n{self.text()}")

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_text(self, text: str, seconds: float = 10.0) -> None:
        wait_until(lambda: text in self.text(), seconds)

    def shared_memory(self) -> list[str]:
        """Names in /dev/shm that carry this process's number."""
        return [name for name in os.listdir("/dev/shm") if name.startswith(f"spatialclaw-{self.process.pid}-")]


class Robot:
    """Publishes what the head camera and the robot would, and /clock, on a client's ROS node."""

    def __init__(self, node: Any) -> None:
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node = node
        self.color = node.create_publisher(Image, "/head/image", 10)
        self.depth = node.create_publisher(Image, "/head/depth", 10)
        self.info = node.create_publisher(CameraInfo, "/head/camera_info", 10)
        self.compressed = node.create_publisher(CompressedImage, "/wrist/image/compressed", 10)
        self.odom = node.create_publisher(Odometry, "/odom", 50)
        self.tf = node.create_publisher(TFMessage, "/tf", 100)
        self.tf_static = node.create_publisher(TFMessage, "/tf_static", latched)
        self.clock = node.create_publisher(Clock, "/clock", 1)
        self.stamp = START

    def close(self) -> None:
        for publisher in (self.color, self.depth, self.info, self.compressed, self.odom, self.tf, self.tf_static):
            self.node.destroy_publisher(publisher)
        self.node.destroy_publisher(self.clock)

    def wait_for_listener(self) -> None:
        """Until the node listens to the head camera and to odometry."""
        publishers = (self.color, self.depth, self.info, self.odom, self.tf)
        wait_until(lambda: all(publisher.get_subscription_count() for publisher in publishers))

    def tick(self, seconds: float = 1.0) -> Time:
        """Go on to the next stamp."""
        self.stamp += round(seconds * SECOND)
        return time_message(self.stamp)

    def send_color(self, stamp: Time, width: int = 32, height: int = 24, encoding: str = "rgb8", **fields: Any) -> None:
        pixels = np.full((height, width, 3), 128, np.uint8)
        message = Image(
            height=height, width=width, encoding=encoding, step=3 * width, data=byte_array(pixels.tobytes())
        )
        self._send(self.color, message, stamp, fields)

    def send_depth(self, stamp: Time, width: int = 32, height: int = 24, **fields: Any) -> None:
        pixels = np.full((height, width), 1500, np.uint16)
        message = Image(height=height, width=width, encoding="16UC1", step=2 * width, data=byte_array(pixels.tobytes()))
        self._send(self.depth, message, stamp, fields)

    def send_info(self, stamp: Time, focal: float = 30.0) -> None:
        message = CameraInfo(width=32, height=24, k=[focal, 0.0, 16.0, 0.0, focal, 12.0, 0.0, 0.0, 1.0])
        self._send(self.info, message, stamp, {})

    def send_odometry(self, stamp: Time, x: float = 0.0) -> None:
        message = Odometry(child_frame_id="base_link")
        message.header.stamp, message.header.frame_id = stamp, "odom"
        message.pose.pose.position.x, message.pose.pose.orientation.w = x, 1.0
        self.odom.publish(message)

    def send_transform(self, stamp: Time, parent: str = "map", child: str = "odom", x: float = 0.0) -> None:
        transform = TransformStamped(child_frame_id=child)
        transform.header.stamp, transform.header.frame_id = stamp, parent
        transform.transform.translation.x, transform.transform.rotation.w = x, 1.0
        self.tf.publish(TFMessage(transforms=[transform]))

    def send_mounting(self) -> None:
        """base_link -> head_optical, latched: the camera looks along the robot's x axis."""
        mounting = TransformStamped(child_frame_id="head_optical")
        mounting.header.frame_id = "base_link"
        turn = mounting.transform.rotation
        turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
        mounting.transform.translation.z = 1.0
        self.tf_static.publish(TFMessage(transforms=[mounting]))

    def send_frame(self, stamp: Time | None = None) -> int:
        """Colour, depth, intrinsics and odometry of one moment; returns its stamp, ns."""
        stamp = stamp or self.tick()
        self.send_odometry(stamp)
        self.send_info(stamp)
        self.send_depth(stamp)
        self.send_color(stamp)
        return stamp.sec * SECOND + stamp.nanosec

    def send_clock(self, nanoseconds: int) -> None:
        self.clock.publish(Clock(clock=time_message(nanoseconds)))

    def _send(self, publisher: Any, message: Any, stamp: Time, fields: dict[str, Any]) -> None:
        message.header.stamp, message.header.frame_id = stamp, "head_optical"
        for name, value in fields.items():
            setattr(message, name, value)
        publisher.publish(message)


HEAD = {
    "cameras.head.image_topic": "/head/image",
    "cameras.head.depth_topic": "/head/depth",
    "buffer.rate_hz": "0.0",
    "buffer.seconds": "3600.0",
    "frame_timeout": "0.3",
}


def ask(client: QueryClient, question: str, **fields: Any) -> QueryResult:
    """One goal and its result."""
    return client.ask(Query(question, **fields), seconds=20.0)


def send_until_taken(robot: Robot, client: QueryClient, **fields: Any) -> int:
    """Send frames until a goal finds the one just sent; returns its stamp, ns."""

    def taken() -> int:
        stamp = robot.send_frame()
        answer = client.ask(Query("how many?", **fields), seconds=20.0).answer
        return stamp if answer is not None and stamp in [each.stamp for each in answer.evidence] else 0

    return wait_until(taken)
