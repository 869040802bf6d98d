"""Messages and records: what goes over the action comes back as it was."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

pytest.importorskip("spatialclaw_msgs", reason="spatialclaw_msgs is not built (make setup)")

from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st

from spatialclaw_msgs.action import SpatialQuery
from spatialclaw_msgs.msg import SpatialAnswer
from spatialclaw_ros.agent.records import (
    Answer,
    AnswerType,
    Event,
    EvidenceFrame,
    ObjectAnswer,
    Query,
    QueryResult,
)
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.kernel.cell import ShownPicture
from spatialclaw_ros.ros.conversions import (
    byte_array,
    event_from_feedback,
    feedback_message,
    goal_from_query,
    query_from_goal,
    result_from_message,
    result_message,
)

pytestmark = pytest.mark.ros

STAMP = Time(sec=5)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
TIMES = st.integers(0, (1 << 31) * 10**9 - 1)


@given(
    question=TEXT,
    answer_type=st.sampled_from(AnswerType),
    choices=st.lists(TEXT, max_size=4).map(tuple),
    images=st.lists(st.binary(max_size=20), max_size=3).map(tuple),
    window=st.tuples(TIMES, TIMES),
    limits=st.tuples(st.integers(0, 1 << 31), st.floats(-1e6, 1e6)),
)
def test_a_query_survives_the_goal_message(question, answer_type, choices, images, window, limits) -> None:
    query = Query(question, answer_type, choices, images, "map", ("head",), *window, "session", *limits)
    assert query_from_goal(goal_from_query(query)) == query


def test_an_unknown_answer_type_reaches_the_check_as_it_came() -> None:
    assert query_from_goal(SpatialQuery.Goal(question="how far?", answer_type=99)).answer_type == 99


def test_a_whole_answer_survives_the_result_message() -> None:
    answer = Answer(
        "a red box at the door",
        AnswerType.OBJECTS,
        number=1.5,
        number_stddev=0.1,
        unit="m",
        choice_index=2,
        boolean=True,
        confidence=0.75,
        point=(1.0, 2.0, 3.0),
        frame="map",
        objects=(ObjectAnswer("red box", (0.5, 0.0, 1.0), (0.1, 0.2, 0.3), (0.0, 0.0, 1.0, 0.0), 0.5),),
        evidence=(EvidenceFrame("head", 12_345_678_901, 4),),
    )
    query = Query("what?")
    result = QueryResult(
        query, ErrorCode.TIME_LIMIT, "over", answer, True, duration=2.5, prompt_tokens=7, notes=("a kernel was lost",)
    )
    back = result_from_message(result_message(result, STAMP, "odom"), query)
    assert back == result


def test_a_result_without_an_answer_stays_one() -> None:
    query = Query("what?")
    message = result_message(QueryResult(query, ErrorCode.NO_FRAMES, "none came"), STAMP, "odom")
    back = result_from_message(message, query)
    assert back.answer is None and back.error_code is ErrorCode.NO_FRAMES
    assert math.isnan(message.number) and message.choice_index == -1 and message.confidence == -1.0


def test_an_answers_place_is_in_the_target_frame_or_else_the_fixed_frame() -> None:
    answer = Answer("there", AnswerType.POINT, point=(1.0, 2.0, 3.0))
    for query, frame in ((Query("where?"), "odom"), (Query("where?", target_frame="map"), "map")):
        message = result_message(QueryResult(query, ErrorCode.NONE, answer=answer), STAMP, "odom")
        assert message.point.header.frame_id == frame


def test_feedback_carries_the_last_picture() -> None:
    pictures = (ShownPicture(b"first", "image/png"), ShownPicture(b"last", "image/jpeg", stamp=10**9))
    event = Event("observe", 3, "look", "show(x)", "shown", pictures)
    back = event_from_feedback(feedback_message(event))
    assert dataclasses.replace(back, pictures=()) == dataclasses.replace(event, pictures=())
    assert [(each.data, each.mime) for each in back.pictures] == [(b"last", "image/jpeg")]


def test_text_that_is_no_unicode_can_be_sent() -> None:
    message = feedback_message(Event("observe", 1, output="before \ud800 after"))
    assert message.output == "before ? after"


def test_bytes_of_an_array_fill_a_message_field() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert byte_array(pixels).tobytes() == pixels.tobytes()


def test_error_codes_and_types_are_the_messages_constants() -> None:
    for code in ErrorCode:
        assert getattr(SpatialQuery.Result, code.name) == code.value
    for kind in AnswerType:
        assert getattr(SpatialQuery.Goal, f"TYPE_{kind.name}") == kind.value
        assert getattr(SpatialAnswer, f"TYPE_{kind.name}") == kind.value
