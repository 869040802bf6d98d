"""The live view: a line per step in a pipe, a row per step in a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from spatialclaw_ros.agent.records import Event
from spatialclaw_ros.live import LiveView

EVENTS = (
    Event("plan", 0, detail="measure [both]"),
    Event("generate", 1),
    Event("execute", 1, "find the mugs", code="..."),
    Event("observe", 1, "find the mugs", output="two"),
    Event("decide", 1, "find the mugs", detail="answer accepted: 0.5 m"),
)


def shown(**console: object) -> str:
    out = io.StringIO()
    with LiveView(Console(file=out, width=100, **console), "How far?") as view:  # type: ignore[arg-type]
        for event in EVENTS:
            view(event)
    return out.getvalue()


def test_a_pipe_gets_a_line_per_piece_of_news() -> None:
    assert shown().splitlines() == [
        "How far?",
        "  plan   plan     measure [both]",
        "  step 1 execute  find the mugs",
        "  step 1 decide   answer accepted: 0.5 m",
    ]


def test_a_terminal_keeps_the_purpose_of_each_step() -> None:
    last = shown(force_terminal=True, color_system=None).rsplit("How far?", 1)[1]
    assert "find the mugs" in last
    assert "measure [both]" in last
    assert "answer accepted" not in last
