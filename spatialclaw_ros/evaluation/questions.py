"""Questions with exact truth: the record, its YAML file, and the making of all families for one room."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from spatialclaw_ros.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np

    from spatialclaw_ros.evaluation.questions_scene import Scene

FAMILIES = (
    "distance",
    "camera_distance",
    "left_right",
    "front_behind",
    "egocentric",
    "count",
    "nearer",
    "size",
    "camera_path",
    "height",
)
AnswerKind = Literal["number", "choice", "count", "text"]

_HEADER = """\
# Questions about {bag} with their exact answers. World frame odom, z up, floor at z = 0.
# Frame k is the k-th colour picture, from 0.
# A centre is that of the object's own upright box; "nearest surfaces" means the smallest gap.
# tolerance: +- in the answer's unit.
# family: one of {families}.
"""


@dataclass(frozen=True)
class Truth:
    """type: number (value +- tolerance in unit), count (a whole number), choice (one of choices) or text."""

    type: AnswerKind
    value: float | int | str
    unit: str = ""
    tolerance: float = 0.0
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """id: unique in its file; family: one of FAMILIES, or ""; about: the names of the things asked about."""

    id: str
    family: str
    question: str
    answer: Truth
    about: tuple[str, ...] = field(default_factory=tuple)


def make_questions(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Questions over all families, each with a clear margin and answerable from what the recording shows."""
    from spatialclaw_ros.evaluation.questions_families import MAKERS

    return [
        Question(f"{family}_{number}", family, draft.question, draft.answer, draft.about)
        for family in FAMILIES
        for number, draft in enumerate(MAKERS[family](scene, rng), start=1)
    ]


def save_questions(questions: list[Question], bag: str, file: Path) -> None:
    """Write a questions file; `bag` is the recording's name."""
    content = {"bag": bag, "questions": [_as_dict(question) for question in questions]}
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=140, allow_unicode=True)
    file.write_text(_HEADER.format(bag=bag, families=", ".join(FAMILIES)) + text, encoding="utf-8")


def load_questions(file: Path) -> list[Question]:
    """Read a questions file, a hand-written one too. Raises: ConfigurationError naming the entry that is wrong."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{file} is not a readable questions file: {error}") from error
    entries = content.get("questions") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ConfigurationError(
            f"{file} has no list 'questions'; expected {{questions: [{{id, question, answer: ...}}, ...]}}"
        )
    return [_from_dict(entry, f"{file}, question {number}") for number, entry in enumerate(entries, start=1)]


def _as_dict(question: Question) -> dict[str, Any]:
    truth = question.answer
    answer: dict[str, Any] = {"type": truth.type, "value": truth.value}
    if truth.type == "number":
        answer |= {"unit": truth.unit, "tolerance": truth.tolerance}
    if truth.choices:
        answer["choices"] = list(truth.choices)
    return {
        "id": question.id,
        "family": question.family,
        "question": question.question,
        "answer": answer,
        "about": list(question.about),
    }


def _from_dict(entry: Any, where: str) -> Question:
    if (
        not isinstance(entry, dict)
        or not {"id", "question", "answer"} <= entry.keys()
        or not isinstance(entry["answer"], dict)
    ):
        raise ConfigurationError(f"{where}: expected a map with id, question and answer; got {entry!r:.120}")
    answer = entry["answer"]
    kind, value = answer.get("type"), answer.get("value")
    if kind not in ("number", "choice", "count", "text") or value is None:
        raise ConfigurationError(
            f"{where}: answer has type {kind!r} and value {value!r}; expected number, choice, count or text and a value"
        )
    if kind in ("number", "count") and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise ConfigurationError(f"{where}: the value of a {kind} is {value!r}; expected a number")
    choices = tuple(str(choice) for choice in answer.get("choices", ()))
    if kind == "choice" and str(value) not in choices:
        raise ConfigurationError(f"{where}: value {value!r} is not among the choices {list(choices)}")
    truth = Truth(kind, value, str(answer.get("unit", "")), float(answer.get("tolerance", 0.0)), choices)
    return Question(
        str(entry["id"]), str(entry.get("family", "")), str(entry["question"]), truth, tuple(entry.get("about", ()))
    )
