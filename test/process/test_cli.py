"""The command line with a real kernel, and against a node that is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluation.made_room import SMALL

from spatialclaw_ros import cli
from spatialclaw_ros.evaluation.rooms_recording import RoomSettings, make_room

pytestmark = pytest.mark.process


def test_a_recording_is_asked_in_the_sandbox_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = make_room(RoomSettings(7, **SMALL), tmp_path / "room_7")
    question = "How long is the path that the camera travelled, in metres?"
    report = tmp_path / "report.html"
    arguments = ["ask", question, "--bag", str(room.folder), "--type", "number", "--json", "--report", str(report)]
    assert cli.main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["answer"]["unit"] == "m" and said["answer"]["number"] > 0
    assert said["sandbox_level"] in ("bwrap", "landlock")
    assert question in report.read_text(encoding="utf-8")


@pytest.mark.ros
def test_a_node_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ask", "How far?", "--live", "--node", "/nobody", "--wait", "0.2"]) == 1
    assert "NOT_ACTIVE: no action server /nobody/query" in capsys.readouterr().err
