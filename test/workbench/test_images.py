"""InputImages and its items: pictures that know where they come from."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.manifest import read_manifest
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.poses import NoPoses
from spatialclaw_ros.workbench.errors import ToolError
from spatialclaw_ros.workbench.session import Workbench


def test_item_is_a_pil_image_and_an_array(bench, room_frames):
    item = bench.value("InputImages[2]")
    assert isinstance(item, Image.Image)
    assert item.size == (160, 120) and (item.width, item.height) == (160, 120)
    np.testing.assert_array_equal(np.asarray(item), room_frames[2].color)


def test_item_knows_its_frame(bench, room):
    item = bench.value("InputImages[2]")
    assert item.frame_index == 2 and item.camera == "front"
    assert item.stamp_ns == room.start + 2 * room.step and item.stamp == pytest.approx(1e9 + 0.5)
    assert item.depth.shape == (120, 160) and item.intrinsics.shape == (3, 3) and item.pose.shape == (4, 4)


def test_pil_methods_give_plain_pictures_with_the_same_pixels(bench, room_frames):
    item = bench.value("InputImages[1]")
    crop = item.crop((10, 20, 50, 60))
    assert crop.size == (40, 40) and type(crop) is Image.Image
    np.testing.assert_array_equal(np.asarray(crop), room_frames[1].color[20:60, 10:50])
    assert item.convert("L").mode == "L" and item.copy().size == item.size and item.resize((16, 12)).size == (16, 12)


def test_array_of_an_item_cannot_change_the_frame(bench):
    pixels = np.asarray(bench.value("InputImages[0]"))
    with pytest.raises(ValueError, match="read-only"):
        pixels[:] = 0


@pytest.mark.parametrize(
    "expression",
    [
        "x.shape", "x.ndim", "x.dtype", "x.mean()", "x.mean(axis=(0, 1))", "x.astype(np.float32)", "x[0, 0]",
        "x[10:20, 5:9, 0]", "x[x[..., 0] > 150]", "x / 255.", "1 - x / 255.", "x - np.asarray(x)", "x // 2 + x // 2",
        "x > 100", "x == 205", "x != np.uint8(205)", "-x", "np.mean(x)", "np.sqrt(x)", "np.add.reduce(x, axis=2)",
        "np.stack([x, x])", "x.reshape(-1, 3)", "len(x)", "x.max()", "np.where(x > 9, x, 0)", "list(x)[3]",
    ],
)  # fmt: skip
def test_item_reads_like_its_array(bench, expression):
    got = eval(expression, bench.namespace, {"x": bench.value("InputImages[1]")})
    wanted = eval(expression, bench.namespace, {"x": np.asarray(bench.value("InputImages[1]"))})
    assert np.asarray(got).dtype == np.asarray(wanted).dtype
    np.testing.assert_array_equal(got, wanted)


def test_item_that_was_drawn_on_reads_as_drawn(bench):
    item = bench.value("InputImages[1]")
    ImageDraw.Draw(item).rectangle((0, 0, 30, 30), fill=(1, 2, 3))
    assert item[5, 5].tolist() == [1, 2, 3] and item.shape == (120, 160, 3)


@pytest.mark.parametrize("code", ["x[0, 0] = 1", "x += 1", "np.add(x, 1, out=x)"])
def test_writing_to_an_item_says_how_to_get_a_copy(bench, code):
    with pytest.raises(ToolError, match=r"np\.array\(item\)"):
        exec(code, {**bench.namespace, "x": bench.value("InputImages[1]")})


def test_item_stays_a_pil_image_beside_its_arithmetic(bench):
    item = bench.value("InputImages[1]")
    assert item.size == (160, 120) and bool(item) and item != bench.value("InputImages[2]")
    assert item in bench.value("InputImages") and {item: 1}[item] == 1 and item is not None and (item == None) is False  # noqa: E711
    canvas = Image.new("RGB", (200, 200))
    canvas.paste(item, (10, 10))
    assert canvas.getpixel((12, 12)) == tuple(item[2, 2])
    assert item.transpose(Image.Transpose.FLIP_LEFT_RIGHT).size == (160, 120)
    assert Image.blend(item.copy(), item, 0.5).size == item.size


def test_unknown_attribute_of_an_item_is_refused(bench):
    with pytest.raises(AttributeError, match=r"'nonsense'.*np\.asarray"):
        bench.value("InputImages[0].nonsense")
    assert not bench.value("hasattr(InputImages[0], '__array_function__')")


def test_drawing_on_an_item_leaves_the_frame_and_is_sent_as_pixels(bench, room_frames):
    item = bench.value("InputImages[0]")
    before = room_frames[0].color.copy()
    assert bench.workbench.bench.image_reference(item) == {"frame": 0}
    ImageDraw.Draw(item).rectangle((0, 0, 30, 30), fill=(1, 2, 3))
    np.testing.assert_array_equal(room_frames[0].color, before)
    assert tuple(np.asarray(item)[5, 5]) == (1, 2, 3)
    assert bench.workbench.bench.image_reference(item)["shape"] == [120, 160, 3]


def test_item_kept_from_before_a_restart_of_the_numbers_is_sent_as_pixels(ring_of_one, tmp_path):
    """The ring was cleared between two goals of a session: another picture now has the kept item's number."""
    workbench = Workbench({}, lambda method, params: {}, lambda data, metadata: None)

    def begin_goal() -> None:
        folder = tmp_path / "kernel"
        folder.mkdir(exist_ok=True)
        with ring_of_one.snapshot([], 0, 0, NoPoses(), "odom") as snapshot:
            workbench.begin(read_manifest(snapshot.export(folder)), folder)

    begin_goal()
    kept = workbench.namespace["InputImages"][0]
    begin_goal()
    assert workbench.bench.image_reference(kept) == {"frame": 0}
    ring_of_one.clear()
    ring_of_one.add_color("front", 5, ImagePayload.from_array(np.full((6, 8, 3), 200, np.uint8), "rgb8"), "cam")
    begin_goal()
    assert workbench.bench.image_reference(workbench.namespace["InputImages"][0]) == {"frame": 0}
    assert workbench.bench.image_reference(kept) == {"shape": [6, 8, 3], "data": bytes([7]) * 6 * 8 * 3}


