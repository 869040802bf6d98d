"""Which topics a camera has, where poses come from, and what the environment gets, without a running node."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from spatialclaw_ros.config import CameraConfig
from spatialclaw_ros.errors import TransformError
from spatialclaw_ros.ros.camera_search import CameraSearch
from spatialclaw_ros.ros.environment import TRANSPORTS, prepare_environment, socket_bytes
from spatialclaw_ros.ros.subscriptions import camera_topics
from spatialclaw_ros.ros.transforms import Tf2Transforms, matrix_of

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
