"""The colour segmenter: names to hues, shade to the same thing, depth to single things."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from spatialclaw_ros.errors import Canceled, ConfigurationError, PerceptionError
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.perception.colour import ColourSegmenter
from spatialclaw_ros.perception.colours import colour_name
from spatialclaw_ros.perception.interfaces import Prompt, SegmentInput
from spatialclaw_ros.perception.registry import make_segmenter

CAMERA = Intrinsics(300, 300, 160, 120, 320, 240)
SWATCHES = {
    "red": (200, 30, 30), "orange": (240, 130, 20), "yellow": (230, 210, 40), "green": (40, 160, 60),
    "cyan": (30, 190, 200), "blue": (40, 70, 210), "purple": (120, 50, 190), "magenta": (220, 60, 160),
    "brown": (110, 70, 35), "white": (240, 240, 238), "black": (18, 18, 20), "grey": (128, 128, 130),
}  # fmt: skip


def room(background=(150, 148, 145)) -> np.ndarray:
    return np.full((240, 320, 3), background, np.uint8)


def segment(color, text, depth=None, intrinsics=CAMERA, **prompt):
    given = Prompt(text=text, **prompt)
    return ColourSegmenter().segment(SegmentInput(color, depth, intrinsics), given, CancelToken())


@pytest.mark.parametrize("name", SWATCHES)
def test_each_name_finds_its_swatch_and_no_other(name):
    color = room((60, 90, 60) if name != "green" else (90, 60, 90))  # a background that no swatch shares
    color[:] = (150, 120, 120) if name in ("white", "grey", "black") else color
    truth = {}
    for n, (swatch, rgb) in enumerate(SWATCHES.items()):
        y, x = 20 + 75 * (n // 4), 15 + 78 * (n % 4)
        truth[swatch] = (slice(y, y + 50), slice(x, x + 55))
        color[truth[swatch]] = rgb
    found = segment(color, f"the {name} box")
    hits = [mask[truth[name]].mean() > 0.9 for mask in found.masks]
    assert sum(hits) == 1
    others = [other for other in SWATCHES if other != name]
    assert all(mask[truth[other]].mean() < 0.1 for other in others for mask in found.masks)


@pytest.mark.parametrize("name", ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "magenta"])
def test_shaded_noisy_jpeg_is_found_whole(name):
    color = room()
    shade = np.linspace(0.5, 1.0, 100)[:, None, None]
    color[70:170, 110:210] = (np.array(SWATCHES[name]) * shade).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 5, color.shape)
    encoded = cv2.imencode(".jpg", np.clip(color + noise, 0, 255).astype(np.uint8)[..., ::-1])[1]
    found = segment(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1].copy(), f"{name} chair")
    truth = np.zeros((240, 320), bool)
    truth[70:170, 110:210] = True
    assert len(found.masks) == 1
    assert (found.masks[0] & truth).sum() / (found.masks[0] | truth).sum() > 0.85


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("the RED mug", "red"), ("a gray door", "grey"), ("pink shelf", "magenta"), ("violet-coloured box", "purple"),
        ("chair", None), ("redwood table", None), ("", None),
    ],
)  # fmt: skip
def test_colour_word_is_read_out_of_a_prompt(prompt, name):
    assert colour_name(prompt) == name


def test_things_at_different_depths_are_two_although_they_touch_in_the_picture():
    color, depth = room(), np.full((240, 320), 4.0, np.float32)
    color[80:160, 60:260] = SWATCHES["blue"]
    depth[80:160, 60:160], depth[80:160, 160:260] = 1.5, 2.5
    assert len(segment(color, "blue box", depth).masks) == 2
    assert len(segment(color, "blue box").masks) == 1


def test_pieces_of_one_thing_seen_behind_a_bar_are_one():
    color, depth = room(), np.full((240, 320), 4.0, np.float32)
    color[60:180, 80:240] = SWATCHES["green"]
    depth[60:180, 80:240] = 2.0
    color[:, 155:165], depth[:, 155:165] = (90, 90, 90), 1.0  # 5 cm of the thing are hidden
    assert len(segment(color, "green cabinet", depth).masks) == 1


def test_two_things_of_one_colour_side_by_side_stay_two():
    color, depth = room(), np.full((240, 320), 2.0, np.float32)
    color[100:130, 60:90] = color[100:130, 150:180] = SWATCHES["red"]  # 20 cm wide, 40 cm apart
    assert len(segment(color, "red mug", depth).masks) == 2


def test_depth_holes_do_not_split_a_thing():
    color, depth = room(), np.full((240, 320), 2.0, np.float32)
    color[60:180, 80:240] = SWATCHES["green"]
    depth[60:180, 150:170] = np.nan
    depth[::3, ::5] = np.nan
    assert len(segment(color, "green cabinet", depth).masks) == 1


def test_specks_and_thin_rims_are_not_things():
    color = room()
    color[10:13, 10:13] = SWATCHES["red"]
    color[50:200, 30:32] = SWATCHES["red"]
    assert len(segment(color, "red box").masks) == 0


def test_larger_and_clearer_things_score_higher_and_the_threshold_cuts():
    color = room()
    color[20:120, 20:120] = (220, 20, 20)
    color[180:192, 250:262] = (170, 90, 90)
    found = segment(color, "red box")
    assert len(found.masks) == 2 and found.scores[0] > found.scores[1] and (found.scores <= 1).all()
    assert len(segment(color, "red box", threshold=0.9).masks) == 1


def test_finding_nothing_is_empty_not_an_error():
    found = segment(room(), "purple lamp")
    assert found.masks.shape == (0, 240, 320) and found.scores.shape == (0,) and found.backend == "colour"


def test_prompt_without_a_colour_lists_the_colours():
    with pytest.raises(PerceptionError, match="'a chair'.*red, orange, brown"):
        segment(room(), "a chair")


def test_box_and_point_choose_the_thing_under_them():
    color = room()
    color[20:80, 20:80] = color[120:180, 200:260] = SWATCHES["red"]
    by_box = segment(color, "", box=(195, 115, 265, 185))
    by_point = segment(color, "", points=((50.0, 50.0),), point_labels=(1,))
    assert by_box.masks[0][150, 230] and len(by_box.masks) == 1
    assert by_point.masks[0][50, 50] and len(by_point.masks) == 1


def test_cancel_stops_it():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Canceled):
        ColourSegmenter().segment(SegmentInput(room()), Prompt(text="red box"), token)


def test_registry_makes_by_name_and_names_the_choices():
    assert [make_segmenter(name).name for name in ("auto", "colour", "grabcut")] == ["auto", "colour", "grabcut"]
    with pytest.raises(ConfigurationError, match="auto, colour, grabcut"):
        make_segmenter("sam9")


def test_auto_takes_colour_without_a_locator_and_grabcut_with_one():
    color = room()
    color[60:160, 100:200] = SWATCHES["red"]
    image = SegmentInput(color, None, CAMERA)
    alone = make_segmenter("auto").segment(image, Prompt(text="red box"), CancelToken())
    seeing = make_segmenter("auto", lambda picture, text: (95, 55, 205, 165))
    assert alone.backend == "colour"
    assert seeing.segment(image, Prompt(text="red box"), CancelToken()).backend == "grabcut"
    with pytest.raises(PerceptionError, match="sees pictures"):
        make_segmenter("auto").segment(image, Prompt(text="mug"), CancelToken())
