"""The evaluation asks every question with its answer type, keeps every result, and its exit status tells the floor."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from evaluation.made_room import MadeRoom
from rich.console import Console

from spatialclaw_ros.agent.records import Answer, AnswerType, Query, QueryResult
from spatialclaw_ros.errors import ConfigurationError, ErrorCode
from spatialclaw_ros.evaluation import run, run_command
from spatialclaw_ros.evaluation.questions import Question, Truth, save_questions
from spatialclaw_ros.evaluation.rooms_recording import RoomSettings

QUESTIONS = [
    Question("d1", "distance", "How far is it?", Truth("number", 1.0, "m", 0.1)),
    Question("c1", "count", "How many?", Truth("count", 2)),
    Question("s1", "left_right", "Which side?", Truth("choice", "left", choices=("left", "right"))),
]


class Oracle:
    """Answers from a table; a question that it does not know fails."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[Query] = []

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def ask(self, question: str, frames: Any, **query: Any) -> QueryResult:
        self.asked.append(Query(question, **query))
        answer = self.answers.get(question)
        code = ErrorCode.NONE if answer else ErrorCode.QUESTION_NOT_UNDERSTOOD
        return QueryResult(self.asked[-1], code, answer=answer, duration=0.5)


GOOD = {
    "How far is it?": Answer("1.05 m", AnswerType.NUMBER, number=1.05, unit="m"),
    "How many?": Answer("2", AnswerType.NUMBER, number=2.0),
    "Which side?": Answer("left", AnswerType.CHOICE, choice_index=0),
}


def test_goals_carry_the_answer_type_and_the_choices() -> None:
    oracle = Oracle(GOOD)
    outcomes = list(run.ask_all(oracle, None, QUESTIONS, "room", time_limit=9.0))
    assert run.accuracy(outcomes) == 1.0
    assert [query.answer_type for query in oracle.asked] == [AnswerType.NUMBER, AnswerType.NUMBER, AnswerType.CHOICE]
    assert oracle.asked[2].choices == ("left", "right")
    assert all(query.time_limit == 9.0 for query in oracle.asked)


def test_every_outcome_is_kept_even_when_stopped_midway(tmp_path: Path) -> None:
    def stop_at_second(outcome: run.Outcome) -> None:
        if outcome.question.id == "c1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.record(run.ask_all(Oracle({}), None, QUESTIONS, "room"), tmp_path / "r.jsonl", stop_at_second)
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["d1", "c1"]
    assert lines[0]["right"] is False
    assert lines[0]["error_code"] == "QUESTION_NOT_UNDERSTOOD"


def test_table_counts_right_answers_per_family() -> None:
    console = Console(record=True, width=100)
    answers = {key: value for key, value in GOOD.items() if key != "How many?"}
    run.print_table(console, list(run.ask_all(Oracle(answers), None, QUESTIONS, "room")), "title")
    rows = {line.split()[1]: line.split() for line in console.export_text().splitlines() if line.startswith("│")}
    assert [rows[family][3] for family in ("distance", "count", "left_right", "all")] == ["1", "0", "1", "2"]
    assert rows["all"][7] == "66.7"


def test_no_questions_asked_is_not_full_marks() -> None:
    assert run.accuracy([]) == 0.0


def test_families_and_limit_choose_questions(tmp_path: Path) -> None:
    save_questions([*QUESTIONS, Question("c2", "count", "And now?", Truth("count", 1))], "room", tmp_path / "q.yaml")
    assert [question.id for question in run.questions_of(tmp_path / "q.yaml", ["count"], 1)] == ["c1"]
    with pytest.raises(ConfigurationError, match="no questions of colour"):
        run.questions_of(tmp_path / "q.yaml", ["colour"])


def test_a_kept_room_is_used_again_and_another_is_not(small_room: MadeRoom) -> None:
    folder = small_room.recording.folder.parent
    before = small_room.recording.truth.stat().st_mtime_ns
    assert run.room(small_room.settings, folder).folder == small_room.recording.folder
    assert small_room.recording.truth.stat().st_mtime_ns == before
    with pytest.raises(ConfigurationError, match="another room"):
        run.room(RoomSettings(7), folder)


def test_a_folder_that_is_no_room_is_named(tmp_path: Path) -> None:
    (tmp_path / "room_3").mkdir()
    with pytest.raises(ConfigurationError, match="not a generated room"):
        run.room(RoomSettings(3), tmp_path)


@pytest.mark.parametrize(("text", "seeds"), [("0:3", [0, 1, 2]), ("4", [4]), ("7,1", [7, 1])])
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    assert run_command.seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3:3", "-1", "0:9999999999", "1:2:3"])
def test_wrong_seeds_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        run_command.seeds_of(text)


@pytest.mark.parametrize(("floor", "status"), [("0.6", 0), ("0.7", 1)])
def test_exit_status_tells_whether_the_floor_was_reached(
    small_room: MadeRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, floor: str, status: int
) -> None:
    save_questions(QUESTIONS, "room_7", tmp_path / "q.yaml")
    two_of_three = Oracle({key: value for key, value in GOOD.items() if key != "How many?"})
    monkeypatch.setattr(run_command, "_agent", lambda _options: two_of_three)
    arguments = ["recording", str(small_room.recording.folder), "--questions", str(tmp_path / "q.yaml")]
    assert run_command.main([*arguments, "--out", str(tmp_path / "out"), "--floor", floor]) == status
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 3


def test_a_bag_that_is_not_there_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_questions(QUESTIONS, "nowhere", tmp_path / "q.yaml")
    monkeypatch.setattr(run_command, "_agent", lambda _options: Oracle(GOOD))
    arguments = ["recording", str(tmp_path / "nowhere"), "--questions", str(tmp_path / "q.yaml")]
    assert run_command.main([*arguments, "--out", str(tmp_path)]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_stopped_evaluation_says_where_its_results_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command.run, "record", interrupted)
    assert run_command.main(["rooms", "--out", str(tmp_path)]) == 130
    assert "results.jsonl" in capsys.readouterr().err
