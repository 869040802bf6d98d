"""Goals: every way in which their content can be bad has its code, before anything is started."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from agent.loop_fakes import agent_with, answering, cell, frames

from spatialclaw_ros.agent import goal
from spatialclaw_ros.agent.goal import check_goal, check_pixels
from spatialclaw_ros.agent.records import AnswerType, Query
from spatialclaw_ros.config import LoopConfig
from spatialclaw_ros.errors import BadGoal, ErrorCode
from spatialclaw_ros.limits import CancelToken

GOOD = Query("How far is it?")
JPEG = cv2.imencode(".jpg", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
PNG = cv2.imencode(".png", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
HUGE = PNG[:16] + (60_000).to_bytes(4, "big") * 2 + PNG[24:]
THREAD = PNG[:16] + (1_000_000).to_bytes(4, "big") + (1).to_bytes(4, "big") + PNG[24:]
FLAT = PNG[:16] + bytes(8) + PNG[24:]
BROKEN = PNG[:40] + bytes(len(PNG) - 52) + PNG[-12:]
"""A whole header and a whole end, and nothing that can be decoded in between."""


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"question": ""}, ErrorCode.EMPTY_QUESTION),
        ({"question": " \n\t"}, ErrorCode.EMPTY_QUESTION),
        ({"question": "???"}, ErrorCode.EMPTY_QUESTION),
        ({"question": "far " * 25_000}, ErrorCode.QUESTION_TOO_LONG),
        ({"answer_type": 9}, ErrorCode.BAD_ANSWER_TYPE),
        ({"answer_type": AnswerType.CHOICE}, ErrorCode.CHOICES_MISSING),
        ({"answer_type": AnswerType.CHOICE, "choices": ("left",)}, ErrorCode.CHOICES_MISSING),
        ({"answer_type": AnswerType.CHOICE, "choices": ("left", " LEFT ")}, ErrorCode.CHOICES_MISSING),
        ({"answer_type": AnswerType.CHOICE, "choices": ("left", "")}, ErrorCode.CHOICES_MISSING),
        ({"answer_type": AnswerType.CHOICE, "choices": tuple(map(str, range(500)))}, ErrorCode.CHOICES_MISSING),
        ({"cameras": ("rear",)}, ErrorCode.UNKNOWN_CAMERA),
        ({"target_frame": "mapp"}, ErrorCode.UNKNOWN_FRAME),
        ({"max_steps": -1}, ErrorCode.BAD_LIMIT),
        ({"max_steps": 10**6}, ErrorCode.BAD_LIMIT),
        ({"time_limit": -0.1}, ErrorCode.BAD_LIMIT),
        ({"time_limit": float("nan")}, ErrorCode.BAD_LIMIT),
        ({"time_limit": float("inf")}, ErrorCode.BAD_LIMIT),
        ({"session_id": "x" * 500}, ErrorCode.BAD_LIMIT),
        ({"start_time": 5, "end_time": 5}, ErrorCode.BAD_TIME_WINDOW),
        ({"start_time": -1}, ErrorCode.BAD_TIME_WINDOW),
        ({"reference_images": (b"",)}, ErrorCode.BAD_REFERENCE_IMAGE),
        ({"reference_images": (b"GIF89a" * 20,)}, ErrorCode.BAD_REFERENCE_IMAGE),
        ({"reference_images": (JPEG[: len(JPEG) // 2],)}, ErrorCode.BAD_REFERENCE_IMAGE),
        ({"reference_images": (PNG[:-20],)}, ErrorCode.BAD_REFERENCE_IMAGE),
        ({"reference_images": (HUGE,)}, ErrorCode.BAD_REFERENCE_IMAGE),
        ({"reference_images": (THREAD,)}, ErrorCode.BAD_REFERENCE_IMAGE),
        ({"reference_images": (FLAT,)}, ErrorCode.BAD_REFERENCE_IMAGE),
        ({"reference_images": (JPEG,) * 17}, ErrorCode.BAD_REFERENCE_IMAGE),
    ],
)
def test_a_bad_goal_has_its_code(fields: dict, code: ErrorCode) -> None:
    with pytest.raises(BadGoal) as caught:
        check_goal(replace(GOOD, **fields), LoopConfig(), {"front"}, {"odom", "map"})
    assert caught.value.code is code


WRONG_TYPES: list[tuple[dict[str, Any], ErrorCode]] = [
    ({"question": None}, ErrorCode.EMPTY_QUESTION),
    ({"question": 10**5000}, ErrorCode.EMPTY_QUESTION),
    ({"answer_type": None}, ErrorCode.BAD_ANSWER_TYPE),
    ({"answer_type": []}, ErrorCode.BAD_ANSWER_TYPE),
    ({"answer_type": 5}, ErrorCode.NONE),
    ({"choices": "left"}, ErrorCode.CHOICES_MISSING),
    ({"choices": (1, 2)}, ErrorCode.CHOICES_MISSING),
    ({"max_steps": "5"}, ErrorCode.BAD_LIMIT),
    ({"max_steps": 2.5}, ErrorCode.BAD_LIMIT),
    ({"max_steps": 10**5000}, ErrorCode.BAD_LIMIT),
    ({"time_limit": "5"}, ErrorCode.BAD_LIMIT),
    ({"time_limit": None}, ErrorCode.BAD_LIMIT),
    ({"time_limit": 10**400}, ErrorCode.BAD_LIMIT),
    ({"time_limit": np.float32(5)}, ErrorCode.NONE),
    ({"session_id": []}, ErrorCode.BAD_LIMIT),
    ({"start_time": "now"}, ErrorCode.BAD_TIME_WINDOW),
    ({"end_time": 10**400}, ErrorCode.BAD_TIME_WINDOW),
    ({"cameras": "front"}, ErrorCode.UNKNOWN_CAMERA),
    ({"cameras": None}, ErrorCode.UNKNOWN_CAMERA),
    ({"target_frame": None}, ErrorCode.UNKNOWN_FRAME),
    ({"reference_images": JPEG}, ErrorCode.BAD_REFERENCE_IMAGE),
    ({"reference_images": ("mug.png",)}, ErrorCode.BAD_REFERENCE_IMAGE),
]


@pytest.mark.parametrize(("fields", "code"), WRONG_TYPES)
def test_a_field_of_another_type_is_an_error_code_for_a_caller_of_the_library(
    tmp_path: Path, fields: dict[str, Any], code: ErrorCode
) -> None:
    with agent_with(tmp_path, [cell("a")], [answering(1.0, point=[0, 0, 1], frame="odom")]) as agent:
        result = agent.ask(**{"question": "How far?", "frames": frames(), **fields})
    assert result.error_code is code
    assert code is ErrorCode.NONE or next(iter(fields)) in result.error_message


def test_the_early_check_decodes_nothing_and_the_agents_own_check_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = replace(GOOD, reference_images=(BROKEN,))
    with monkeypatch.context() as patch:
        patch.delattr(goal.cv2, "imdecode")
        check_goal(query, LoopConfig())
    with pytest.raises(BadGoal, match="reference image 3 cannot be decoded"):
        check_pixels(3, BROKEN)
    with agent_with(tmp_path, [], []) as agent:
        result = agent.ask("How far?", frames(), reference_images=(JPEG, BROKEN))
    assert result.error_code is ErrorCode.BAD_REFERENCE_IMAGE
    assert "reference image 1 cannot be decoded" in result.error_message


def test_a_canceled_goal_decodes_no_further_reference_image(tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with agent_with(tmp_path, [], []) as agent:
        result = agent.ask("How far?", frames(), cancel=cancel, reference_images=(BROKEN,))
    assert result.error_code is ErrorCode.CANCELED


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("picture.jpg", "frames is 'picture.jpg' \\(str\\)"),
        (["picture.jpg"], "frames\\[0\\] is 'picture.jpg' \\(str\\)"),
        (np.zeros((4, 3)), "frames is array"),
        (frames(2, index=7) + frames(1, index=7), "carry an index twice: \\[7\\]"),
    ],
)
def test_what_is_no_list_of_frames_is_an_error_code(tmp_path: Path, given: Any, reason: str) -> None:
    with agent_with(tmp_path, [], []) as agent:
        result = agent.ask("How far?", given)
    assert result.error_code is ErrorCode.BAD_RECORDING
    assert re.search(reason, result.error_message)


def test_frames_without_an_index_get_free_ones_beside_those_that_have_one(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")], [answering(1.0)]) as agent:
        assert agent.ask("How far?", frames(2) + frames(1, start=50.0, index=1)).ok
        ((begun, _info),) = agent._pool.kernels[0].begun
    assert [frame.index for frame in begun] == [1, 0, 2]


def test_the_nearest_known_name_is_suggested() -> None:
    with pytest.raises(BadGoal, match="did you mean 'map'"):
        check_goal(replace(GOOD, target_frame="mapp"), LoopConfig(), None, {"odom", "map"})


def test_a_good_goal_passes() -> None:
    query = replace(
        GOOD, reference_images=(JPEG, PNG), cameras=("front",), target_frame="map", start_time=3, end_time=9
    )
    check_goal(query, LoopConfig(), {"front"}, {"odom", "map"})


def test_what_is_not_known_yet_is_not_checked() -> None:
    check_goal(replace(GOOD, cameras=("rear",), target_frame="map"), LoopConfig())


def test_a_bad_goal_costs_no_request_and_no_kernel(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")], [answering(1.0)]) as agent:
        bad = agent.ask("How far?", frames(), answer_type="distance")
        assert (bad.error_code, agent.backbone.calls, agent._pool.kernels) == (ErrorCode.BAD_ANSWER_TYPE, [], [])
        assert agent.ask("How far?", frames()).ok


@pytest.mark.parametrize(
    "fields", [{"start_time": int(200e9)}, {"end_time": int(50e9)}], ids=["after the frames", "before the frames"]
)
def test_a_window_without_frames_says_what_there_is(tmp_path: Path, fields: dict) -> None:
    with agent_with(tmp_path, [], []) as agent:
        result = agent.ask("How far?", frames(4), **fields)
    assert result.error_code is ErrorCode.NO_FRAMES
    assert "4 frames of front from 100.000 s to 103.000 s" in result.error_message


@pytest.mark.parametrize("given", [None, []])
def test_no_frames_at_all_is_an_error_code(tmp_path: Path, given: list | None) -> None:
    with agent_with(tmp_path, [], []) as agent:
        assert agent.ask("How far?", given).error_code is ErrorCode.NO_FRAMES


def test_cameras_and_window_choose_the_frames(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")], [answering(1.0)]) as agent:
        both = frames(4, "front") + frames(4, "rear", start=100.5)
        agent.ask("How far?", both, cameras=("rear",), start_time=int(101e9), end_time=int(103e9))
        ((begun, _info),) = agent._pool.kernels[0].begun
    assert [(frame.camera, frame.stamp / 1e9) for frame in begun] == [("rear", 101.5), ("rear", 102.5)]
