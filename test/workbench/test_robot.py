"""tools.Robot: recorded motion, interpolated, never extrapolated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatialclaw_ros.workbench.errors import ToolError

SECOND = 1_000_000_000


@pytest.fixture
def driven(make_bench, room_frames, room):
    """A base that drives 1 m/s along x for 2 s while it turns 90 degrees left, and an arm that hangs still."""
    stamps = room.start + np.arange(21) * SECOND // 10
    poses = np.tile(np.eye(4), (21, 1, 1))
    poses[:, 0, 3] = np.linspace(0, 2, 21)
    poses[:, :3, :3] = Rotation.from_euler("z", np.linspace(0, 90, 21)[:, None], degrees=True).as_matrix()
    arm = np.eye(4)[None].copy()
    arm[0, 2, 3] = 0.5
    return make_bench(room_frames, trajectories={"base_link": (stamps, poses), "lamp": (np.zeros(1, np.int64), arm)})


def test_pose_is_interpolated_between_samples(driven):
    pose = driven.value("Robot.pose(1e9 + 0.55)")
    assert pose[0, 3] == pytest.approx(0.55, abs=1e-5)
    assert Rotation.from_matrix(pose[:3, :3]).as_euler("zyx", degrees=True)[0] == pytest.approx(24.75, abs=1e-3)


def test_stamps_are_those_of_the_items(driven, room_frames):
    exact = driven.value("Robot.pose(InputImages[3].stamp, 'front')")
    np.testing.assert_allclose(exact, room_frames[3].pose, atol=1e-5)
    np.testing.assert_allclose(driven.value("Robot.pose(InputImages[3].stamp_ns, 'front_optical')"), exact, atol=1e-6)


def test_none_is_the_newest(driven):
    assert driven.value("Robot.pose()")[0, 3] == pytest.approx(2.0)


def test_outside_the_recording_is_an_error_with_its_bounds(driven):
    with pytest.raises(ToolError, match=r"1000000000\.000 to 1000000002\.000"):
        driven.value("Robot.pose(1e9 + 5)")


def test_just_outside_takes_the_end_and_says_so(driven):
    report = driven.run("p = Robot.pose(1e9 + 2.1)")
    assert driven.value("p")[0, 3] == pytest.approx(2.0) and any("just outside" in note for note in report["notes"])


def test_fixed_frame_stands_still_at_any_stamp(driven):
    assert driven.value("Robot.pose(1e9 + 1.7, 'lamp')")[2, 3] == pytest.approx(0.5)
    assert driven.value("Robot.speed(1e9 + 1.7, 'lamp')") == 0.0
    assert len(driven.value("Robot.trajectory(1e9, 1e9 + 1, 'lamp')")) == 1


def test_fixed_camera_stands_still_at_any_stamp(make_bench, room_frames):
    bench = make_bench(room_frames, trajectories={"front_optical": (np.zeros(1, np.int64), np.eye(4)[None])})
    np.testing.assert_array_equal(bench.value("Robot.pose(1e9 + 0.3, 'front')"), np.eye(4))


def test_moving_frame_with_one_sample_left_is_known_there_only(make_bench, room_frames, room):
    bench = make_bench(room_frames, trajectories={"base_link": (np.array([room.start]), np.eye(4)[None])})
    np.testing.assert_array_equal(bench.value("Robot.pose(1e9)"), np.eye(4))
    with pytest.raises(ToolError, match="known from"):
        bench.value("Robot.pose(1e9 + 30)")


@pytest.mark.parametrize("call", ["pose(1e9 + 2)", "transform([0, 0, 0], 'base_link', 'odom', 1e9 + 2)"])
def test_gap_above_one_second_is_not_bridged(make_bench, room_frames, room, call):
    stamps = room.start + np.array([0, 1, 3, 4]) * SECOND
    bench = make_bench(room_frames, trajectories={"base_link": (stamps, np.tile(np.eye(4), (4, 1, 1)))})
    np.testing.assert_array_equal(bench.value("Robot.pose(1e9 + 3)"), np.eye(4))
    with pytest.raises(ToolError, match=r"gap of 2\.000 s"):
        bench.value(f"Robot.{call}")
    with pytest.raises(ToolError, match=r"gap of 2\.000 s"):
        bench.value("Robot.speed(1e9 + 2)")


def test_stamp_rounded_to_float_beside_a_gap_is_its_sample(make_bench, room_frames):
    stamps = 1_763_000_000_123_456_789 + np.array([0, 3, 6]) * SECOND
    bench = make_bench(room_frames, trajectories={"base_link": (stamps, np.tile(np.eye(4), (3, 1, 1)))})
    for stamp in stamps:
        np.testing.assert_array_equal(bench.value(f"Robot.pose({stamp / 1e9!r})"), np.eye(4))


def test_transform_between_frames_and_back(driven):
    points = np.array([[1.0, 2.0, 3.0], [0, 0, 0]])
    robot = driven.value("Robot")
    there = robot.transform(points, "odom", "base_link", 1e9 + 2)
    assert there[1] == pytest.approx([0, 2, 0], abs=1e-9)  # 2 m behind before the turn is on its left after
    np.testing.assert_allclose(robot.transform(there, "base_link", "odom", 1e9 + 2), points, atol=1e-9)


def test_unknown_frame_lists_the_known_ones(driven):
    with pytest.raises(ToolError, match="base_link, front_optical, lamp, odom"):
        driven.value("Robot.pose(frame='gripper')")


def test_trajectory_length_and_displacement(driven):
    path = driven.value("Robot.trajectory()")
    assert path.length == pytest.approx(2.0) and path.displacement == pytest.approx(2.0) and len(path) == 21
    assert np.asarray(path).shape == (21, 3) and "2.000 m" in repr(path)
    assert driven.value("Robot.trajectory(1e9 + 0.5, 1e9 + 1.0).length") == pytest.approx(0.5)
    with pytest.raises(ToolError, match="known from"):
        driven.value("Robot.trajectory(5, 6)")


def test_speed_and_heading(driven):
    for stamp in ("1e9", "1e9 + 1", "None"):
        assert driven.value(f"Robot.speed({stamp})") == pytest.approx(1.0, abs=1e-3)
    assert driven.value("Robot.heading(1e9 + 1)") == pytest.approx(45.0, abs=1e-3)
    assert driven.value("Robot.heading(InputImages[2].stamp, 'front')") == pytest.approx(4.0, abs=0.01)


def test_camera_stands_in_where_no_base_was_recorded(bench):
    assert bench.value("Robot.trajectory().frame") == "front_optical"
    assert bench.value("Robot.trajectory().length") == pytest.approx(0.4)


def test_without_any_pose_the_error_says_so(make_bench, room_frames):
    bench = make_bench([replace(frame, pose=None) for frame in room_frames])
    with pytest.raises(ToolError, match="no poses"):
        bench.value("Robot.pose()")
