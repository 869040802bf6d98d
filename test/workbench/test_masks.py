"""SAM3 and its masks: prompts checked, results measured robustly in 3D, errors that a model can act on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.workbench.errors import BrokerError, NoMaskFound, RequestRateExceeded, ToolError
from spatialclaw_ros.workbench.masks import PerFrameMask
from spatialclaw_ros.workbench.measure import dominant_piece, trusted_pixels, upright_box

RED = "SAM3.segment_image_by_text(InputImages[2], 'red box')"


def test_text_prompt_returns_masks_that_say_who_made_them(bench):
    result = bench.value(RED)
    assert result.backend == "colour" and result.frame_indices == [2] and result.num_objects == 1
    assert result[2].shape == (1, 120, 160) and result[2].dtype == bool
    assert result.labels == ["red box"] and result.object_ids == [0] and 0 < result.scores[0] <= 1
    assert "colour" in repr(result) and "\n" not in repr(result)


def test_frame_travels_by_number_and_other_pictures_as_pixels(make_bench, room_frames):
    def answer(_method, params):
        shape = params["image"].get("shape", [120, 160])
        return {"masks": np.ones((1, *shape[:2]), np.uint8), "scores": [1], "backend": "x"}

    bench = make_bench(room_frames, answer=answer)
    bench.value("SAM3.segment_image_by_text(InputImages[2], 'mug')")
    assert bench.asked[-1][1]["image"] == {"frame": 2}
    result = bench.value("SAM3.segment_image_by_text(InputImages[2].crop((0, 0, 8, 9)), 'mug', label='cup')")
    assert bench.asked[-1][1]["image"]["shape"] == [9, 8, 3] and len(bench.asked[-1][1]["image"]["data"]) == 216
    assert result.frame_indices == [-1] and result.labels == ["cup"]


def test_shared_array_is_mapped_from_the_kernels_folder(make_bench, room_frames, tmp_path):
    masks = np.zeros((2, 120, 160), np.uint8)
    masks[1, 4:8, 6:9] = 1
    (tmp_path / "results").mkdir()
    masks.tofile(tmp_path / "results" / "1.bin")
    reference = {"file": "results/1.bin", "dtype": "|u1", "shape": [2, 120, 160]}
    reply = {"masks": reference, "scores": [0.9, 0.8], "backend": "x", "notes": ["two of them"]}
    bench = make_bench(room_frames, answer=lambda m, p: reply, folder=tmp_path)
    report = bench.run("m = SAM3.segment_image_by_text(InputImages[0], 'mug')")
    np.testing.assert_array_equal(bench.value("m.get_mask(0, 1)"), masks[1].astype(bool))
    assert report["notes"] == ["segment 'mug': two of them"]


@pytest.mark.parametrize(
    ("file", "shape", "said"),
    [
        ("/etc/passwd", [1, 120, 160], "expected one in"),
        ("results/../../1.bin", [1, 120, 160], "expected one in"),
        ("results/link", [1, 120, 160], "expected one in"),
        ("results/none.bin", [1, 120, 160], "cannot be read"),
        ("results/1.bin", [2, 120, 160], "has 19200 bytes"),
        ("results/1.bin", [1, 160, 120], "for a picture of 160x120"),
        ("results/1.bin", [160, 120, 1], "for a picture of 160x120"),
    ],
)
def test_shared_array_that_is_not_where_and_as_it_should_be_is_refused(
    make_bench, room_frames, tmp_path, file, shape, said
):
    folder = tmp_path / "frames"
    (folder / "results").mkdir(parents=True)
    for path in (folder / "results" / "1.bin", tmp_path / "1.bin"):
        path.write_bytes(bytes(120 * 160))
    (folder / "results" / "link").symlink_to(tmp_path / "1.bin")
    reply = {"masks": {"file": file, "dtype": "|u1", "shape": shape}, "scores": [0.9], "backend": "x", "notes": []}
    bench = make_bench(room_frames, answer=lambda m, p: reply, folder=folder)
    with pytest.raises(BrokerError, match=said):
        bench.value("SAM3.segment_image_by_text(InputImages[0], 'mug')")


def test_requests_that_come_too_fast_are_made_again_and_the_model_is_told(make_bench, room_frames):
    refusals = iter([RequestRateExceeded("more than 50 requests a second")])

    def answer(_method, _params):
        for refusal in refusals:
            raise refusal
        return {"masks": np.ones((1, 120, 160), np.uint8), "scores": [1], "backend": "x"}

    report = make_bench(room_frames, answer=answer).run("m = SAM3.segment_image_by_text(InputImages[0], 'mug')")
    assert report["notes"] == ["requests were slowed down: more than 50 requests a second"]


def test_nothing_found_names_the_frame_and_what_to_try(bench):
    with pytest.raises(NoMaskFound, match=r"'green chair' in frame 1 by colour.*confidence_threshold"):
        bench.value("SAM3.segment_image_by_text(InputImages[1], 'green chair')")


def test_a_cell_can_catch_no_mask_found_by_name(bench):
    bench.run("try:\n SAM3.segment_image_by_text(InputImages[0], 'pink hat')\nexcept NoMaskFound:\n seen = False")
    assert bench.value("seen") is False


def test_flat_point_is_wrapped_with_a_note(bench):
    report = bench.run("m = SAM3.segment_image_by_points(InputImages[2], [45, 75], 1)")
    assert bench.asked[-1][1]["prompt"] == {"points": [[45.0, 75.0]], "labels": [1]}
    assert any("flat" in note for note in report["notes"])


def test_box_given_as_fractions_or_in_wrong_order_is_understood(bench):
    report = bench.run("m = SAM3.segment_image_by_box(InputImages[2], [0.1, 0.2, 0.6, 0.9])")
    assert bench.asked[-1][1]["prompt"]["box"] == [16.0, 24.0, 96.0, 108.0]
    assert any("fractions" in note for note in report["notes"])
    bench.run("m = SAM3.segment_image_by_box(InputImages[2], (96, 108, 16, 24))")
    assert bench.asked[-1][1]["prompt"]["box"] == [16.0, 24.0, 96.0, 108.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("segment_image_by_text(InputImages[0], '  ')", "names the thing"),
        ("segment_image_by_text(InputImages, 'red box')", "loop"),
        ("segment_image_by_text(3, 'red box')", "expected an image"),
        ("segment_image_by_points(InputImages[0], [[5, 500]])", "160x120"),
        ("segment_image_by_points(InputImages[0], [[5, 5], [6, 6]], [1])", "one 1 .* per point"),
        ("segment_image_by_points(InputImages[0], [[5, 5]], [0])", "at least one 1"),
        ("segment_image_by_points(InputImages[0], 'here')", "expected numbers"),
        ("segment_image_by_box(InputImages[0], [10, 10, 11, 11])", "under 2 pixels"),
        ("segment_image_by_box(InputImages[0], [10, 10, 50])", "got 3 numbers"),
        ("segment_image_by_box(InputImages[0], [10, float('nan'), 50, 60])", "finite"),
        ("is_object_exist([], 'mug')", "empty list"),
    ],
)
def test_wrong_prompts_are_refused_before_the_node_is_asked(bench, call, message):
    with pytest.raises(ToolError, match=message):
        bench.value(f"SAM3.{call}")
    assert bench.asked == []


def test_object_existence_counts_per_frame(bench):
    found = bench.value("SAM3.is_object_exist(InputImages[:2], 'blue ball')")
    assert found["exists"] is True and found["counts"] == {0: 1, 1: 1} and "2 of 2" in found["summary"]
    assert bench.value("SAM3.is_object_exist(InputImages[0], 'green hat')['exists']") is False


def test_masks_of_another_frame_are_named(bench):
    with pytest.raises(KeyError, match="frame 2"):
        bench.value(RED)[0]
    with pytest.raises(KeyError, match="red box"):
        bench.value(RED).get_mask(2, "mug")
    with pytest.raises(KeyError, match="there are 1"):
        bench.value(RED).get_mask(2, 4)


def test_centroid_lies_on_the_visible_surface(bench, room):
    bench.run("recon = Reconstruct(InputImages); m = SAM3.segment_image_by_text(InputImages[2], 'blue ball')")
    centre = bench.value("recon.to_ros_frame(m.get_centroid_3d(recon, 2, 'blue ball'))")
    assert 0.5 * room.ball_radius < np.linalg.norm(centre - room.ball_centre) < 1.05 * room.ball_radius


def test_box_over_several_views_has_the_objects_size(bench, room):
    bench.run(
        "recon = Reconstruct(InputImages); points = []\n"
        "for item in InputImages:\n"
        "    m = SAM3.segment_image_by_text(item, 'red box')\n"
        "    points.append(recon.to_ros_frame(m.get_masked_points(recon, item)))\n"
        "box = Geometry.upright_box(np.concatenate(points), up=2)"
    )
    box = bench.value("box")
    assert box.height == pytest.approx(room.box_size[2], abs=0.05) and box.top == pytest.approx(0.4, abs=0.03)
    assert box.length == pytest.approx(0.4, abs=0.04)


def test_flying_pixels_and_background_do_not_move_the_centroid(make_bench, room_frames):
    clean = make_bench(room_frames)
    clean.run(f"recon = Reconstruct(InputImages); m = {RED}")
    truth = clean.value("m.get_centroid_3d(recon)")
    mask = clean.value("m.get_mask()")
    grown = np.pad(mask, 3)[:-6, 3:-3] | mask | np.pad(mask, 3)[6:, 3:-3]  # spills 3 px over top and bottom
    depth = room_frames[2].depth.copy()
    noise = np.random.default_rng(0)
    rows, columns = np.nonzero(mask)
    hit = noise.choice(len(rows), len(rows) // 12, replace=False)
    depth[rows[hit], columns[hit]] = noise.uniform(0.3, 3.9, len(hit))
    frames = [*room_frames[:2], replace(room_frames[2], depth_payload=ImagePayload.from_array(depth, "32FC1"))]
    dirty = make_bench(frames)
    dirty.run("recon = Reconstruct(InputImages)")
    result = PerFrameMask(
        dirty.value("InputImages[2]"), grown[None], [1.0], "red box", "test", [], dirty.workbench.bench
    )
    np.testing.assert_allclose(result.get_centroid_3d(dirty.value("recon")), truth, atol=0.03)


def test_mask_without_depth_says_to_use_another_frame(bench):
    bench.run("recon = Reconstruct(InputImages)")
    hole = np.zeros((1, 120, 160), bool)
    hole[0, 6:11, 42:58] = True
    result = PerFrameMask(bench.value("InputImages[0]"), hole, [1.0], "lamp", "test", [], bench.workbench.bench)
    with pytest.raises(ToolError, match="'lamp' in frame 0.*another frame"):
        result.get_centroid_3d(bench.value("recon"))


def test_mask_of_a_plain_picture_cannot_be_measured(make_bench, room_frames):
    bench = make_bench(
        room_frames, answer=lambda m, p: {"masks": np.ones((1, 120, 160)), "scores": [1], "backend": "x"}
    )
    bench.run("recon = Reconstruct(InputImages); m = SAM3.segment_image_by_text(np.asarray(InputImages[0]), 'mug')")
    with pytest.raises(ToolError, match="item of InputImages"):
        bench.value("m.get_centroid_3d(recon)")


def test_visualize_tints_the_object(bench):
    picture = np.asarray(bench.value(f"{RED}.visualize()")).astype(int)
    plain = np.asarray(bench.value("InputImages[2]")).astype(int)
    mask = bench.value(f"{RED}.get_mask()")
    assert np.abs(picture - plain)[mask].mean() > 20 and np.abs(picture[100:] - plain[100:]).mean() < 1


def test_trusted_pixels_leave_out_edges_holes_and_jumps():
    depth = np.full((60, 60), 2.0, np.float32)
    depth[:, 30:] = 3.0
    depth[20:25, 10:15] = np.nan
    mask = np.zeros((60, 60), bool)
    mask[10:50, 5:50] = True
    trusted = trusted_pixels(mask, depth)
    assert trusted.sum() > 1000 and not trusted[20:25, 10:15].any()
    assert not trusted[:, 30].any() and trusted[30, 29], "at a jump the near side stays and the far side goes"
    assert not trusted[10].any() and not trusted[:, 5].any()


def test_thin_parts_are_trusted_too():
    mask = np.zeros((60, 60), bool)
    mask[5:20, 10:50] = mask[20:55, 29:31] = True
    depth = np.where(mask, 2.0, 4.0).astype(np.float32)
    trusted = trusted_pixels(mask, depth)
    assert trusted[25:55, 29:31].all() and not trusted[5].any()


def test_dominant_piece_keeps_near_pieces_and_drops_far_ones():
    random = np.random.default_rng(0)
    near = random.uniform(0, 0.4, (800, 3))
    part = random.uniform(0, 0.1, (100, 3)) + [0.5, 0, 0]
    far = random.uniform(0, 0.4, (300, 3)) + [0, 0, 2.0]
    keep = dominant_piece(np.concatenate([near, part, far]))
    assert keep[:900].mean() > 0.95 and not keep[900:].any()


@pytest.mark.parametrize("up", [1, 2])
def test_upright_box_finds_yaw_and_size(up):
    random = np.random.default_rng(0)
    local = random.uniform(-0.5, 0.5, (20_000, 3)) * [1.0, 0.3, 0.4]  # length, height, width
    yaw = np.radians(30.0)
    along = np.array([np.cos(yaw), 0, -np.sin(yaw)]) if up == 1 else np.array([np.cos(yaw), np.sin(yaw), 0])
    upward = np.eye(3)[up]
    points = local @ np.stack([along, upward, np.cross(along, upward)]) + [1.0, 2.0, 3.0]
    box = upright_box(points, up, trim=0.0)
    assert box.center == pytest.approx([1, 2, 3], abs=0.02) and box.size == pytest.approx([1, 0.3, 0.4], abs=0.03)
    assert box.yaw == pytest.approx(yaw, abs=0.03)
    np.testing.assert_allclose(box.axes[0], along, atol=0.03)
    assert np.ptp(box.corners, axis=0)[up] == pytest.approx(0.3, abs=0.03)
