"""`spatialclaw check --sandbox`: the self-test and the quick attempts at every isolation level that works here."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.kernel.attempts.catalogue import attempts
from spatialclaw_ros.kernel.attempts.run import Row, trials
from spatialclaw_ros.kernel.attempts.table import as_table
from spatialclaw_ros.kernel.isolation import probe

TIME_LIMIT = 120.0
"""Seconds after which no further attempt is begun, on a machine that is much slower than expected."""


def check_sandbox(config: str | Path | None, console: Console) -> bool:
    """Print what every attempt came to. True where a level works and nothing got out.

    config: the file whose kernel section the self-test uses; None is the defaults. Raises: ConfigurationError.
    """
    report = probe(AgentConfig.load(config).kernel)
    for line in report.lines():
        console.print(escape(line), soft_wrap=True, highlight=False)
    levels = [entry.level for entry in report.levels if entry.works]
    if not levels:
        console.print("[bold red]no isolation level works here[/]: there is nothing to get out of")
        return False
    chosen = attempts(quick_only=True)
    rows: list[Row] = []
    end = time.monotonic() + TIME_LIMIT
    with trials(levels) as running, console.status("") as status:
        for attempt in chosen:
            if time.monotonic() > end:
                break
            status.update(f"{attempt.group}: {attempt.name}")
            rows.append(running.run(attempt))
    console.print(as_table(rows, levels, console.width))
    return _summarise(rows, len(chosen), levels, console)


def _summarise(rows: list[Row], count: int, levels: list[str], console: Console) -> bool:
    escaped = [row.attempt.name for row in rows if row.got_out]
    unknown = [row.attempt.name for row in rows if any(each.verdict == "not run" for each in row.outcomes)]
    unproven = [row.attempt.name for row in rows if row.control.verdict != "succeeded"]
    if escaped:
        console.print(f"[bold red]got out[/]: {', '.join(escaped)}; docs/security.md says how to report it")
    else:
        console.print(f"[green]nothing got out[/] in {len(rows)} attempts at {', '.join(levels)}")
    if unknown:
        console.print(f"[yellow]not run[/], so nothing is known about: {', '.join(unknown)}")
    if unproven:
        console.print(f"without a control that succeeded here: {', '.join(unproven)}")
    if len(rows) < count:
        console.print(f"[yellow]{count - len(rows)} attempts were not begun within {TIME_LIMIT:g} s[/]")
    return not escaped
