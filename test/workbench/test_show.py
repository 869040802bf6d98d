"""show() and plt.show(): pictures out of whatever a cell has in hand."""

from __future__ import annotations

import numpy as np
import pytest

from spatialclaw_ros.workbench.errors import ToolError


def test_frame_is_sent_as_jpeg_with_what_it_depicts(bench, room):
    bench.run("show(InputImages[2], label='the box')")
    ((picture, about),) = bench.pictures
    assert about["mime"] == "image/jpeg" and picture.size == (160, 120) == (about["width"], about["height"])
    assert about["frame_index"] == 2 and about["stamp"] == room.start + 2 * room.step and about["source"] == "front"
    assert about["label"].startswith("the box: frame 2")
    assert np.abs(np.asarray(picture).astype(int) - np.asarray(bench.value("InputImages[2]"))).mean() < 4


def test_list_sends_each(bench):
    bench.run("show(InputImages[:3]); show([InputImages[0].crop((0, 0, 20, 10)), np.zeros((8, 8, 3), np.uint8)])")
    assert [about["frame_index"] for _, about in bench.pictures] == [0, 1, 2, None, None]


def test_bool_mask_is_white_on_black_without_loss(bench):
    bench.run("m = np.zeros((40, 50), bool); m[10:20, 5:30] = True; show(m)")
    ((picture, about),) = bench.pictures
    assert about["mime"] == "image/png" and "250 px" in about["label"]
    np.testing.assert_array_equal(np.asarray(picture.convert("L")) == 255, bench.value("m"))


def test_mask_after_its_image_is_drawn_over_it(bench):
    bench.run("m = np.zeros((120, 160), bool); m[30:90, 40:80] = True; show(InputImages[0], m, m)")
    ((picture, about),) = bench.pictures
    assert about["frame_index"] == 0 and "2 masks" in about["label"]
    change = np.abs(np.asarray(picture).astype(int) - np.asarray(bench.value("InputImages[0]")))
    assert change[35:85, 45:75].mean() > 20 > change[100:, 100:].mean()


def test_stack_of_masks_and_mask_result_are_one_picture_each(bench):
    bench.run(
        "m = SAM3.segment_image_by_text(InputImages[1], 'red box'); show(m); show(m[1]); show(InputImages[1], m[1])"
    )
    assert len(bench.pictures) == 3 and "red box" in bench.pictures[0][1]["label"]


def test_float_map_is_coloured_with_its_range_and_grey_holes(bench):
    bench.run("show(InputImages[0].depth, label='depth')")
    ((picture, about),) = bench.pictures
    assert "depth: values" in about["label"] and "holes" in about["label"]
    hole = np.asarray(picture)[8, 50].astype(int)  # grey, up to JPEG's coarse colour
    assert np.ptp(hole) < 40 and np.ptp(np.asarray(picture)[60:, :, 0]) > 50


@pytest.mark.parametrize("code", ["np.full((9, 9), np.nan)", "np.full((9, 9), 3.0)", "np.zeros((9, 9), np.uint16)"])
def test_maps_without_contrast_are_pictures_too(bench, code):
    bench.run(f"show({code})")
    assert len(bench.pictures) == 1


def test_float_image_in_zero_to_one_is_scaled(bench):
    bench.run("show(np.full((10, 10, 3), 0.5))")
    assert np.asarray(bench.pictures[0][0]).mean() == pytest.approx(127, abs=3)


def test_large_picture_is_shrunk(bench):
    bench.run("show(np.zeros((500, 3000, 3), np.uint8))")
    assert bench.pictures[0][0].size == (1024, 171)


def test_large_float_map_keeps_holes_sharp_when_shrunk(bench):
    bench.run("d = np.linspace(1, 4, 2048 * 1024).reshape(1024, 2048); d[500:520] = np.nan; show(d)")
    ((picture, about),) = bench.pictures
    assert picture.size == (1024, 512) and "values 1.029 (blue) to 3.965 (red)" in about["label"]
    assert "2 % holes" in about["label"] and np.ptp(np.asarray(picture)[255, 500].astype(int)) < 40


def test_plt_show_sends_every_open_figure_once(bench):
    bench.run("plt.plot([1, 2, 3]); plt.title('rising'); plt.show(); print('x')")
    ((picture, about),) = bench.pictures
    assert about["label"] == "rising" and about["mime"] == "image/png" and picture.size[0] > 200
    assert bench.value("plt.get_fignums()") == []


def test_figure_left_open_is_shown_at_the_cells_end(bench):
    bench.run("plt.imshow(np.eye(3))")
    assert len(bench.pictures) == 1 and bench.value("plt.get_fignums()") == []


def test_figure_given_to_show_is_sent_once(bench):
    bench.run("fig, ax = plt.subplots(); ax.plot([1, 2]); show(fig, label='plot')")
    assert [about["label"] for _, about in bench.pictures] == ["plot"]


def test_reconstruction_is_shown_from_above(bench):
    bench.run("show(Reconstruct(InputImages))")
    assert "above" in bench.pictures[0][1]["label"]


def test_pictures_of_a_cell_are_limited_with_a_note(bench):
    report = bench.run("for i in range(30): show(np.zeros((8, 8), bool))")
    assert len(bench.pictures) == 16 and any("16 pictures" in note for note in report["notes"])
    bench.run("show(InputImages[0])")
    assert len(bench.pictures) == 1


@pytest.mark.parametrize("thing", ["'text'", "3.5", "np.zeros(7)", "np.zeros((0, 5))", "np.zeros((4, 4, 7))", "None"])
def test_what_is_no_picture_is_refused(bench, thing):
    with pytest.raises(ToolError):
        bench.run(f"show({thing})")


def test_show_of_nothing_is_refused(bench):
    with pytest.raises(ToolError, match="nothing"):
        bench.run("show()")
