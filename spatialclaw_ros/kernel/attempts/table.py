"""The table of attempts and their outcome: for a terminal, and for docs/security.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.markup import escape
from rich.table import Column, Table

from spatialclaw_ros.kernel.attempts.run import Row

WIDE = 110
COLOURS = {"held": "green", "got out": "bold red", "not run": "yellow"}


def as_table(rows: Iterable[Row], levels: Sequence[str], width: int) -> Table:
    """A row for each attempt, a column for each level; what got out is said below its verdict.

    width: of the terminal, characters; a narrow one has no column for what is tried.
    """
    columns: list[Column | str] = [Column("attempt", no_wrap=True), *levels, "control"]
    wide = width >= WIDE
    if wide:
        columns.insert(1, "what it tries")
    table = Table(*columns, title="attempts to leave the sandbox")
    for row in rows:
        cells = []
        for outcome in row.outcomes:
            detail = "" if outcome.verdict == "held" else f"\n{escape(outcome.detail[:200])}"
            cells.append(f"[{COLOURS[outcome.verdict]}]{outcome.verdict}[/]{detail}")
        control: str = row.control.verdict
        if control == "failed":
            control = f"[yellow]failed[/]\n{escape(row.control.detail[:200])}"
        tries = [escape(row.attempt.tries)] if wide else []
        table.add_row(row.attempt.name, *tries, *cells, control)
    return table


def as_markdown(rows: Iterable[Row], levels: Sequence[str]) -> str:
    """A heading and a table for each group."""
    lines: list[str] = []
    group = ""
    for row in rows:
        if row.attempt.group != group:
            group = row.attempt.group
            columns = ["attempt", "what it tries", *levels, "control"]
            lines += ["", f"### {group[0].upper()}{group[1:]}", "", _line(columns), _line(["---"] * len(columns))]
        verdicts = [f"**{each.verdict}**" if each.verdict != "held" else "held" for each in row.outcomes]
        lines.append(_line([f"`{row.attempt.name}`", row.attempt.tries, *verdicts, row.control.verdict]))
    return "\n".join(lines).strip() + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
