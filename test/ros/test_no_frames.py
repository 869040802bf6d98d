"""Without frames a goal says, within seconds and by name, what was listened to and what came."""

from __future__ import annotations

from typing import Any

import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros.ros_robot import HEAD, SECOND, START, NodeProcess, Robot, ask, send_until_taken, wait_until
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    return HEAD | {
        "cameras.left.image_topic": "/left/image",
        "cameras.wrist.image_topic": "/wrist/image",
        "cameras.strict.image_topic": "/strict/image",
        "qos_overrides./strict/image.subscription.reliability": "reliable",
    }


def refusal(client: QueryClient, camera: str) -> str:
    result = ask(client, "how many?", cameras=(camera,))
    assert result.error_code is ErrorCode.NO_FRAMES
    return result.error_message


def test_a_topic_without_a_publisher_is_named(client: QueryClient) -> None:
    assert "/left/image (sensor_msgs/msg/Image): no publisher" in refusal(client, "left")


def test_a_topic_of_another_type_is_named(client: QueryClient) -> None:
    publisher = client.node.create_publisher(String, "/left/image", 10)
    wait_until(lambda: "its publisher sends another type, std_msgs/msg/String" in refusal(client, "left"))
    client.node.destroy_publisher(publisher)


def test_a_publisher_whose_qos_does_not_match_is_named(client: QueryClient) -> None:
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = client.node.create_publisher(Image, "/strict/image", qos)
    wait_until(lambda: "QoS does not match" in refusal(client, "strict"))
    client.node.destroy_publisher(publisher)


def test_the_compressed_twin_of_a_silent_topic_is_named(client: QueryClient) -> None:
    publisher = client.node.create_publisher(CompressedImage, "/left/image/compressed", 10)
    wait_until(lambda: "there is one on /left/image/compressed" in refusal(client, "left"))
    client.node.destroy_publisher(publisher)


def test_compressed_images_on_a_raw_name_are_listened_to_all_the_same(client: QueryClient, node: NodeProcess) -> None:
    publisher = client.node.create_publisher(CompressedImage, "/wrist/image", 10)
    node.wait_for_text("/wrist/image sends sensor_msgs/msg/CompressedImage")
    client.node.destroy_publisher(publisher)


def test_frames_outside_of_the_window_are_told_with_their_stamps(client: QueryClient, robot: Robot) -> None:
    send_until_taken(robot, client, cameras=("head",))
    result = ask(client, "how many?", cameras=("head",), start_time=10**9, end_time=2 * 10**9)
    assert result.error_code is ErrorCode.NO_FRAMES
    assert f" to {robot.stamp / 1e9:.3f} s" in result.error_message and "1.000 s to 2.000 s" in result.error_message


def test_a_silent_camera_is_logged_by_name(client: QueryClient, node: NodeProcess) -> None:
    wait_until(lambda: "[WARN]" in node.text() and "/left/image: left colour: no publisher" in node.text(), 15.0)


def test_a_silent_camera_info_is_logged_by_name(client: QueryClient, node: NodeProcess) -> None:
    wait_until(lambda: "/left/camera_info: left camera info: no publisher" in node.text(), 15.0)


def test_images_of_another_clock_are_no_answer_to_a_question_about_now(client: QueryClient, node: NodeProcess) -> None:
    publisher = client.node.create_publisher(Image, "/left/image", 10)
    wait_until(lambda: publisher.get_subscription_count())
    message = Image(height=1, width=1, encoding="rgb8", step=3, data=bytes(3))

    def told() -> bool:
        publisher.publish(message)
        return "old by the node's clock" in refusal(client, "left")

    wait_until(told)
    assert "its stamp is zero" in refusal(client, "left")
    node.wait_for_text("/left/image: an image has stamp zero")
    client.node.destroy_publisher(publisher)


def test_a_goal_takes_the_first_frame_that_comes_while_it_waits(client: QueryClient) -> None:
    """The wrist camera was silent until now."""
    publisher = client.node.create_publisher(CompressedImage, "/wrist/image", 10)
    wait_until(lambda: publisher.get_subscription_count())
    import cv2
    import numpy as np

    picture = cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))[1].tobytes()
    message = CompressedImage(format="jpeg", data=list(picture))
    message.header.stamp.sec = START // SECOND
    pending = client.send(_query("wrist"))
    pending.wait_accepted()
    publisher.publish(message)
    assert pending.result(5.0).answer.number == 1
    client.node.destroy_publisher(publisher)


def _query(camera: str) -> Any:
    from spatialclaw_ros.agent.records import Query

    return Query("how many?", cameras=(camera,))
