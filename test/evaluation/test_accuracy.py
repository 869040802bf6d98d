"""The rules backbone is right about a room that it was not made with, in the real sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatialclaw_ros.evaluation import run_command


@pytest.mark.process
@pytest.mark.slow
def test_rules_answer_nearly_every_question_about_an_unseen_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["rooms", "--seeds", "23", "--limit", "2", "--backbone", "rules", "--floor", "0.95"]
    assert run_command.main([*arguments, "--out", str(tmp_path)]) == 0, capsys.readouterr().out
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 20