@pytest.fixture
def ring_of_one(tmp_path):
    """A ring with one grey picture, number 0."""
    folder = tmp_path / "ring"
    folder.mkdir()
    buffer = FrameBuffer(folder)
    buffer.add_color("front", 3, ImagePayload.from_array(np.full((6, 8, 3), 7, np.uint8), "rgb8"), "cam")
    yield buffer
    buffer.close()


def test_lists_and_slices_are_sublists_with_frame_indices(bench):
    assert bench.value("InputImages[1:4].frame_indices") == [1, 2, 3]
    assert bench.value("InputImages[[4, 0]].frame_indices") == [4, 0]
    assert bench.value("InputImages[-1].frame_index") == 4
    assert bench.value("InputImages[np.array([True, False, False, True, False])].frame_indices") == [0, 3]


def test_position_out_of_range_says_how_many_there_are(bench):
    with pytest.raises(IndexError, match="has 5"):
        bench.value("InputImages[7]")


def test_unknown_frame_index_lists_the_valid_ones(bench):
    with pytest.raises(KeyError, match=r"0\.\.4"):
        bench.value("InputImages.at(9)")


def test_several_cameras_get_a_list_each(make_bench, room):
    frames = [room.make_frame(i, room.camera_pose(0.0), camera="front" if i % 2 else "left") for i in range(4)]
    bench = make_bench(frames)
    assert bench.value("InputImages_1.frame_indices") == [1, 3] and bench.value("InputImages_2.frame_indices") == [0, 2]
    assert bench.value("Metadata.cameras") == ["front", "left"]


def test_metadata_is_a_dict_with_attributes(bench):
    assert bench.value("Metadata['num_images']") == 5 and bench.value("Metadata.fps") == pytest.approx(4.0)
    assert bench.value("Metadata.is_video") is True and bench.value("Metadata.duration_sec") == pytest.approx(1.0)
    with pytest.raises(AttributeError, match="frame_id"):
        bench.value("Metadata.nonsense")


def test_reference_images_come_from_the_goals_folder(make_bench, room_frames, tmp_path):
    Image.new("RGB", (8, 6), (9, 9, 9)).save(tmp_path / "reference_0.png")
    bench = make_bench(room_frames, session={"reference_images": ["reference_0.png"]}, folder=tmp_path)
    assert bench.value("RefImages[0].size") == (8, 6)


def test_no_frames_is_an_empty_list_not_an_error(make_bench):
    bench = make_bench([])
    assert bench.value("len(InputImages)") == 0 and bench.value("Metadata.is_video") is False
    assert "empty" in bench.value("repr(InputImages)")
