"""The demo as a user runs it: one command, three right answers over the action, a report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.process
@pytest.mark.ros
@pytest.mark.slow
def test_the_demo_ends_with_three_right_answers_and_a_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spatialclaw_ros.cli", "demo", "--out", str(tmp_path)]
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=160.0
    )
    assert ended.returncode == 0, ended.stdout + (tmp_path / "agent_node.log").read_text(errors="replace")[-4000:]
    assert "wrong" not in ended.stdout
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
