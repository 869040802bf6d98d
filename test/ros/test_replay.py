"""Replaying a recording: its bytes as they are, /clock, latched transforms, and an end with a reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros.ros_robot import wait_until
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage
from tf2_msgs.msg import TFMessage

from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]

TOPIC = "/camera/color/image_raw/compressed"


@pytest.fixture(scope="module")
def listening() -> Iterator[Any]:
    with QueryClient() as client:
        yield client.node


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "spatialclaw_ros.evaluation.replay", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def recording(folder: Path, store: str) -> Path:
    """Twenty pictures over 0.95 s, and a static transform."""
    import numpy as np
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_JAZZY)
    message = types.types
    with Writer(folder, version=9, storage_plugin=StoragePlugin[store]) as writer:
        images = writer.add_connection(TOPIC, "sensor_msgs/msg/CompressedImage", typestore=types)
        static = writer.add_connection("/tf_static", "tf2_msgs/msg/TFMessage", typestore=types)
        header = message["std_msgs/msg/Header"](message["builtin_interfaces/msg/Time"](100, 0), "head")
        empty = message["tf2_msgs/msg/TFMessage"]([])
        writer.write(static, 100 * 10**9, types.serialize_cdr(empty, "tf2_msgs/msg/TFMessage"))
        for number in range(20):
            picture = message["sensor_msgs/msg/CompressedImage"](
                header, "jpeg", np.full(100 + number, number, np.uint8)
            )
            raw = types.serialize_cdr(picture, "sensor_msgs/msg/CompressedImage")
            writer.write(images, 100 * 10**9 + number * 50_000_000, raw)
    return folder


@pytest.mark.parametrize("store", ["MCAP", "SQLITE3"])
def test_every_message_arrives_as_it_was_with_a_running_clock(tmp_path: Path, listening: Any, store: str) -> None:
    bag = recording(tmp_path / "bag", store)
    pictures: list[CompressedImage] = []
    clocks: list[int] = []
    subscriptions = [
        listening.create_subscription(CompressedImage, TOPIC, pictures.append, 50),
        listening.create_subscription(
            Clock, "/clock", lambda m: clocks.append(m.clock.sec * 10**9 + m.clock.nanosec), 100
        ),
    ]
    player = start(str(bag))
    assert player.wait(30.0) == 0, player.stderr.read()
    player.stderr.close()
    wait_until(lambda: len(pictures) == 20)
    assert [bytes(each.data) for each in pictures] == [bytes([n]) * (100 + n) for n in range(20)]
    during = [stamp for stamp in clocks if stamp > 100 * 10**9]
    assert during == sorted(during) and during[-1] <= 100 * 10**9 + 950_000_001
    assert len(during) >= 48  # 50 Hz over 0.95 s
    for subscription in subscriptions:
        listening.destroy_subscription(subscription)


def test_static_transforms_reach_whoever_comes_late_while_it_holds(tmp_path: Path, listening: Any) -> None:
    bag = recording(tmp_path / "bag", "MCAP")
    pictures: list[CompressedImage] = []
    subscription = listening.create_subscription(CompressedImage, TOPIC, pictures.append, 50)
    player = start(str(bag), "--rate", "20", "--hold")
    try:
        wait_until(lambda: len(pictures) == 20, 20.0)
        static: list[TFMessage] = []
        qos = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        late = listening.create_subscription(TFMessage, "/tf_static", static.append, qos)
        wait_until(lambda: static)
        listening.destroy_subscription(late)
    finally:
        player.terminate()
        assert player.wait(10.0) == 0
        player.stderr.close()
        listening.destroy_subscription(subscription)


def test_nothing_is_played_before_somebody_listens(tmp_path: Path, listening: Any) -> None:
    bag = recording(tmp_path / "bag", "MCAP")
    player = start(str(bag), "--rate", "50", "--wait", "20")
    wait_until(lambda: listening.count_publishers(TOPIC), 20.0)
    pictures: list[CompressedImage] = []
    subscription = listening.create_subscription(CompressedImage, TOPIC, pictures.append, 50)
    assert player.wait(20.0) == 0
    player.stderr.close()
    wait_until(lambda: len(pictures) == 20)
    listening.destroy_subscription(subscription)


@pytest.mark.parametrize("cut", [None, 200])
def test_a_recording_that_cannot_be_read_is_named(tmp_path: Path, cut: int | None) -> None:
    bag = tmp_path / "bag"
    if cut is not None:
        recording(bag, "MCAP")
        file = next(bag.glob("*.mcap"))
        file.write_bytes(file.read_bytes()[:cut])
    player = start(str(bag), "--wait", "0")
    _, error = player.communicate(timeout=20.0)
    assert player.returncode == 1
    assert b"BAD_RECORDING" in error and str(bag).encode() in error
