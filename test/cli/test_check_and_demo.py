"""`spatialclaw check` and the verdicts of `spatialclaw demo`: the status tells, and what failed is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from spatialclaw_ros import check, cli
from spatialclaw_ros.agent.records import Answer, AnswerType, Query, QueryResult
from spatialclaw_ros.check import Check
from spatialclaw_ros.errors import ErrorCode, SpatialClawError
from spatialclaw_ros.evaluation.questions import Question, Truth
from spatialclaw_ros.evaluation.score import score

demo = pytest.importorskip("spatialclaw_ros.demo", reason="ROS 2 is not installed")


@pytest.mark.parametrize(("ok", "status"), [(True, 0), (False, 1)])
def test_check_ends_with_what_was_found(ok: bool, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "run_checks", lambda _config: [Check("bwrap", ok, "looked", "" if ok else "install it")])
    assert cli.main(["check"]) == status


def asked(text: str, truth: float, number: float | None) -> demo.Asked:
    question = Question("q", "distance", text, Truth("number", truth, "m", 0.1))
    answer = None if number is None else Answer(f"{number} m", AnswerType.NUMBER, number, unit="m")
    result = QueryResult(Query(text), ErrorCode.NONE if answer else ErrorCode.NO_ANSWER, answer=answer)
    return demo.Asked(question, result, score(question, result))


def verdicts(*questions: demo.Asked) -> tuple[int, str]:
    console = Console(record=True, width=120)
    status = demo._print_verdicts(questions, Path("report.html"), console)
    return status, console.export_text()


def test_right_answers_are_status_0() -> None:
    status, said = verdicts(asked("How far?", 1.0, 1.05))
    assert status == 0
    assert "right" in said and "wrong" not in said


@pytest.mark.parametrize("number", [3.0, None])
def test_one_wrong_answer_is_status_1_and_named(number: float | None) -> None:
    status, said = verdicts(asked("How far?", 1.0, 1.0), asked("How [wide]?", 1.0, number))
    assert status == 1
    assert "wrong: How [wide]?" in said and "wrong: How far?" not in said


@pytest.mark.process
def test_a_failure_beside_the_node_names_its_log_and_keeps_its_code(tmp_path: Path) -> None:
    class Unreachable(SpatialClawError):
        code = ErrorCode.NOT_ACTIVE

    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    process.wait(10.0)
    node = demo.AgentNode(process, tmp_path / "agent_node.log")
    with pytest.raises(Unreachable) as caught, node.blamed():
        raise Unreachable("no server answers")
    said = f"the agent node ended with exit code 3; no server answers; see {tmp_path / 'agent_node.log'}"
    assert str(caught.value) == said


@pytest.mark.process
def test_a_replay_that_fails_names_its_log(tmp_path: Path) -> None:
    recording = demo.RoomRecording(tmp_path / "nothing")
    with pytest.raises(SpatialClawError, match=rf"exit code \d+; see {tmp_path / 'replay.log'}"):
        demo._replay(recording, tmp_path, Console(quiet=True))
    assert (tmp_path / "replay.log").read_text()
