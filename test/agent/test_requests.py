"""The broker's requests: what a cell may ask, what it gets, and that nothing unchecked gets through."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from agent.loop_fakes import frames

from spatialclaw_ros.agent.request_images import DecodedFrames
from spatialclaw_ros.agent.requests import GoalContext, MaskEvent, Requests, box_in_pixels
from spatialclaw_ros.backbones import vlm
from spatialclaw_ros.backbones.chat import Reply
from spatialclaw_ros.errors import BackboneError, Canceled, PerceptionError, TimeLimitReached
from spatialclaw_ros.fakes.backbone import ScriptedBackbone
from spatialclaw_ros.fakes.segmenter import FakeSegmenter
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.workbench.errors import ToolError

KERNEL = SimpleNamespace(id="kernel-1")
BOX = {"image": {"frame": 0}, "prompt": {"box": [1, 2, 11, 12]}}


class Served:
    """Requests of one kernel in a goal; shared arrays are kept as they are."""

    def __init__(
        self, *replies: Any, sees: bool = True, segmenter: Any = None, on_masks: Any = None, seconds: float = 60
    ) -> None:
        self.backbone = ScriptedBackbone(list(replies), sees_pictures=sees)
        self.segmenter = segmenter or FakeSegmenter(boxes={"red mug": [(0, 0, 20, 10)]})
        self.requests = Requests(self.backbone, lambda _session, array: array, vlm, self.segmenter)
        self.cancel = CancelToken()
        numbered = dict(enumerate(frames(3, index=0)))
        self.requests.serve(KERNEL.id, GoalContext(numbered, self.cancel, Deadline(seconds), on_masks, step=4))

    def __call__(self, method: str, params: dict, cancel: CancelToken | None = None) -> dict:
        return self.requests(method, params, KERNEL, cancel or CancelToken())


def test_a_frame_is_segmented_with_its_depth_and_intrinsics() -> None:
    seen: list = []
    segmenter = FakeSegmenter(
        maker=lambda image, prompt: seen.append(image) or FakeSegmenter().segment(image, prompt, CancelToken())
    )
    result = Served(segmenter=segmenter)("segment", BOX)
    assert (result["masks"].dtype, result["masks"].shape, int(result["masks"].sum())) == (np.uint8, (1, 48, 64), 100)
    assert (result["backend"], result["scores"]) == ("fake", [1.0])
    assert seen[0].depth[0, 0] == pytest.approx(2.0)
    assert seen[0].intrinsics.fx == 60.0


def test_inline_pixels_are_segmented_without_depth() -> None:
    served = Served()
    image = {"shape": [20, 30, 3], "data": bytes(20 * 30 * 3)}
    assert served("segment", {"image": image, "prompt": {"text": "red mug"}})["masks"].shape == (1, 20, 30)


def test_masks_are_announced_with_their_frame_and_step() -> None:
    events: list[MaskEvent] = []
    served = Served(on_masks=events.append)
    served("segment", {"image": {"frame": 2}, "prompt": {"text": "red mug"}})
    assert [(event.label, event.frame.index, event.step, event.backend) for event in events] == [
        ("red mug", 2, 4, "fake")
    ]


def test_a_listener_for_masks_that_fails_does_not_fail_the_cell() -> None:
    def on_masks(_event: MaskEvent) -> None:
        raise RuntimeError

    assert Served(on_masks=on_masks)("segment", BOX)["backend"] == "fake"


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("shell", {}, "unknown request"),
        ("segment", {}, "expected a frame's number or pixels"),
        ("segment", {"image": {"frame": 9}, "prompt": {"text": "a"}}, "frame indices are 0 to 2"),
        ("segment", {"image": {"frame": True}, "prompt": {"text": "a"}}, "frame indices"),
        ("segment", {"image": {"frame": "../x"}, "prompt": {"text": "a"}}, "frame indices"),
        ("segment", {"image": {"shape": [2, 2, 3], "data": b"x"}, "prompt": {"text": "a"}}, "needs 12 bytes"),
        ("segment", {"image": {"shape": [10**6, 10**6, 3], "data": b"x"}, "prompt": {"text": "a"}}, "up to 8192"),
        ("segment", {"image": {"shape": "abc", "data": b"x"}, "prompt": {"text": "a"}}, "expected \\[height"),
        ("segment", {"image": {"frame": 0}}, "needs a prompt"),
        ("segment", {"image": {"frame": 0}, "prompt": {}}, "exactly one"),
        ("segment", {"image": {"frame": 0}, "prompt": {"text": "a", "box": [0, 0, 1, 1]}}, "exactly one"),
        ("segment", {"image": {"frame": 0}, "prompt": {"text": "a" * 9999}}, "1 to 500"),
        ("segment", {"image": {"frame": 0}, "prompt": {"box": [5, 5, 1, 1]}}, "x2 > x1"),
        ("segment", {"image": {"frame": 0}, "prompt": {"box": [0, 0, float("nan"), 1]}}, "in pixels"),
        ("segment", {"image": {"frame": 0}, "prompt": {"points": [[1]]}}, "pairs"),
        ("segment", {"image": {"frame": 0}, "prompt": {"points": [[1, 2]], "labels": [7]}}, "1 inside"),
        ("segment", {**BOX, "threshold": 3}, "from 0 to 1"),
        ("locate", {"images": [], "question": "mug"}, "1 to 16 images"),
        ("locate", {"images": [{"frame": 0}], "question": ""}, "characters of text"),
        ("ask", {"images": [{"frame": 0}] * 50, "question": "what?"}, "1 to 16 images"),
        ("ask", {"images": [{"frame": 0}], "question": 5}, "characters of text"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_the_reason(method: str, params: dict, reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        Served()(method, params)


def test_locate_returns_the_models_box_and_sends_the_frame() -> None:
    served = Served("The mug is at [100, 200, 300, 400].")
    assert served("locate", {"images": [{"frame": 1}], "question": "red mug"}) == {"text": "100 200 300 400"}
    picture = next(part for part in served.backbone.calls[0].messages[-1].parts if not isinstance(part, str))
    sent = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
    assert sent.shape == (48, 64, 3)
    assert abs(int(sent[0, 0, 0]) - 101) <= 2


def test_ask_returns_text_and_reasoning() -> None:
    served = Served(Reply("It is open.", reasoning="the gap is visible"))
    result = served("ask", {"images": [{"frame": 0}], "question": "Is the door open?"})
    assert result == {"text": "It is open.", "reasoning": "the gap is visible"}


@pytest.mark.parametrize("method", ["locate", "ask"])
def test_a_backbone_without_sight_is_named(method: str) -> None:
    with pytest.raises(ToolError, match="segment by text instead"):
        Served(sees=False)(method, {"images": [{"frame": 0}], "question": "mug"})


def test_a_segmenter_that_locates_asks_the_backbone_for_the_box() -> None:
    served = Served("250 250 500 500")
    boxes: list = []
    served.requests.segmenter = FakeSegmenter(
        maker=lambda image, prompt: (
            boxes.append(served.requests.locate_box(image.color, prompt.text))
            or FakeSegmenter().segment(image, prompt, CancelToken())
        )
    )
    served("segment", {"image": {"frame": 0}, "prompt": {"text": "mug"}})
    assert boxes == [(16.0, 12.0, 32.0, 24.0)]


@pytest.mark.parametrize(("text", "box"), [("0 0 500 1000", (0, 0, 32, 48)), ("Not visible", None), ("5 5 5 5", None)])
def test_boxes_are_scaled_to_the_picture(text: str, box: tuple | None) -> None:
    assert box_in_pixels(text, 64, 48) == box


def test_a_locate_reply_that_is_no_box_is_an_error() -> None:
    with pytest.raises(BackboneError, match="four numbers"):
        box_in_pixels("over there", 64, 48)


@pytest.mark.parametrize("which", ["cell", "goal"])
def test_a_cancel_of_the_cell_or_the_goal_ends_a_request_in_flight(which: str) -> None:
    served, cell, raised = Served("0 0 1 1"), CancelToken(), []
    served.backbone.block()

    def ask() -> None:
        try:
            served("locate", {"images": [{"frame": 0}], "question": "mug"}, cell)
        except Canceled as error:
            raised.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert served.backbone.waiting.wait(10)
    (cell if which == "cell" else served.cancel).cancel()
    asking.join(10)
    assert len(raised) == 1


def test_nothing_is_served_after_the_goal_or_its_time() -> None:
    with pytest.raises(TimeLimitReached):
        Served(seconds=0)("segment", BOX)
    served = Served()
    served.requests.stop(KERNEL.id)
    with pytest.raises(ToolError, match="no question is being answered"):
        served("segment", BOX)


def test_an_error_of_the_segmenter_keeps_its_type() -> None:
    with pytest.raises(PerceptionError, match="out of memory"):
        Served(segmenter=FakeSegmenter(error=PerceptionError("out of memory")))("segment", BOX)


def test_only_the_last_frames_used_stay_decoded() -> None:
    kept = DecodedFrames({frame.index: frame for frame in frames(5, index=0)}, most=2)
    first = kept[0]
    assert kept[0] is first
    assert (kept[1].index, kept[2].index) == (1, 2)
    assert kept[0] is not first
    assert sorted(kept) == [0, 1, 2, 3, 4]
