"""`spatialclaw ask` hands over what was asked, reads a recording as the configuration says, and its status tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spatialclaw_ros import cli
from spatialclaw_ros.agent import recording
from spatialclaw_ros.agent.records import Answer, AnswerType, Event, Listener, Query, QueryResult
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.frames.bag import CameraTopics
from spatialclaw_ros.frames.snapshot import Snapshot

CONFIG = """
cameras:
  front: {image_topic: /head/image/compressed, depth_topic: head/depth, optical_frame: head_optical}
  rear: {}
world: {fixed_frame: map, base_frame: trunk, gravity_aligned: false}
buffer: {max_depth_skew: 0.1}
"""


class StandIn:
    """An agent that answers everything with 2.5 m, or fails with `code`."""

    code = ErrorCode.NONE
    queries: list[Query] = []
    configs: list[AgentConfig] = []

    def __init__(self, config: AgentConfig) -> None:
        self.configs.append(config)

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def run(self, query: Query, snapshot: Snapshot, listener: Listener | None) -> QueryResult:
        self.queries.append(query)
        if listener is not None:
            listener(Event("execute", 1, "measure the [mug]"))
        answer = Answer("2.5 m", AnswerType.NUMBER, 2.5, unit="m") if self.code is ErrorCode.NONE else None
        return QueryResult(query, self.code, "" if answer else "it was dark", answer)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """What recordings were read with; the agent is a stand-in."""
    calls: list[tuple[Any, dict[str, Any]]] = []

    def frames_from_bag(path: Path, cameras: Any, **settings: Any) -> Snapshot:
        calls.append((cameras, settings))
        return Snapshot.from_frames([])

    monkeypatch.setattr(StandIn, "queries", [])
    monkeypatch.setattr(StandIn, "configs", [])
    monkeypatch.setattr(recording, "frames_from_bag", frames_from_bag)
    monkeypatch.setattr("spatialclaw_ros.agent.agent.SpatialAgent", StandIn)
    return calls


def test_the_configurations_cameras_world_and_skew_count_for_a_recording(
    read: list[tuple[Any, dict[str, Any]]], tmp_path: Path
) -> None:
    (tmp_path / "robot.yaml").write_text(CONFIG)
    assert cli.main(["ask", "How far?", "--bag", "drive", "--config", str(tmp_path / "robot.yaml")]) == 0
    ((cameras, settings),) = read
    assert cameras == {
        "front": CameraTopics("/head/image/compressed", "/head/depth", "", "", "head_optical"),
        "rear": CameraTopics("/rear/image", "/rear/depth", "/rear/camera_info"),
    }
    assert settings == {
        "world_frame": "map",
        "gravity_aligned": False,
        "base_frame": "trunk",
        "max_depth_skew": 0.1,
    }


def test_without_a_configuration_cameras_and_base_are_found(read: list[tuple[Any, dict[str, Any]]]) -> None:
    assert cli.main(["ask", "How far?", "--bag", "drive"]) == 0
    assert not read[0][0]
    assert read[0][1]["base_frame"] == ""


def test_the_options_become_the_query_and_the_backbone(read: list[Any]) -> None:
    arguments = ["--choice", "left", "--choice", "right", "--max-steps", "5", "--time-limit", "9", "--backbone"]
    model = ["openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "m"]
    assert cli.main(["ask", "Which side?", "--bag", "drive", *arguments, *model]) == 0
    (query,) = StandIn.queries
    assert (query.answer_type, query.choices) == (AnswerType.CHOICE, ("left", "right"))
    assert (query.max_steps, query.time_limit) == (5, 9.0)
    assert (StandIn.configs[0].backbone.name, StandIn.configs[0].backbone.model) == ("openai", "m")


def test_a_goal_that_failed_is_status_1_and_says_why(
    read: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(StandIn, "code", ErrorCode.NO_ANSWER)
    assert cli.main(["ask", "How far?", "--bag", "drive"]) == 1
    assert "NO_ANSWER: it was dark" in capsys.readouterr().out


def test_the_view_shows_steps_as_they_are(read: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["ask", "How far?", "--bag", "drive"])
    out = capsys.readouterr().out
    assert "measure the [mug]" in out
    assert "2.5 m" in out


def test_json_holds_only_numbers_that_are_known(read: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ask", "How far?", "--bag", "drive", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["answer"]["number"] == 2.5
    assert said["answer"]["number_stddev"] is None
    assert said["error_code"] == "NONE"


def test_a_recording_that_is_not_there_is_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ask", "How far?", "--bag", str(tmp_path / "nothing")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("BAD_RECORDING: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ask"],
        ["ask", "How far?", "--bag", "drive", "--live"],
        ["ask", "How far?", "--type", "colour"],
        ["ask", "How far?", "--live", "--backbone", "rules"],
        ["ask", "How far?", "--config", "robot.yaml"],
    ],
)
def test_wrong_use_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: spatialclaw" in capsys.readouterr().err
