"""vlm.locate and vlm.ask_with_thinking: texts of the model as places in pixels."""

from __future__ import annotations

import pytest

from spatialclaw_ros.workbench.errors import ToolError


@pytest.fixture
def asked(make_bench, room_frames):
    """A bench whose model sees the mug in frame 1 only."""

    def answer(method, params):
        if method == "ask":
            return {"text": f"{len(params['images'])} pictures", "reasoning": "counted"}
        return {"text": "100 500 300 750" if params["images"][0] == {"frame": 1} else "Not visible"}

    return make_bench(room_frames, answer=answer)


def test_location_is_text_in_thousandths_with_a_box_in_pixels(asked):
    place = asked.value("vlm.locate(InputImages[1], 'the mug')")
    assert place == "100 500 300 750" and place.visible and place.frame_index == 1
    assert place.box == [16.0, 60.0, 48.0, 90.0] and place.point == (32.0, 75.0)


def test_not_visible_has_no_box(asked):
    place = asked.value("vlm.locate(InputImages[0], 'the mug')")
    assert place == "Not visible" and not place.visible and place.box is None and place.point is None


def test_list_of_images_gives_the_first_that_shows_it(asked):
    place = asked.value("vlm.locate(InputImages[:3], 'the mug')")
    assert place.frame_index == 1 and place.boxes[0] is None and place.boxes[1] == place.box
    assert place.splitlines() == ["Not visible", "100 500 300 750", "Not visible"]


def test_location_is_a_box_prompt(make_bench, room_frames):
    import numpy as np

    def answer(method, params):
        if method == "locate":
            return {"text": "0 500 250 1000"}
        return {"masks": np.ones((1, 120, 160)), "scores": [1.0], "backend": "x"}

    bench = make_bench(room_frames, answer=answer)
    bench.run("m = SAM3.segment_image_by_box(InputImages[0], vlm.locate(InputImages[0], 'mug'))")
    assert bench.asked[-1][1]["prompt"]["box"] == [0.0, 60.0, 40.0, 120.0]


def test_what_is_not_visible_is_no_box_prompt(asked):
    with pytest.raises(ToolError, match="not visible"):
        asked.value("SAM3.segment_image_by_box(InputImages[0], vlm.locate(InputImages[0], 'mug'))")


@pytest.mark.parametrize("text", ["somewhere", "900 10 100 20", "1 2 3", ""])
def test_reply_that_is_no_box_is_not_visible(make_bench, room_frames, text):
    bench = make_bench(room_frames, answer=lambda method, params: {"text": text})
    assert not bench.value("vlm.locate(InputImages[0], 'mug').visible")


def test_ask_sends_frames_by_number(asked):
    assert asked.value("vlm.ask_with_thinking(InputImages[:3], 'How many?')") == "3 pictures"
    assert asked.asked[-1][1]["images"] == [{"frame": 0}, {"frame": 1}, {"frame": 2}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [("InputImages[0], ''", "order is"), ("'mug', InputImages[0]", "order is"), ("[], 'mug'", "empty list")],
)
def test_wrong_arguments_are_refused(asked, arguments, message):
    with pytest.raises(ToolError, match=message):
        asked.value(f"vlm.locate({arguments})")
    assert asked.asked == []


def test_too_many_images_are_refused(asked):
    with pytest.raises(ToolError, match="at most 16"):
        asked.value("vlm.ask_with_thinking([InputImages[0]] * 17, 'what?')")
