"""Scoring: whether an answer is right, by the question's tolerance, and in one line why."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from spatialclaw_ros.agent.records import Answer, QueryResult
from spatialclaw_ros.agent.units import conversion, unit_name
from spatialclaw_ros.evaluation.questions import Question, Truth

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_SLACK = 1e-9
"""Rounding of a value that lies on the edge of its tolerance."""


@dataclass(frozen=True)
class Verdict:
    """right: within tolerance, or the right choice, count or words. detail: answer against truth, for a person."""

    right: bool
    detail: str


def score(question: Question, result: QueryResult) -> Verdict:
    """Compare a result with the truth. No answer is wrong; a best-effort answer counts, and is marked as one."""
    truth = question.answer
    if result.answer is None:
        reason = f": {result.error_message}" if result.error_message else ""
        return Verdict(False, f"no answer, {result.error_code.name}{reason}; truth {truth_text(truth)}")
    verdict = _by_type(truth, result.answer, result.query.choices or truth.choices)
    return Verdict(verdict.right, f"{verdict.detail} (best effort)") if result.is_best_effort else verdict


def truth_text(truth: Truth) -> str:
    """The truth in words: '2.56 ± 0.256 m', '3', 'left'."""
    if truth.type == "number":
        return f"{truth.value} ± {truth.tolerance:g} {truth.unit}".rstrip()
    return str(truth.value)


def _by_type(truth: Truth, answer: Answer, choices: tuple[str, ...]) -> Verdict:
    if truth.type == "number":
        return _number(truth, answer)
    if truth.type == "count":
        return _count(truth, answer)
    said = _chosen(answer, choices) if truth.type == "choice" else answer.text
    return Verdict(_plain(said) == _plain(str(truth.value)), f"{said!r}, truth {truth_text(truth)}")


def _number(truth: Truth, answer: Answer) -> Verdict:
    number, unit = _measure(answer)
    known, wanted = unit_name(unit), unit_name(truth.unit)
    factor = 1.0 if unit == truth.unit or not unit else conversion(known, wanted) if known and wanted else None
    said = f"{number:.4g} {unit}".strip()
    if factor is None:
        return Verdict(False, f"{said} is not in {truth.unit or 'a plain number'}; truth {truth_text(truth)}")
    off = abs(number * factor - float(truth.value))
    return Verdict(
        bool(off <= truth.tolerance + _SLACK),
        f"{said}, truth {truth_text(truth)}, off by {off:.3g} {truth.unit}".rstrip(),
    )


def _count(truth: Truth, answer: Answer) -> Verdict:
    number, _ = _measure(answer)
    return Verdict(bool(abs(number - float(truth.value)) < _SLACK), f"{number:g}, truth {truth_text(truth)}")


def _measure(answer: Answer) -> tuple[float, str]:
    """Number and unit; of an answer in words, its first number and the word after it. NaN where there is none."""
    if not math.isnan(answer.number):
        return answer.number, answer.unit
    found = _NUMBER.search(answer.text)
    if found is None:
        return math.nan, ""
    word = re.match(r"\s*([^\s,;.)]+)", answer.text[found.end() :])
    return float(found[0]), word[1] if word and unit_name(word[1]) else ""


def _chosen(answer: Answer, choices: tuple[str, ...]) -> str:
    """The choice by index, else the only one that the answer's words name, else the words."""
    if 0 <= answer.choice_index < len(choices):
        return choices[answer.choice_index]
    words = f" {_plain(answer.text)} "
    named = [choice for choice in choices if f" {_plain(choice)} " in words]
    return named[0] if len(named) == 1 else answer.text


def _plain(text: str) -> str:
    """Lower case, without punctuation, articles and doubled spaces."""
    words = re.sub(r"[^\w\s%/-]", " ", text.casefold()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))
