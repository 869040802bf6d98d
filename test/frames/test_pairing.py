"""A picture gets its own depth, intrinsics and pose, or a note that says what is missing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spatialclaw_ros.errors import CameraInfoError
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.poses import NoPoses
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.transforms import TransformBuffer

MS = 1_000_000
S = 1000 * MS
K = Intrinsics(20.0, 20.0, 8.0, 6.0, 16, 12)
Make = Callable[..., ImagePayload]
MakeBuffer = Callable[..., FrameBuffer]


def _snap(buffer: FrameBuffer, start: int = 0, end: int = 0, cameras: tuple[str, ...] = ()) -> Snapshot:
    return buffer.snapshot(cameras, start, end, NoPoses(), "odom")


@pytest.mark.parametrize("depth_first", [True, False])
def test_depth_is_paired_with_the_nearest_picture_in_either_order(
    make_buffer: MakeBuffer, color: Make, depth: Make, depth_first: bool
) -> None:
    buffer = make_buffer()
    offers = [(S - 15 * MS, 1000), (S + 5 * MS, 2000), (S + 12 * MS, 3000)]
    if not depth_first:
        buffer.add_color("front", S, color(), "cam")
    for stamp, value in offers:
        buffer.add_depth("front", stamp, depth(value), "cam")
    if depth_first:
        buffer.add_color("front", S, color(), "cam")
    frame = _snap(buffer)[0]
    assert frame.depth_stamp == S + 5 * MS and frame.depth[0, 0] == pytest.approx(2.0)
    assert buffer.bytes == 16 * 12 * 5


def test_depth_further_than_the_skew_is_no_depth_and_the_frame_says_so(
    make_buffer: MakeBuffer, color: Make, depth: Make
) -> None:
    buffer = make_buffer(max_depth_skew=0.02)
    buffer.add_color("front", S, color(), "cam")
    buffer.add_depth("front", S + 21 * MS, depth(), "cam")
    frame = _snap(buffer)[0]
    assert frame.depth is None and "no depth image within 20 ms" in frame.notes[0]


def test_a_camera_whose_depth_never_came_says_so(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer()
    buffer.add_color("front", S, color(), "cam")
    assert "no depth: no depth image came for camera 'front'" in _snap(buffer)[0].notes


def test_depth_of_thinned_pictures_is_not_copied(make_buffer: MakeBuffer, color: Make, depth: Make) -> None:
    buffer = make_buffer(rate_hz=5.0)
    for k in range(30):
        buffer.add_depth("front", k * S // 30 + MS, depth(), "cam")
        buffer.add_color("front", k * S // 30, color(), "cam")
    snapshot = _snap(buffer)
    assert [frame.depth_stamp - frame.stamp for frame in snapshot] == [MS] * 5
    assert buffer.bytes == 5 * 16 * 12 * 5


def test_depth_of_another_size_leaves_the_frame_without_and_is_counted(
    make_buffer: MakeBuffer, color: Make, depth: Make
) -> None:
    buffer = make_buffer()
    buffer.add_color("front", S, color(), "cam")
    buffer.add_depth("front", S, depth(1000, (8, 6)), "cam")
    frame = _snap(buffer)[0]
    assert frame.depth is None and "8x6" in frame.notes[0] and "16x12" in frame.notes[0]
    assert buffer.stats()["front"]["dropped"] == {"DepthSizeError": 1}


def test_depth_of_another_frame_id_is_taken_and_noted(make_buffer: MakeBuffer, color: Make, depth: Make) -> None:
    buffer = make_buffer()
    buffer.add_color("front", S, color(), "color_frame")
    buffer.add_depth("front", S, depth(), "depth_frame")
    frame = _snap(buffer)[0]
    assert frame.depth is not None and "'depth_frame'" in frame.notes[0]


def test_zero_focal_length_is_refused_and_can_be_counted(make_buffer: MakeBuffer) -> None:
    buffer = make_buffer()
    with pytest.raises(CameraInfoError, match="calibrated") as error:
        Intrinsics(0.0, 0.0, 0.0, 0.0, 16, 12)
    buffer.count_refused("front", error.value)
    assert buffer.stats()["front"]["dropped"] == {"CameraInfoError": 1}


def test_camera_info_is_matched_by_frame_id_and_nearest_stamp(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0)
    zoomed = Intrinsics(40.0, 40.0, 8.0, 6.0, 16, 12)
    buffer.add_camera_info("front", 10 * S, K, "cam")
    buffer.add_camera_info("front", 11 * S, zoomed, "cam")
    buffer.add_camera_info("front", 12 * S, Intrinsics(9.0, 9.0, 8.0, 6.0, 16, 12), "another")
    for stamp in (10 * S + 400 * MS, 10 * S + 600 * MS, 12 * S):
        buffer.add_color("front", stamp, color(), "cam")
    assert [frame.intrinsics.fx for frame in _snap(buffer)] == [20.0, 40.0, 40.0]


def test_camera_infos_of_a_constant_stamp_clear_nothing(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0)
    for k in range(5):
        buffer.add_camera_info("front", (10 + k) * S, K, "cam")
        buffer.add_camera_info("front", 0, K, "depth_cam")
        buffer.add_color("front", (10 + k) * S, color(), "cam")
    assert buffer.generation == 0 and [frame.intrinsics for frame in _snap(buffer)] == [K] * 5


def test_the_depths_camera_info_is_not_the_pictures(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0)
    buffer.add_camera_info("front", 10 * S, K, "cam")
    buffer.add_camera_info("front", 11 * S, Intrinsics(40.0, 40.0, 8.0, 6.0, 16, 12), "cam", of_depth=True)
    buffer.add_color("front", 11 * S, color(), "cam")
    frame = _snap(buffer)[0]
    assert frame.intrinsics == K and not any("intrinsics" in note for note in frame.notes)


def test_the_depths_camera_info_stands_in_where_the_picture_has_none_and_says_so(
    make_buffer: MakeBuffer, color: Make
) -> None:
    buffer = make_buffer()
    buffer.add_camera_info("front", S, K, "cam", of_depth=True)
    buffer.add_color("front", S, color(), "cam")
    frame = _snap(buffer)[0]
    assert frame.intrinsics == K and any("the depth's camera info" in note for note in frame.notes)


def test_a_camera_info_that_came_once_holds_for_ever(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(seconds=1.0, rate_hz=0)
    buffer.add_camera_info("front", 10 * S, K, "cam")
    buffer.add_color("front", 500 * S, color(), "cam")
    assert _snap(buffer)[0].intrinsics == K


@pytest.mark.parametrize(
    ("info", "frame_id", "reason"),
    [
        (None, "", "no camera info came"),
        (K, "other", "came only for 'other'"),
        (Intrinsics(20.0, 20.0, 8.0, 6.0, 32, 24), "cam", "for 32x24"),
    ],
)
def test_missing_intrinsics_say_why(
    make_buffer: MakeBuffer, color: Make, info: Intrinsics | None, frame_id: str, reason: str
) -> None:
    buffer = make_buffer()
    if info is not None:
        buffer.add_camera_info("front", S, info, frame_id)
    buffer.add_color("front", S, color(), "cam")
    frame = _snap(buffer)[0]
    assert frame.intrinsics is None and any(reason in note for note in frame.notes)


def test_a_tf_gap_leaves_the_frame_without_pose_and_says_so(make_buffer: MakeBuffer, color: Make) -> None:
    buffer, poses = make_buffer(rate_hz=0), TransformBuffer()
    for stamp in (10 * S, 13 * S):
        poses.add("odom", "cam", stamp, (stamp / S, 0, 0), (0, 0, 0, 1))
    for stamp in (10 * S, 11 * S + 500 * MS, 13 * S):
        buffer.add_color("front", stamp, color(), "cam")
    buffer.add_camera_info("front", S, K, "cam")
    first, gap, last = buffer.snapshot([], 0, 0, poses, "odom")
    assert first.pose[0, 3] == 10 and last.pose[0, 3] == 13
    assert gap.pose is None and "gap of 3.000 s" in gap.notes[-1]


def test_a_pose_source_that_gives_nan_leaves_the_frame_without_pose(make_buffer: MakeBuffer, color: Make) -> None:
    class Broken:
        def pose(self, optical_frame: str, world_frame: str, stamp_ns: int) -> np.ndarray:
            return np.full((4, 4), np.nan)

    buffer = make_buffer()
    buffer.add_color("front", S, color(), "cam")
    frame = buffer.snapshot([], 0, 0, Broken(), "odom")[0]
    assert frame.pose is None and "not usable" in frame.notes[-1]


def test_a_pose_that_comes_later_is_found_by_a_later_snapshot(make_buffer: MakeBuffer, color: Make) -> None:
    buffer, poses = make_buffer(), TransformBuffer()
    buffer.add_color("front", S, color(), "cam")
    assert buffer.snapshot([], 0, 0, poses, "odom")[0].pose is None
    poses.add("odom", "cam", S, (1, 2, 3), (0, 0, 0, 1))
    assert buffer.snapshot([], 0, 0, poses, "odom")[0].pose[2, 3] == 3
