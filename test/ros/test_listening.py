"""Which topics a camera has, where poses come from, and what the environment gets, without a running node."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from sensor_msgs.msg import Image

from spatialclaw_ros.config import AgentConfig, CameraConfig
from spatialclaw_ros.errors import ConfigurationError, TransformError
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.transforms import TransformBuffer
from spatialclaw_ros.ros.camera_search import CameraSearch
from spatialclaw_ros.ros.environment import TRANSPORTS, prepare_environment, socket_bytes
from spatialclaw_ros.ros.subscriptions import Subscriptions, camera_topics
from spatialclaw_ros.ros.transforms import Tf2Transforms, make_transforms, matrix_of

pytestmark = pytest.mark.ros

SECOND = 10**9


def test_a_camera_without_topics_has_the_usual_ones() -> None:
    topics = camera_topics("head", CameraConfig())
    assert (topics.image_topic, topics.depth_topic) == ("head/image", "head/depth")
    assert topics.camera_info_topic == "head/camera_info"


@pytest.mark.parametrize(
    ("image", "info"),
    [
        ("/camera/color/image_raw", "/camera/color/camera_info"),
        ("/camera/color/image_raw/compressed", "/camera/color/camera_info"),
        ("image_raw", "camera_info"),
        ("/image_raw", "/camera_info"),
    ],
)
def test_camera_info_lies_beside_the_image(image: str, info: str) -> None:
    topics = camera_topics("head", CameraConfig(image_topic=image))
    assert topics.camera_info_topic == info
    assert topics.depth_topic == ""


def graph(topics: dict[str, str]) -> SimpleNamespace:
    return SimpleNamespace(
        get_fully_qualified_name=lambda: "/spatialclaw",
        get_topic_names_and_types=lambda: [(name, [kind]) for name, kind in topics.items()],
        count_publishers=lambda name: 1,
    )


def test_cameras_on_the_graph_are_found_once_their_topics_have_settled() -> None:
    topics = {"/camera/color/image_raw/compressed": "sensor_msgs/msg/CompressedImage"}
    search = CameraSearch(graph(topics))
    assert search.look() == {}
    topics["/camera/depth/image_raw/compressed"] = "sensor_msgs/msg/CompressedImage"
    topics["/camera/color/camera_info"] = "sensor_msgs/msg/CameraInfo"
    assert search.look() == {}
    assert search.look() == {
        "camera": CameraConfig(
            "/camera/color/image_raw/compressed", "/camera/depth/image_raw/compressed", "/camera/color/camera_info"
        )
    }


def test_what_the_node_publishes_itself_is_no_camera() -> None:
    search = CameraSearch(graph({"/spatialclaw/overlay": "sensor_msgs/msg/Image"}))
    search.look()
    assert search.look() == {}


def tf2_answer(x: float) -> SimpleNamespace:
    move, turn = SimpleNamespace(x=x, y=0.0, z=0.0), SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0)
    return SimpleNamespace(transform=SimpleNamespace(translation=move, rotation=turn))


def test_tf2_is_asked_first_and_the_own_buffer_answers_for_the_rest() -> None:
    def lookup(target: str, source: str, stamp: int) -> SimpleNamespace:
        if stamp != SECOND:
            raise LookupError("extrapolation into the future")
        return tf2_answer(5.0)

    transforms = Tf2Transforms(lookup, 30.0)
    for stamp in (SECOND, 2 * SECOND):
        transforms.add("odom", "head", stamp, (1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    assert transforms.pose("head", "odom", SECOND)[0, 3] == 5.0
    assert transforms.pose("head", "odom", 2 * SECOND)[0, 3] == 1.0
    with pytest.raises(TransformError):
        transforms.pose("head", "odom", 9 * SECOND)


def test_a_quaternion_turns_as_it_should() -> None:
    half = np.sqrt(0.5)
    matrix = matrix_of((1.0, 2.0, 3.0), (0.0, 0.0, half, half))  # 90 degrees about z
    assert matrix @ [1.0, 0.0, 0.0, 1.0] == pytest.approx([1.0, 3.0, 3.0, 1.0])
    with pytest.raises(TransformError):
        matrix_of((0.0, 0.0, np.nan), (0.0, 0.0, 0.0, 1.0))


def test_what_the_user_set_stays() -> None:
    environment = {TRANSPORTS: "UDPv4"}
    prepare_environment(environment)
    assert environment[TRANSPORTS] == "UDPv4"
    fresh: dict[str, str] = {}
    prepare_environment(fresh)
    assert fresh[TRANSPORTS].startswith("DEFAULT?max_msg_size=60KB&sockets_size=")


@pytest.mark.parametrize(("allowed", "asked"), [("212992\n", 212_992), ("16777216\n", 4_000_000), ("", 4_000_000)])
def test_socket_buffers_stay_within_what_the_system_allows(tmp_path: Path, allowed: str, asked: int) -> None:
    file = tmp_path / "rmem_max"
    if allowed:
        file.write_text(allowed)
    assert socket_bytes(file) == asked


class Tf2Buffer:
    """Stands for tf2_ros.Buffer: knows one pose, until it is cleared."""

    def __init__(self, **_: Any) -> None:
        self.cleared = False

    def lookup_transform(self, target: str, source: str, stamp: Any) -> SimpleNamespace:
        if self.cleared:
            raise LookupError("not known")
        return tf2_answer(5.0)

    def clear(self) -> None:
        self.cleared = True


def test_tf2_forgets_and_stops_listening_with_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    unregistered: list[bool] = []
    listener = SimpleNamespace(unregister=lambda: unregistered.append(True))
    module = SimpleNamespace(Buffer=Tf2Buffer, TransformListener=lambda *_, **__: listener)
    monkeypatch.setitem(sys.modules, "tf2_ros", module)
    transforms = make_transforms(SimpleNamespace(), 30.0)
    assert transforms.pose("head", "odom", SECOND)[0, 3] == 5.0
    transforms.clear()
    with pytest.raises(TransformError):
        transforms.pose("head", "odom", SECOND)
    transforms.close()
    transforms.close()
    assert unregistered == [True]


class Graph:
    """Stands for a node that listens: `alive` are the subscriptions that were made and not destroyed."""

    def __init__(self) -> None:
        self.alive: list[Any] = []
        self.warnings: list[str] = []

    def resolve_topic_name(self, topic: str) -> str:
        if " " in topic:
            raise ValueError("Invalid topic name: it holds a space")
        return topic if topic.startswith("/") else f"/{topic}"

    def get_publishers_info_by_topic(self, _: str) -> list[Any]:
        return []

    def create_subscription(self, kind: type, topic: str, receive: Any, qos: Any, **_: Any) -> SimpleNamespace:
        self.alive.append(SimpleNamespace(topic=topic, receive=receive, qos_profile=qos))
        return self.alive[-1]

    def destroy_subscription(self, subscription: Any) -> None:
        self.alive.remove(subscription)

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(warning=self.warnings.append)


def listen(graph: Graph, cameras: dict[str, Any], buffer: Any = None) -> Subscriptions:
    config = AgentConfig.load({"cameras": cameras})
    return Subscriptions(graph, config, buffer, TransformBuffer(30.0), lambda _: None)


def test_a_topic_that_is_no_name_is_named_and_nothing_is_left_listening() -> None:
    made = Graph()
    with pytest.raises(ConfigurationError, match="wrist colour: '/wrist image'"):
        listen(made, {"head": {"image_topic": "/head/image"}, "wrist": {"image_topic": "/wrist image"}})
    assert made.alive == []


def test_every_silent_topic_is_told_once_it_was_listened_to_for_long_enough() -> None:
    listening = listen(Graph(), {"head": {"image_topic": "/head/image", "depth_topic": "/head/depth"}})
    assert listening.silent(3600.0) == {}
    silent = listening.silent(-1.0)
    assert set(silent) == {"/head/image", "/head/depth", "/head/camera_info", "/odom, /tf, /tf_static"}
    assert "no poses" in silent["/odom, /tf, /tf_static"]


def test_a_camera_found_later_is_not_silent_before_its_own_time() -> None:
    listening = listen(Graph(), {})
    for record in listening.records:
        record.since -= 100.0
    listening.add_camera("head", camera_topics("head", CameraConfig("/head/image")))
    assert set(listening.silent(5.0)) == {"/odom, /tf, /tf_static"}


@pytest.mark.parametrize(("stamps", "said"), [([0], "zero"), ([5, 5, 5], "repeats the stamp 5.000 s"), ([5, 6], "")])
def test_images_without_stamps_of_their_own_are_warned_of_once(tmp_path: Path, stamps: list[int], said: str) -> None:
    made, buffer = Graph(), FrameBuffer(tmp_path)
    listen(made, {"head": {"image_topic": "/head/image"}}, buffer)
    message = Image(height=1, width=1, encoding="rgb8", step=3, data=bytes(3))
    for seconds in stamps:
        message.header.stamp.sec = seconds
        made.alive[0].receive(message)
    assert len(made.warnings) == bool(said) and all(said in warning for warning in made.warnings)
    buffer.close()
