"""Goals: every way in which their content can be bad has its code, before anything is started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from agent.loop_fakes import agent_with, answering, cell, frames

from spatialclaw_ros.agent.goal import check_goal
from spatialclaw_ros.agent.records import AnswerType, Query
from spatialclaw_ros.config import LoopConfig
from spatialclaw_ros.errors import BadGoal, ErrorCode

GOOD = Query("How far is it?")
JPEG = cv2.imencode(".jpg", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
PNG = cv2.imencode(".png", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
HUGE = PNG[:16] + (60_000).to_bytes(4, "big") * 2 + PNG[24:]


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
        ({"reference_images": (JPEG,) * 17}, ErrorCode.BAD_REFERENCE_IMAGE),
    ],
)
def test_a_bad_goal_has_its_code(fields: dict, code: ErrorCode) -> None:
    with pytest.raises(BadGoal) as caught:
        check_goal(replace(GOOD, **fields), LoopConfig(), {"front"}, {"odom", "map"})
    assert caught.value.code is code


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
