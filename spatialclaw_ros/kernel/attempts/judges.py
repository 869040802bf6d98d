"""Judges of a trial: each answers "" where the boundary held, else says in a sentence what got out.

The decoys are looked at by whoever runs the trial; a judge adds what the kernel's own words and messages show.
"""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatialclaw_ros.kernel.attempts.trial import Trial
    from spatialclaw_ros.kernel.cell import CellResult

FORGED = "forged by an attempt"
"""Stands in every forged message."""

MOST_TEXT_BYTES = 64 << 10
MOST_PICTURES = 16
MOST_PICTURE_SIDE = 8192
MOST_RESULT_BYTES = 8 << 20
"""Beyond these, a result is larger than its limits say; the first two are the defaults of kernel.max_output_bytes and
kernel.max_pictures, which the trials use."""
SLACK_BYTES = 1 << 10
"""The line about what was left out."""
LATE_SECONDS = 0.6
MOST_REQUESTS_PER_SECOND = 25
"""Twice the rate of `run.LIMITS`, since that many are let through at once, and some time for the last."""


def nothing_said(trial: Trial) -> str:
    """For what only the decoys can tell."""
    return ""


def returned(trial: Trial) -> str:
    return trial.said("got")


def told_secret(trial: Trial) -> str:
    return "read the decoy's secret" if trial.secret in trial.text else ""


def told_mark(trial: Trial) -> str:
    return "saw the decoy" if trial.mark in trial.text else ""


def too_much_text(trial: Trial) -> str:
    if trial.kept > MOST_TEXT_BYTES + SLACK_BYTES:
        return f"the host kept {trial.kept} bytes of text, expected {MOST_TEXT_BYTES}"
    return ""


def unsound(trial: Trial) -> str:
    """Whether the result of the cell is more than its limits allow, or something that its readers cannot take."""
    result = trial.result
    if result is None:
        return "no result came"
    if too_much := too_much_text(trial):
        return too_much
    if len(result.pictures) > MOST_PICTURES:
        return f"the host kept {len(result.pictures)} pictures"
    if any(max(picture.width, picture.height) > MOST_PICTURE_SIDE for picture in result.pictures):
        return "the host kept a picture larger than its limit"
    return _unwritable(result)


def _unwritable(result: CellResult) -> str:
    try:
        plain = dataclasses.asdict(dataclasses.replace(result, pictures=()))
        plain["labels"] = [picture.label for picture in result.pictures]
        size = len(json.dumps(plain, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, TypeError, RecursionError) as error:
        return f"the result cannot be written as JSON in UTF-8: {type(error).__name__}: {error}"
    return f"the result has {size} bytes" if size > MOST_RESULT_BYTES else ""


def disturbed(trial: Trial) -> str:
    """As `unsound`, and whether the same kernel's next cell, or another session's, shows anything of this one."""
    if problem := unsound(trial):
        return problem
    assert trial.session is not None
    if trial.session.alive and (problem := _not_its_own(trial.session.execute("print('next')", 20.0))):
        return f"the next cell came back with {problem}"
    if trial.bystander is None:
        return ""
    problem = _not_its_own(trial.bystander().execute("print('next')", 20.0))
    return f"another session's cell came back with {problem}" if problem else ""


def _not_its_own(result: CellResult) -> str:
    if result.status != "ok" or result.stdout != "next\n":
        return f"status {result.status} and the text {result.stdout[:100]!r}"
    return "a forged answer" if result.answer is not None else "forged pictures" if result.pictures else ""


def served_late(trial: Trial) -> str:
    """Whether the broker served a request after the cell had ended, within the time that the probe goes on asking."""
    time.sleep(LATE_SECONDS)  # nothing tells that no request will come
    late = [moment for moment in trial.served if moment > trial.ended]
    return f"{len(late)} requests were served after the cell's end" if late else ""


def served_too_often(trial: Trial) -> str:
    """For a second of asking."""
    most = MOST_REQUESTS_PER_SECOND
    return f"{len(trial.served)} requests were served in a second" if len(trial.served) > most else ""


def came_through(trial: Trial) -> str:
    """For a control: the forged messages did reach the host."""
    forged = sum(FORGED in repr(message) for message in trial.arrived)
    if forged or trial.malformed:
        return f"{forged} forged and {trial.malformed} malformed messages reached the host"
    return ""


def was_served(trial: Trial) -> str:
    return f"{len(trial.served)} requests were served" if trial.served else ""
