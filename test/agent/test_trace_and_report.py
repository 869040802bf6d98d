"""Traces and reports: what happened can be read back, and nothing that a model wrote becomes markup."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from agent.loop_fakes import agent_with, answering, cell, frames

from spatialclaw_ros.agent.records import QueryResult
from spatialclaw_ros.agent.trace import open_trace, remove_oldest
from spatialclaw_ros.agent.trace_format import read_trace
from spatialclaw_ros.config import TraceConfig
from spatialclaw_ros.errors import ErrorCode, RecordingError
from spatialclaw_ros.evaluation.report import ReportItem, write_report
from spatialclaw_ros.kernel.cell import CellError, CellResult, ShownPicture, Variable

JPEG = cv2.imencode(".jpg", np.full((6, 8, 3), 90, np.uint8))[1].tobytes()
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def one_goal(tmp_path: Path, text: str = "measured", **fields: object) -> QueryResult:
    shown = CellResult(
        "error",
        stdout=text,
        error=CellError("ValueError", text, 2, f"ValueError: {text}"),
        pictures=(ShownPicture(JPEG, "image/jpeg", text, 8, 6, frame_index=1),),
        variables=(Variable("mask", text, text),),
        notes=(text,),
        duration=0.25,
    )
    replies = [
        f"First {text}",
        f"Purpose: {text}\nReasoning: {text}\n```python\nx = '''{text}'''\n```",
        cell("ReturnAnswer(1.5)"),
    ]
    with agent_with(tmp_path, replies, [shown, answering(1.5, stddev=0.1, evidence=[0, 2])], planning=True) as agent:
        return agent.ask(f"How far is it, in metres? {text}", frames(), **fields)


def test_a_trace_reads_back_as_the_result(tmp_path: Path) -> None:
    result = one_goal(tmp_path, reference_images=(JPEG,))
    trace = read_trace(result.trace_path)
    assert trace.result == result
    assert trace.facts["backbone"] == "scripted"
    assert [frame.index for frame in trace.key_frames] == [0, 1, 2, 3]


def test_a_trace_holds_every_turn_in_order(tmp_path: Path) -> None:
    result = one_goal(tmp_path)
    records = [json.loads(line) for line in (Path(result.trace_path) / "trace.jsonl").read_text().splitlines()]
    assert {record["v"] for record in records} == {1}
    assert records[0]["type"] == "goal"
    assert records[-1]["type"] == "result"
    roles = [record["role"] for record in records if record["type"] == "message"]
    assert roles == ["system"] + ["user", "assistant"] * 3


def test_numbers_that_are_not_known_survive_the_trace(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")], [answering("on the table")]) as agent:
        result = agent.ask("Where is it?", frames())
    answer = read_trace(result.trace_path).result.answer
    assert answer is not None
    assert math.isnan(answer.number)


def test_a_trace_cut_off_in_mid_line_reads_as_far_as_it_goes(tmp_path: Path) -> None:
    path = Path(one_goal(tmp_path).trace_path) / "trace.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    trace = read_trace(path)
    assert trace.result.error_code is ErrorCode.INTERNAL
    assert len(trace.result.steps) == 2


@pytest.mark.parametrize("text", ["", "not json\n{}\n", '{"v": 99, "type": "goal"}\n', '{"v": 1, "type": "goal"}\n'])
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "trace.jsonl").write_text(text)
    with pytest.raises(RecordingError):
        read_trace(tmp_path)


def test_a_trace_cannot_name_pictures_outside_of_its_folder(tmp_path: Path) -> None:
    path = Path(one_goal(tmp_path).trace_path) / "trace.jsonl"
    path.write_text(re.sub(r"pictures/\w+\.jpg", "../../../etc/passwd", path.read_text()))
    with pytest.raises(RecordingError, match="outside"):
        read_trace(path)


def test_only_the_newest_goals_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")] * 3, [answering(1.0)] * 3) as agent:
        paths = [Path(agent.ask("How far?", frames()).trace_path) for _ in range(3)]
    other = paths[0].parent / "notes"
    other.mkdir()
    remove_oldest(paths[0].parent, 2)
    assert [path.exists() for path in paths] == [False, True, True]
    assert other.exists()


def test_the_trace_of_a_goal_under_way_outlives_goals_that_begin_after_it(tmp_path: Path) -> None:
    first, second = (open_trace(TraceConfig(str(tmp_path), keep=1)) for _ in range(2))
    assert first is not None and second is not None
    assert first.folder.is_dir()
    first.close(None)
    second.close(None)
    remove_oldest(tmp_path, 1)
    assert not first.folder.exists() and second.folder.is_dir()


def test_a_folder_that_cannot_be_written_costs_the_trace_and_not_the_goal(tmp_path: Path) -> None:
    (tmp_path / "traces").write_text("a file where the folder should be")
    with agent_with(tmp_path, [cell("a")], [answering(1.0)]) as agent:
        result = agent.ask("How far?", frames())
    assert (result.ok, result.trace_path) == (True, "")


def test_a_report_is_one_page_without_anything_from_elsewhere(tmp_path: Path) -> None:
    result = one_goal(tmp_path)
    page = write_report([ReportItem(result, "1.5 m", True, "off by 0 m")], tmp_path / "out" / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "url(" not in page
    for text in (
        "How far is it, in metres?",
        "First measured",
        "1.5 m",
        "right",
        "off by 0 m",
        "evidence",
        "frames 0, 2",
    ):
        assert text in page
    assert page.count("data:image/jpeg;base64,") == 1 + 4


def test_whatever_a_model_or_a_user_wrote_is_escaped(tmp_path: Path) -> None:
    result = one_goal(tmp_path, HOSTILE)
    page = write_report([ReportItem(result, HOSTILE, False, HOSTILE)], tmp_path, title=HOSTILE).read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_a_report_of_traces_alone_shows_the_same_steps(tmp_path: Path) -> None:
    result = one_goal(tmp_path)
    page = write_report([result.trace_path, Path(result.trace_path)], tmp_path / "page.html").read_text()
    assert page.count('<section class="step') == 4


def test_a_failed_goal_is_reported_with_its_code_and_reason(tmp_path: Path) -> None:
    with agent_with(tmp_path, ["no code"] * 4, [], max_failures=2) as agent:
        result = agent.ask("How far?", frames())
    page = write_report([result], tmp_path).read_text()
    assert "BACKBONE_UNUSABLE_REPLIES" in page
    assert "Your reply has no code block" in page
    assert (tmp_path / "report.html").exists()


def test_a_result_whose_trace_is_gone_is_still_reported(tmp_path: Path) -> None:
    result = one_goal(tmp_path)
    (Path(result.trace_path) / "trace.jsonl").unlink()
    assert "1.5 m" in write_report([result], tmp_path).read_text()


def test_pictures_are_typed_by_their_bytes(tmp_path: Path) -> None:
    claimed = CellResult("ok", pictures=(ShownPicture(JPEG, 'text/html"><script>', "x"),))
    with agent_with(tmp_path, [cell("a"), cell("b")], [claimed, answering(1.0)]) as agent:
        result = agent.ask("How far?", frames())
    assert "text/html" not in write_report([result], tmp_path).read_text()
