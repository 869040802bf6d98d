"""`spatialclaw check --sandbox`: a table of attempts by level, and a status that tells whether anything got out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from rich.console import Console

from spatialclaw_ros import check_sandbox, cli
from spatialclaw_ros.kernel.attempts.attempt import Attempt
from spatialclaw_ros.kernel.attempts.catalogue import attempts
from spatialclaw_ros.kernel.attempts.run import Control, Outcome, Row, Verdict
from spatialclaw_ros.kernel.isolation import IsolationReport, LevelReport, probe

FIRST, SECOND = attempts(quick_only=True)[:2]


def row(attempt: Attempt, *verdicts: Verdict) -> Row:
    outcomes = [
        Outcome(attempt, level, verdict, f"{verdict} at {level}")
        for level, verdict in zip(("bwrap", "landlock"), verdicts, strict=True)
    ]
    return Row(attempt, tuple(outcomes), Control(attempt, "succeeded", "read it"))


def checked(monkeypatch: pytest.MonkeyPatch, rows: list[Row], works: bool = True) -> tuple[bool, str]:
    """What is said about trials that came to `rows`."""
    found = {each.attempt.name: each for each in rows}
    levels = tuple(
        LevelReport(level, works, {"files": ""}, "" if works else "not here") for level in ("bwrap", "landlock")
    )

    @contextmanager
    def made(levels: list[str]) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(run=lambda attempt: found[attempt.name])

    monkeypatch.setattr(check_sandbox, "probe", lambda config: IsolationReport("bwrap" if works else "", levels))
    monkeypatch.setattr(check_sandbox, "attempts", lambda quick_only: [each.attempt for each in rows])
    monkeypatch.setattr(check_sandbox, "trials", made)
    console = Console(record=True, width=160)
    right = check_sandbox.check_sandbox(None, console)
    return right, console.export_text()


def test_attempts_that_all_held_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    right, said = checked(monkeypatch, [row(FIRST, "held", "held"), row(SECOND, "held", "held")])
    assert right and "nothing got out in 2 attempts at bwrap, landlock" in said
    assert FIRST.name in said and FIRST.tries in said


def test_one_attempt_that_got_out_is_wrong_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    right, said = checked(monkeypatch, [row(FIRST, "held", "held"), row(SECOND, "held", "got out")])
    assert not right and f"got out: {SECOND.name};" in said and "got out at landlock" in said


def test_an_attempt_that_was_not_run_does_not_pass_for_one_that_held(monkeypatch: pytest.MonkeyPatch) -> None:
    _, said = checked(monkeypatch, [row(FIRST, "held", "not run")])
    assert f"nothing is known about: {FIRST.name}" in said


def test_no_level_that_works_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right, said = checked(monkeypatch, [], works=False)
    assert not right and "no isolation level works here" in said


@pytest.mark.parametrize(("right", "status"), [(True, 0), (False, 1)])
def test_status_tells_whether_something_got_out(right: bool, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_sandbox, "check_sandbox", lambda config, console: right)
    assert cli.main(["check", "--sandbox"]) == status


@pytest.mark.process
def test_one_real_attempt_is_tabled(monkeypatch: pytest.MonkeyPatch) -> None:
    report = probe()
    if not report.level:
        pytest.skip("no isolation level works on this machine")
    monkeypatch.setattr(check_sandbox, "attempts", lambda quick_only: [FIRST])
    console = Console(record=True, width=160)
    assert check_sandbox.check_sandbox(None, console)
    (line,) = [line for line in console.export_text().splitlines() if FIRST.name in line]
    assert line.count("held") == sum(level.works for level in report.levels) and "succeeded" in line
