"""Messages that cannot be used are refused by name and counted, and the node goes on serving."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from ros.ros_robot import SECOND, NodeProcess, Robot, ask, send_until_taken, wait_until
from sensor_msgs.msg import Image

from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.ros.client import QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]


def unknown_encoding(robot: Robot) -> None:
    robot.send_color(robot.tick(), encoding="yuv422_hsv")


def zero_size(robot: Robot) -> None:
    robot._send(robot.color, Image(encoding="rgb8"), robot.tick(), {})


def wrong_step(robot: Robot) -> None:
    robot.send_color(robot.tick(), step=31)


def data_cut_off(robot: Robot) -> None:
    robot.send_color(robot.tick(), height=480)


def depth_that_is_colour(robot: Robot) -> None:
    robot.send_depth(robot.tick(), encoding="8UC1")


def zero_focal_length(robot: Robot) -> None:
    robot.send_info(robot.tick(), focal=0.0)


def odometry_without_a_place(robot: Robot) -> None:
    robot.send_odometry(robot.tick(), x=math.nan)


def transform_without_a_place(robot: Robot) -> None:
    robot.send_transform(robot.tick(), x=math.nan)


@pytest.mark.parametrize(
    ("send", "topic", "name"),
    [
        (unknown_encoding, "/head/image", "ColorEncodingError"),
        (zero_size, "/head/image", "ImageLayoutError"),
        (wrong_step, "/head/image", "ImageLayoutError"),
        (data_cut_off, "/head/image", "ImageLayoutError"),
        (depth_that_is_colour, "/head/depth", "DepthEncodingError"),
        (zero_focal_length, "/head/camera_info", "CameraInfoError"),
        (odometry_without_a_place, "/odom", "TransformError"),
        (transform_without_a_place, "/tf", "TransformError"),
    ],
)
def test_a_bad_message_is_refused_by_name_and_the_next_goal_is_answered(
    node: NodeProcess,
    robot: Robot,
    client: QueryClient,
    frames: list[int],
    send: Callable[[Robot], None],
    topic: str,
    name: str,
) -> None:
    send(robot)
    wait_until(lambda: any(topic in line and name in line for line in node.text().splitlines()))
    send_until_taken(robot, client)


def test_depth_of_another_size_leaves_the_frame_without_depth(
    robot: Robot, client: QueryClient, frames: list[int]
) -> None:
    stamp = robot.tick()
    robot.send_depth(stamp, width=16, height=12)
    robot.send_color(stamp)
    number = stamp.sec * 1_000_000_000
    wait_until(lambda: number in [each.stamp for each in ask(client, "how many?").answer.evidence])
    result = ask(client, "depth?", start_time=number, end_time=number + 1)
    assert result.answer.text == "1 frames, 0 with depth"


def test_a_frame_in_a_gap_of_the_transforms_is_kept_without_a_pose(
    robot: Robot, client: QueryClient, frames: list[int]
) -> None:
    before = send_until_taken(robot, client)
    stamp = robot.tick(2.0)
    lonely = stamp.sec * SECOND
    robot.send_color(stamp)
    robot.tick(1.0)
    send_until_taken(robot, client)
    answers = [ask(client, "poses?", start_time=at, end_time=at + 1).answer for at in (before, lonely)]
    assert [answer.text for answer in answers] == ["1 frames, 1 with a pose", "1 frames, 0 with a pose"]


def test_a_window_with_only_refused_images_says_how_many_were_refused_and_why(
    robot: Robot, client: QueryClient, frames: list[int]
) -> None:
    stamp = robot.tick()
    robot.send_color(stamp, encoding="yuv422_hsv")
    now = stamp.sec * 1_000_000_000
    result = ask(client, "how many?", start_time=now, end_time=now + 1)
    assert result.error_code is ErrorCode.NO_FRAMES
    assert "/head/image" in result.error_message and "ColorEncodingError" in result.error_message
