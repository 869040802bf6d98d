"""The evaluation: ask the questions of a recording, score the answers, keep every result, print a table per family."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml
from rich.console import Console
from rich.table import Table

from spatialclaw_ros.agent.records import AnswerType, QueryResult
from spatialclaw_ros.errors import ConfigurationError
from spatialclaw_ros.evaluation.questions import Question, Truth, load_questions
from spatialclaw_ros.evaluation.rooms_recording import GENERATOR, RoomRecording, RoomSettings, make_room
from spatialclaw_ros.evaluation.score import Verdict, score, truth_text

_TYPES = {"number": AnswerType.NUMBER, "count": AnswerType.NUMBER, "choice": AnswerType.CHOICE, "text": AnswerType.TEXT}


class Asker(Protocol):
    """What is evaluated: SpatialAgent, or anything else that answers about frames."""

    def ask(self, question: str, frames: Any, **query: Any) -> QueryResult: ...


@dataclass(frozen=True)
class Outcome:
    """One question asked. recording: the folder's name."""

    recording: str
    question: Question
    result: QueryResult
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """For results.jsonl."""
        question, result, answer = self.question, self.result, self.result.answer
        return {
            "recording": self.recording,
            "id": question.id,
            "family": question.family,
            "question": question.question,
            "truth": truth_text(question.answer),
            "answer": answer.text if answer else None,
            "right": self.verdict.right,
            "detail": self.verdict.detail,
            "error_code": result.error_code.name,
            "error_message": result.error_message,
            "is_best_effort": result.is_best_effort,
            "steps": len(result.steps),
            "duration": round(result.duration, 3),
            "trace_path": result.trace_path,
        }


def answer_type(truth: Truth) -> AnswerType:
    """What a goal asks for, to be compared with this truth."""
    return _TYPES[truth.type]


def ask_all(
    agent: Asker, frames: Any, questions: Iterable[Question], recording: str, **query: Any
) -> Iterator[Outcome]:
    """Ask one question after the other; each outcome is given as soon as it is there.

    frames: what `agent.ask` takes (a Snapshot or a list of Frame). query: further fields of Query, such as time_limit.
    """
    for question in questions:
        truth = question.answer
        result = agent.ask(question.question, frames, answer_type=answer_type(truth), choices=truth.choices, **query)
        yield Outcome(recording, question, result, score(question, result))


def room(settings: RoomSettings, folder: Path) -> RoomRecording:
    """The recording of these settings, generated unless `folder` has it. Raises: ConfigurationError for another's."""
    name = f"room_{settings.seed}" + ("" if settings.noise == "none" else f"_{settings.noise}")
    kept = RoomRecording(folder / name)
    if not kept.folder.exists():
        return make_room(settings, kept.folder)
    try:
        said = yaml.safe_load(kept.truth.read_text(encoding="utf-8"))
        found = (
            said["generator"],
            said["seed"],
            said["noise"],
            said["camera"]["width"],
            len(said["camera"]["trajectory"]),
        )
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{kept.folder} is not a generated room ({error!r}); remove it, or give another --out"
        ) from error
    wanted = (GENERATOR, settings.seed, settings.noise, settings.width, settings.frames)
    if found != wanted:
        raise ConfigurationError(
            f"{kept.folder} holds another room: (generator, seed, noise, width, frames) is {found}, expected {wanted}; "
            f"remove it, or give another --out"
        )
    return kept


def questions_of(file: Path, families: Sequence[str] = (), limit: int = 0) -> list[Question]:
    """The questions of a file, of these families only, at most `limit` of each. Raises: ConfigurationError for none."""
    questions = load_questions(file)
    known = {question.family for question in questions}
    if set(families) - known:
        raise ConfigurationError(
            f"{file} has no questions of {', '.join(sorted(set(families) - known))}; it has {', '.join(sorted(known))}"
        )
    kept, taken = [], dict.fromkeys(known, 0)
    for question in questions:
        if (not families or question.family in families) and (not limit or taken[question.family] < limit):
            taken[question.family] += 1
            kept.append(question)
    if not kept:
        raise ConfigurationError(f"{file} has no questions")
    return kept


def record(outcomes: Iterable[Outcome], file: Path, watch: Callable[[Outcome], None]) -> list[Outcome]:
    """Write each outcome as a line of JSON when it comes, so that nothing is lost when the evaluation is stopped."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = []
    with file.open("w", encoding="utf-8") as lines:
        for outcome in outcomes:
            lines.write(json.dumps(outcome.as_dict(), ensure_ascii=False) + "\n")
            lines.flush()
            watch(outcome)
            kept.append(outcome)
    return kept


def accuracy(outcomes: Sequence[Outcome]) -> float:
    """Share of right answers in [0, 1]; 0 when nothing was asked."""
    return sum(outcome.verdict.right for outcome in outcomes) / len(outcomes) if outcomes else 0.0


def print_table(console: Console, outcomes: Sequence[Outcome], title: str) -> None:
    """Right answers, share, steps and time for each family and in all."""
    table = Table(title=title)
    table.add_column("family")
    for heading in ("right", "asked", "%", "steps", "s each"):
        table.add_column(heading, justify="right")
    families: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        families.setdefault(outcome.question.family or "(none)", []).append(outcome)
    for family, group in families.items():
        table.add_row(family, *_figures(group))
    table.add_section()
    table.add_row("all", *_figures(outcomes), style="bold")
    console.print(table)


def _figures(group: Sequence[Outcome]) -> tuple[str, ...]:
    count = max(len(group), 1)
    steps = sum(len(outcome.result.steps) for outcome in group) / count
    seconds = sum(outcome.result.duration for outcome in group) / count
    right = sum(outcome.verdict.right for outcome in group)
    return str(right), str(len(group)), f"{100 * accuracy(group):.1f}", f"{steps:.1f}", f"{seconds:.2f}"
