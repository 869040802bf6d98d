"""The agent on a real kernel: scripted replies, real cells, real isolation."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from agent.asking import Asked
from agent.loop_fakes import cell, frames

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.records import Event
from spatialclaw_ros.agent.requests import MaskEvent
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.fakes.backbone import ScriptedBackbone
from spatialclaw_ros.fakes.segmenter import FakeSegmenter
from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.perception.interfaces import Masks, Prompt, SegmentInput

pytestmark = pytest.mark.process

QUESTION = "How far is the wall, in metres?"


def real_agent(tmp_path: Path, replies: list, **kernel: object) -> SpatialAgent:
    config = AgentConfig.load({"loop": {"planning": False}, "kernel": kernel, "trace": {"folder": str(tmp_path)}})
    return SpatialAgent(config, ScriptedBackbone(replies), FakeSegmenter(boxes={"wall": [(8, 8, 40, 40)]}))


def test_a_question_is_measured_with_masks_depth_and_poses(tmp_path: Path) -> None:
    masks: list[MaskEvent] = []
    replies = [
        cell(
            "mask = SAM3.segment_image_by_text(InputImages[0], 'wall')\nprint(mask)\nshow(InputImages[1], label='look')"
        ),
        cell("area = int(mask[0][0].sum())\nd = float(np.nanmedian(InputImages[0].depth[mask[0][0]]))\nprint(area, d)"),
        cell("ReturnAnswer(d * 100, unit='cm', point=(0, 0, d), frame='front_optical', stddev=1.0, evidence=[0])"),
    ]
    with real_agent(tmp_path, replies) as agent:
        result = agent.ask(QUESTION, frames(), answer_type="number", on_masks=masks.append)
    assert result.ok, result.error_message
    assert result.answer is not None
    assert result.answer.number == pytest.approx(2.0)
    assert result.answer.point == pytest.approx((0.0, 0.0, 2.0))
    assert [picture.frame_index for picture in result.steps[0].result.pictures] == [1]
    assert result.steps[1].result.stdout.strip() == "1024 2.0"
    assert [(event.label, event.frame.index, event.masks.shape, event.step) for event in masks] == [
        ("wall", 0, (1, 48, 64), 1)
    ]
    assert result.sandbox_level in ("bwrap", "landlock")


def test_a_session_keeps_variables_frames_and_what_was_asked(tmp_path: Path) -> None:
    replies = [
        cell("d = 2.0\nReturnAnswer(d, unit='m')"),
        cell("ReturnAnswer(2 * d, unit='m', evidence=[len(InputImages) - 1])"),
    ]
    with real_agent(tmp_path, replies) as agent:
        first = agent.ask(QUESTION, frames(3), session_id="kitchen")
        second = agent.ask("And twice as far?", session_id="kitchen")
        task = agent.backbone.calls[-1].messages[1].text
    assert first.ok
    assert second.ok, second.error_message
    assert second.answer.number == 4.0
    assert [entry.index for entry in second.answer.evidence] == [2]
    assert f"earlier: {QUESTION} → 2 m" in task


def test_without_a_session_nothing_is_left_of_the_question_before(tmp_path: Path) -> None:
    replies = [cell("secret = 1\nReturnAnswer(1)"), cell("ReturnAnswer('secret' in globals())")]
    with real_agent(tmp_path, replies) as agent:
        agent.ask(QUESTION, frames())
        assert agent.ask("Is it still there?", frames()).answer.boolean is False


def test_parallel_questions_run_at_once_in_kernels_of_their_own(tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=60.0)  # passed only while a cell of either question waits for its mask

    def segment(image: SegmentInput, prompt: Prompt) -> Masks:
        meeting.wait()
        return FakeSegmenter(boxes={"wall": [(8, 8, 40, 40)]}).segment(image, prompt, CancelToken())

    code = "SAM3.segment_image_by_text(InputImages[0], 'wall')\nmine = globals().get('mine', 0) + 1\nReturnAnswer(mine)"
    config = AgentConfig.load(
        {"loop": {"planning": False, "concurrency": "parallel", "max_parallel": 2}, "trace": {"folder": str(tmp_path)}}
    )
    backbone = ScriptedBackbone(lambda *_: cell(code))
    with SpatialAgent(config, backbone, FakeSegmenter(maker=segment)) as agent:
        asked = [Asked(agent) for _ in range(2)]
        results = [each.result(60) for each in asked]
    assert [result.answer.number for result in results if result.answer] == [1, 1], results


def test_reference_images_are_in_the_kernel_and_in_the_first_request(tmp_path: Path) -> None:
    encoded = cv2.imencode(".png", np.full((20, 30, 3), 200, np.uint8))[1].tobytes()
    with real_agent(tmp_path, [cell("ReturnAnswer(RefImages[0].width)")]) as agent:
        result = agent.ask("How wide is the picture?", frames(), reference_images=(encoded,))
        first = agent.backbone.calls[0].messages[1]
    assert result.ok, result.error_message
    assert result.answer.number == 30
    assert any(getattr(part, "data", None) == encoded for part in first.parts)


def test_a_cancel_stops_a_running_cell_and_the_next_question_is_answered(tmp_path: Path) -> None:
    cancel, executing = CancelToken(), threading.Event()
    results: list = []

    def listener(event: Event) -> None:
        if event.stage == "execute":
            executing.set()

    with real_agent(tmp_path, [cell("while True: pass"), cell("ReturnAnswer(1)")]) as agent:
        asked = threading.Thread(
            target=lambda: results.append(agent.ask(QUESTION, frames(), listener=listener, cancel=cancel))
        )
        asked.start()
        assert executing.wait(60)
        cancel.cancel()
        asked.join(10)
        assert results[0].error_code is ErrorCode.CANCELED
        assert agent.ask(QUESTION, frames()).ok


def test_a_kernel_that_ends_itself_is_replaced_and_the_question_goes_on(tmp_path: Path) -> None:
    replies = [cell("import os\nos._exit(1)"), cell("ReturnAnswer(len(InputImages))")]
    with real_agent(tmp_path, replies) as agent:
        result = agent.ask(QUESTION, frames(3))
    assert result.steps[0].result.status == "died"
    assert result.ok, result.error_message
    assert result.answer.number == 3


def test_closing_leaves_no_shared_memory(tmp_path: Path) -> None:
    agent = real_agent(tmp_path, [cell("ReturnAnswer(1)")])
    with agent:
        assert agent.ask(QUESTION, frames()).ok
        assert agent.store.folder.is_dir()
    assert not agent.store.folder.exists()
