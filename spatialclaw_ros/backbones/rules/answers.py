"""The last cell: what to submit, in the unit and with the words that were asked for."""

from __future__ import annotations

import re

from spatialclaw_ros.backbones.rules.cell import Cell, code, english
from spatialclaw_ros.backbones.rules.conversation import Observation, Task
from spatialclaw_ros.backbones.rules.question import Question
from spatialclaw_ros.backbones.rules.words import UNITS, plural

FACTORS = dict(UNITS.values())
"""Unit → how many of them make a metre."""

_SYNONYMS = {
    "left": r"\bleft\b",
    "right": r"\bright\b",
    "front": r"\b(?:front|ahead|before|nearer|closer)\b",
    "behind": r"\b(?:behind|back|farther|further)\b",
}
_YES, _NO = re.compile(r"^\W*(?:yes|true)\b", re.IGNORECASE), re.compile(r"^\W*(?:no|false)\b", re.IGNORECASE)


def answer_number(
    question: Question,
    task: Task,
    value: str,
    checked: Observation,
    names: tuple[str, ...],
    boxes: tuple[str, ...],
    frame: str = "",
) -> Cell:
    """Submit a length with its spread, the things' boxes and the frames it rests on."""
    evidence = f"sorted({{fi for name in {list(names)} for fi in views[name]}})[:8]"
    if frame:
        evidence = f"sorted({{{frame}.frame_index, *{evidence}}})"
    factor = FACTORS[question.unit]
    spread = checked.spread()
    return Cell(
        f"answer in {question.unit}",
        f"The check differs by {spread:.3f} m, which is the stated uncertainty."
        if spread is not None
        else "The check agrees.",
        "done",
        code(
            "answer_number",
            comment=f"The distance, size or height asked for, in {question.unit}, with the spread of its check.",
            value=value,
            spread="max(spread, 0.005)",
            whole=False,
            factor_said="" if factor == 1 else f" * {factor:.6g}",
            unit=question.unit,
            confidence="round(float(np.clip(0.97 - 2 * spread / max(value, 0.2), 0.3, 0.97)), 2)",
            boxes=list(boxes) if task.session.get("gravity_aligned", True) else [],
            evidence=evidence,
        ),
    )


def answer_path(question: Question) -> Cell:
    """Submit the camera's path length or displacement."""
    factor = FACTORS[question.unit]
    return Cell(
        f"answer in {question.unit}",
        "The poses of the frames give the value; the recorded trajectory of the robot agrees within the stated spread.",
        "done",
        code(
            "answer_number",
            comment=f"The camera's {question.measure} in {question.unit}.",
            value="value",
            spread="spread",
            whole=False,
            factor_said="" if factor == 1 else f" * {factor:.6g}",
            unit=question.unit,
            confidence="0.95 if len(posed) == len(InputImages) else 0.7",
            boxes=[],
            evidence="[posed[0].frame_index, posed[-1].frame_index]",
        ),
    )


def answer_count(question: Question, number: int | None) -> Cell:
    """Submit a count; `number` where it is known without measuring (nothing was seen)."""
    if number is not None:
        reasoning = f"No frame shows a {question.names[0]}."
        confidence, evidence, value = "0.7", "looked[:8]", str(number)
    else:
        reasoning = "Every place was seen in two frames or more."
        confidence, evidence, value = "0.95 if agrees else 0.6", "sorted(seen[name])[:8]", "number"
    return Cell(
        f"answer how many {plural(question.names[0])} there are",
        reasoning,
        "done",
        code(
            "answer_number",
            comment=f"The number of different things called {question.names[0]}.",
            value=value,
            spread="0",
            whole=True,
            factor_said="",
            unit="",
            confidence=confidence,
            boxes=[],
            evidence=evidence,
        ),
    )


def answer_choice(question: Question, task: Task, checked: Observation, evidence: str) -> Cell:
    """Submit the word, the thing or yes/no that was asked for, as the choices spell it."""
    words = _words(question, task.choices)
    asserted = question.asserted if question.asserted and not question.as_thing else None
    if asserted is not None and not _is_yes_or_no(task):
        asserted = None
    yes, no = _yes_and_no(task)
    last = checked.stdout.splitlines()[-1] if checked.stdout else "the comparison above"
    return Cell(
        "answer with the word that was asked for",
        f"Seen: {last[:200]}.",
        "done",
        code(
            "answer_choice",
            comment=f"What was found about {english([name for name in question.names if name])}, as it was asked.",
            asserted=asserted,
            truth=yes,
            falsehood=no,
            words=words,
            evidence=evidence,
        ),
    )


def _words(question: Question, choices: tuple[str, ...]) -> dict[str, str]:
    """What may be found → how to say it: a listed choice where one fits, else plain words."""
    if question.family == "nearer":
        return {name: choice_for_name(name, choices) for name in question.names[1:]}
    plain = {"front": "in front", "behind": "behind", "left": "left", "right": "right"}
    if question.as_thing:  # which of the two is farther left: the first, where it was found there, else the second
        first, second = question.names
        other = {"left": "right", "right": "left", "front": "behind", "behind": "front"}[question.asserted]
        return {question.asserted: choice_for_name(first, choices), other: choice_for_name(second, choices)}
    return {option: _choice_for_word(option, choices) or plain[option] for option in question.options}


def choice_for_name(name: str, choices: tuple[str, ...]) -> str:
    """The choice that shares most words with a thing's name; the name itself without one."""
    wanted = set(name.split())
    shared = {choice: len(wanted & set(re.findall(r"[a-z-]+", choice.lower()))) for choice in choices}
    best = max(shared, key=lambda choice: shared[choice], default="")
    return best if best and shared[best] else name


def _choice_for_word(option: str, choices: tuple[str, ...]) -> str:
    return next((choice for choice in choices if re.search(_SYNONYMS[option], choice, re.IGNORECASE)), "")


def _is_yes_or_no(task: Task) -> bool:
    """Whether the answer is to be yes or no; a listed choice of words or a text answer may want the word itself."""
    if task.choices:
        return any(_YES.match(choice) for choice in task.choices)
    return task.answer_type in ("boolean", "any", "text", "choice")


def _yes_and_no(task: Task) -> tuple[str, str]:
    """Python literals for yes and no: booleans, or the listed choices that mean them."""
    yes = next((choice for choice in task.choices if _YES.match(choice)), None)
    no = next((choice for choice in task.choices if _NO.match(choice)), None)
    if yes is not None and no is not None:
        return repr(yes), repr(no)
    return ("'yes'", "'no'") if task.answer_type == "text" else ("True", "False")
