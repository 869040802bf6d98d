"""An answer is right by tolerance, unit, count, index or words, and the verdict says how far off it was."""

from __future__ import annotations

import pytest

from spatialclaw_ros.agent.records import Answer, AnswerType, Query, QueryResult
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.evaluation.questions import Question, Truth
from spatialclaw_ros.evaluation.score import score

DISTANCE = Question("d", "distance", "How far?", Truth("number", 0.89, "m", 0.05))
COUNT = Question("n", "count", "How many mugs?", Truth("count", 3))
SIDE = Question("s", "left_right", "Left or right?", Truth("choice", "right", choices=("left", "right")))
THING = Question("t", "", "What is it?", Truth("text", "A red mug"))


def _result(answer: Answer | None, code: ErrorCode = ErrorCode.NONE, **fields: object) -> QueryResult:
    choices = fields.pop("choices", ())
    return QueryResult(Query("q", choices=choices), code, answer=answer, **fields)


def _number(value: float, unit: str = "m") -> QueryResult:
    return _result(Answer(f"{value} {unit}", AnswerType.NUMBER, number=value, unit=unit))


@pytest.mark.parametrize(
    ("value", "unit", "right"),
    [
        (0.89, "m", True), (0.94, "m", True), (0.841, "m", True), (0.95, "m", False), (-0.89, "m", False),
        (89.0, "cm", True), (890.0, "mm", True), (0.89, "metres", True), (89.0, "m", False), (0.89, "cm", False),
        (0.89, "", True), (0.89, "deg", False), (0.89, "bananas", False), (float("inf"), "m", False),
    ],
)  # fmt: skip
def test_numbers_are_compared_in_the_asked_unit(value: float, unit: str, right: bool) -> None:
    assert score(DISTANCE, _number(value, unit)).right is right


def test_a_number_in_words_is_read() -> None:
    assert score(DISTANCE, _result(Answer("about 87 cm apart", AnswerType.TEXT))).right
    assert not score(DISTANCE, _result(Answer("far away", AnswerType.TEXT))).right


@pytest.mark.parametrize(("value", "right"), [(3.0, True), (2.0, False), (3.4, False)])
def test_counts_have_no_tolerance(value: float, right: bool) -> None:
    assert score(COUNT, _number(value, "")).right is right


@pytest.mark.parametrize(
    ("text", "index", "right"),
    [
        ("right", 1, True), ("left", 0, False), ("Right.", -1, True), ("to the right", -1, True),
        ("to the left", -1, False),         ("left or right", -1, False), ("alright", -1, False), ("", -1, False),
    ],
)  # fmt: skip
def test_choices_count_by_index_or_words(text: str, index: int, right: bool) -> None:
    result = _result(Answer(text, AnswerType.CHOICE, choice_index=index), choices=("left", "right"))
    assert score(SIDE, result).right is right


def test_an_index_means_the_choices_that_were_asked() -> None:
    result = _result(Answer("", AnswerType.CHOICE, choice_index=0), choices=("right", "left"))
    assert score(SIDE, result).right


def test_words_are_compared_without_case_articles_and_dots() -> None:
    assert score(THING, _result(Answer("the Red mug.", AnswerType.TEXT))).right
    assert not score(THING, _result(Answer("a mug", AnswerType.TEXT))).right


def test_no_answer_is_wrong_and_says_why() -> None:
    verdict = score(DISTANCE, _result(None, ErrorCode.TIME_LIMIT, error_message="60 s are over"))
    assert not verdict.right
    assert "TIME_LIMIT" in verdict.detail
    assert "60 s are over" in verdict.detail


def test_a_best_effort_is_marked() -> None:
    answer = Answer("0.9 m", AnswerType.NUMBER, number=0.9, unit="m")
    verdict = score(DISTANCE, _result(answer, ErrorCode.TIME_LIMIT, is_best_effort=True))
    assert verdict.right
    assert "best effort" in verdict.detail


def test_the_verdict_tells_answer_truth_and_difference() -> None:
    detail = score(DISTANCE, _number(1.0)).detail
    assert "1 m" in detail
    assert "0.89 ± 0.05 m" in detail
    assert "off by 0.11" in detail
