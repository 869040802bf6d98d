"""A live view of a goal in the terminal: stage, step and purpose as they happen; plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from spatialclaw_ros.agent.records import Event, QueryResult

_STAGES = ("plan", "generate", "execute", "observe", "decide")


class LiveView:
    """A listener for one goal's events. Use as a context manager around the goal.

    In a terminal it redraws one row per step; elsewhere (a pipe, a log) it prints a line when a stage brings news.
    """

    def __init__(self, console: Console, question: str) -> None:
        self._console = console
        self._question = question
        self._rows: list[tuple[int, str, str]] = []
        self._started = time.monotonic()
        self._live = Live(console=console, refresh_per_second=8, transient=False) if console.is_terminal else None

    def __enter__(self) -> LiveView:
        if self._live is None:
            self._console.print(f"[bold]{escape(self._question)}[/]")
        else:
            self._live.start()
            self._draw(done=False)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._live is not None:
            self._draw(done=True)
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take one event; called from whichever thread runs the goal."""
        news = event.purpose or event.detail
        if self._rows and self._rows[-1][0] == event.step:
            news = self._rows[-1][2] if event.stage == "decide" else news or self._rows[-1][2]
            self._rows[-1] = (event.step, event.stage, news)
        else:
            self._rows.append((event.step, event.stage, news))
        if self._live is not None:
            self._draw(done=False)
            return
        line = event.detail if event.stage == "decide" else news
        if event.stage in ("plan", "execute", "decide") and line:
            self._console.print(
                escape(f"  {_step_name(event.step)} {event.stage:<8} {_one_line(line)}"), soft_wrap=True
            )

    def _draw(self, done: bool) -> None:
        assert self._live is not None
        table = Table.grid(padding=(0, 2))
        for step, stage, purpose in self._rows:
            table.add_row(Text(_step_name(step), style="dim"), _progress(stage), Text(_one_line(purpose)))
        seconds = f"{time.monotonic() - self._started:.1f} s"
        head = Text(self._question, style="bold") if done else Spinner("dots", text=Text(self._question, style="bold"))
        self._live.update(Group(head, table, Text(seconds, style="dim")))


def print_result(console: Console, result: QueryResult) -> None:
    """Print an answer (or why there is none) in a few lines."""
    if result.answer is not None:
        mark = " (best effort)" if result.is_best_effort else ""
        console.print(f"[bold green]{escape(result.answer.text)}[/]{mark}")
        if result.answer.number_stddev >= 0:
            console.print(f"  standard deviation {result.answer.number_stddev:.3g} {escape(result.answer.unit)}")
        if result.answer.point is not None:
            x, y, z = result.answer.point
            console.print(f"  at ({x:.3f}, {y:.3f}, {z:.3f}) m in {escape(result.answer.frame)}")
    if not result.ok:
        console.print(f"[bold red]{result.error_code.name}[/]: {escape(result.error_message)}")
    for note in result.notes:
        console.print(f"  note: {escape(note)}", style="yellow")
    isolation = result.sandbox_level or "no kernel was used"
    console.print(
        f"  {len(result.steps)} steps, {result.duration:.1f} s, isolation: {isolation}"
        + (f", trace: {escape(result.trace_path)}" if result.trace_path else ""),
        style="dim",
    )


def _progress(stage: str) -> Text:
    text = Text()
    for name in _STAGES:
        text.append(name + " ", style="bold cyan" if name == stage else "dim")
    return text


def _step_name(step: int) -> str:
    return "plan  " if step <= 0 else f"step {step}"


def _one_line(text: str, most: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
