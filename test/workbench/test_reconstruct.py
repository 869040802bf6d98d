"""Reconstruction: metric depth, poses and points in one level world."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.workbench.errors import ToolError


def test_world_has_y_up_floor_at_zero_and_first_camera_looks_to_minus_z(bench):
    bench.run("recon = Reconstruct(InputImages)")
    pose = bench.value("recon.extrinsics[0]")
    assert pose[:3, 3] == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)
    forward = pose[:3, 2]
    assert forward[0] == pytest.approx(0.0, abs=1e-9) and forward[2] < 0
    assert bench.value("recon.gravity_direction") == pytest.approx([0, -1, 0])
    points = bench.value("recon.points[0]")
    assert np.median(points[-10:, :, 1]) == pytest.approx(0.0, abs=0.01)  # the picture's lowest rows show floor


def test_right_of_the_first_camera_is_plus_x(bench):
    bench.run("recon = Reconstruct(InputImages); p = recon.points[0]")
    points = bench.value("p")
    assert points[60, 150, 0] > 0.1 > -0.1 > points[60, 10, 0]


def test_to_ros_frame_and_back_is_the_identity(bench):
    bench.run("recon = tools.Reconstruct.Reconstruct(InputImages)")
    points = np.random.default_rng(1).normal(size=(4, 5, 3))
    recon = bench.value("recon")
    np.testing.assert_allclose(recon.from_ros_frame(recon.to_ros_frame(points)), points, atol=1e-9)
    assert recon.to_ros_frame(points).shape == (4, 5, 3)


def test_to_ros_frame_agrees_with_depth_and_pose(bench, room_frames):
    recon = bench.value("Reconstruct(InputImages)")
    frame, (v, u) = room_frames[3], (80, 90)
    z, k = frame.depth[v, u], frame.intrinsics
    in_camera = np.array([(u - k.cx) / k.fx * z, (v - k.cy) / k.fy * z, z, 1.0])
    np.testing.assert_allclose(
        recon.to_ros_frame(recon.points[3][v, u], "odom"), (frame.pose @ in_camera)[:3], atol=1e-4
    )


def test_to_ros_frame_reaches_a_moving_frame(bench, room_frames):
    recon = bench.value("Reconstruct(InputImages)")
    at_camera = recon.extrinsics[4][:3, 3]
    assert recon.to_ros_frame(at_camera, "front_optical") == pytest.approx([0, 0, 0], abs=1e-9)
    with pytest.raises(ToolError, match="front_optical"):
        recon.to_ros_frame(at_camera, "gripper")


def test_points_are_finite_everywhere_with_confidence_zero_in_holes(bench):
    recon = bench.value("Reconstruct(InputImages)")
    assert np.isfinite(recon.points[1]).all() and recon.points[1].dtype == np.float32
    assert (recon.points.confidence[1][5:12, 40:60] == 0).all() and recon.points.confidence[1].sum() == 120 * 160 - 140
    assert np.isnan(recon.depth[1][5:12, 40:60]).all()


def test_wrong_frame_index_lists_the_valid_ones(bench):
    recon = bench.value("Reconstruct(InputImages[1:4])")
    for series in (recon.depth, recon.points, recon.points.confidence, recon.extrinsics, recon.intrinsics):
        with pytest.raises(KeyError, match=r"1\.\.3"):
            series[0]


def test_lookup_by_item_works_as_by_index(bench):
    recon = bench.value("Reconstruct(InputImages)")
    np.testing.assert_array_equal(recon.depth[bench.value("InputImages[2]")], recon.depth[2])


def test_single_image_and_frame_indices_are_accepted(bench):
    assert bench.value("Reconstruct(InputImages[3]).frame_indices") == [3]
    assert bench.value("Reconstruct(frame_indices=[1, 4]).frame_indices") == [1, 4]
    with pytest.raises(KeyError, match=r"0\.\.4"):
        bench.value("Reconstruct(InputImages, frame_indices=[17])")


def test_crops_are_refused_with_advice(bench):
    with pytest.raises(ToolError, match="items of InputImages"):
        bench.value("Reconstruct(InputImages[0].crop((0, 0, 9, 9)))")


def test_frames_without_depth_or_pose_are_left_out_with_a_note(make_bench, room_frames):
    frames = [replace(room_frames[0], depth_payload=None), replace(room_frames[1], pose=None), *room_frames[2:]]
    bench = make_bench(frames)
    report = bench.run("recon = Reconstruct(InputImages)")
    assert bench.value("recon.frame_indices") == [2, 3, 4]
    assert any("depth" in note for note in report["notes"]) and any("pose" in note for note in report["notes"])


def test_nothing_usable_says_what_is_missing(make_bench, room_frames):
    reason = "no depth topic is configured"
    bench = make_bench([replace(frame, depth_payload=None, notes=(reason,)) for frame in room_frames])
    with pytest.raises(ToolError, match=f"want of depth.*{reason}"):
        bench.value("Reconstruct(InputImages)")


def _with_damaged_depth(frame):
    """The frame with its depth as a PNG whose header is right and whose middle is overwritten."""
    millimetres = (np.nan_to_num(frame.depth) * 1000).astype(np.uint16)
    data = bytearray(cv2.imencode(".png", millimetres)[1].tobytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    height, width = millimetres.shape
    return replace(frame, depth_payload=ImagePayload("16UC1; png compressed", memoryview(bytes(data)), width, height))


@pytest.mark.parametrize("gravity_aligned", [True, False])
def test_a_damaged_depth_image_costs_its_own_frame_only(make_bench, room_frames, gravity_aligned):
    bench = make_bench([_with_damaged_depth(room_frames[0]), *room_frames[1:]], gravity_aligned=gravity_aligned)
    assert bench.value("Reconstruct(InputImages[2]).frame_indices") == [2]
    report = bench.run("recon = Reconstruct(InputImages)")
    assert bench.value("recon.frame_indices") == [1, 2, 3, 4]
    assert bench.value("recon.points[1]").shape == (120, 160, 3)
    assert any("sound depth: frames 0" in note for note in report["notes"])


def test_damaged_depth_alone_says_what_is_wrong_with_it(make_bench, room_frames):
    bench = make_bench([_with_damaged_depth(frame) for frame in room_frames])
    with pytest.raises(ToolError, match="want of sound depth: frames 0..4.*png"):
        bench.value("Reconstruct(InputImages)")


def test_one_frame_without_pose_is_reconstructed_in_its_own_world(make_bench, room_frames):
    bench = make_bench([replace(room_frames[0], pose=None)], gravity_aligned=False)
    recon = bench.value("Reconstruct(InputImages)")
    assert recon.is_metric and any("no pose" in note for note in recon.notes)


def _tilted(frames, rotation):
    tilt = np.eye(4)
    tilt[:3, :3] = rotation
    return [replace(frame, pose=tilt @ frame.pose) for frame in frames]


def test_up_is_measured_when_the_world_is_not_gravity_aligned(make_bench, room_frames):
    a = np.radians(-72.0)  # z up becomes nearly -y up, as in a camera's own axes
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    bench = make_bench(_tilted(room_frames, turn), gravity_aligned=False)
    recon = bench.value("Reconstruct(InputImages)")
    assert recon.extrinsics[0][:3, 3] == pytest.approx([0.0, 1.0, 0.0], abs=0.02)
    assert np.median(recon.points[2][-10:, :, 1]) == pytest.approx(0.0, abs=0.02)
    assert any("not gravity-aligned" in note for note in recon.notes)


def test_without_a_level_surface_up_is_the_first_cameras(make_bench, room):
    wall = room.make_frame(0, room.camera_pose(0.0, pitch=-30.0))
    assert np.isfinite(wall.depth).any()
    bench = make_bench([wall], gravity_aligned=False)
    recon = bench.value("Reconstruct(InputImages)")
    assert any("first camera's up" in note for note in recon.notes)
    assert recon.extrinsics[0][:3, 1] == pytest.approx([0, -1, 0], abs=1e-6)


def test_floor_below_the_worlds_zero_is_found(make_bench, room_frames):
    lift = np.eye(4)
    lift[2, 3] = -1.0  # a hand-held camera starts at z = 0, so the floor lies at -1
    bench = make_bench([replace(frame, pose=lift @ frame.pose) for frame in room_frames])
    recon = bench.value("Reconstruct(InputImages)")
    assert recon.extrinsics[0][1, 3] == pytest.approx(1.0, abs=0.02)


def test_camera_looking_straight_down_still_has_a_world(make_bench, room):
    bench = make_bench([room.make_frame(0, room.camera_pose(0.0, pitch=90.0))])
    recon = bench.value("Reconstruct(InputImages)")
    assert np.isfinite(recon.extrinsics[0]).all()
    assert -recon.extrinsics[0][:3, 1] == pytest.approx([0, 0, -1], abs=1e-6)  # the picture's top points ahead


def test_distortion_is_undone(make_bench, room_frames):
    import cv2

    bent = replace(room_frames[0].intrinsics, distortion_model="plumb_bob", distortion=(-0.3, 0.1, 0.0, 0.0, 0.0))
    bench = make_bench([replace(room_frames[0], intrinsics=bent)])
    recon = bench.value("Reconstruct(InputImages)")
    camera = np.linalg.inv(recon.extrinsics[0])
    point = camera[:3, :3] @ recon.points[0][20, 15] + camera[:3, 3]
    pixel, _ = cv2.projectPoints(point[None], np.zeros(3), np.zeros(3), bent.matrix, np.array(bent.distortion))
    assert pixel.ravel() == pytest.approx([15, 20], abs=0.3)


def test_bird_eye_view_is_a_picture(bench):
    bench.run("recon = Reconstruct(InputImages); bev = recon.render_bev(size=256)")
    pixels = np.asarray(bench.value("bev"))
    assert pixels.shape == (256, 256, 3) and pixels.std() > 10


def test_repr_is_one_line_with_frames_and_world(bench):
    text = bench.value("repr(Reconstruct(InputImages))")
    assert "\n" not in text and "0..4" in text and "odom" in text and "+Y up" in text
