"""Goals of the action: feedback, queue, cancel, refusals, and a node that goes on serving."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import cv2
import numpy as np
import pytest
from ros.ros_robot import ask, wait_until

from spatialclaw_ros.agent.records import AnswerType, Query
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.ros.client import NodeUnreachable, QueryClient

pytestmark = [pytest.mark.process, pytest.mark.ros]


def test_a_goal_gets_feedback_at_every_stage_and_a_typed_result(client: QueryClient, frames: list[int]) -> None:
    pending = client.send(Query("how many frames?"))
    result = pending.result(10.0)
    assert [event.stage for event in pending.events] == ["plan", "generate", "execute", "observe", "decide"]
    assert pending.events[-1].purpose == "count the frames"
    assert result.ok and result.answer.type is AnswerType.NUMBER
    assert result.answer.number >= 3 and result.answer.unit == "count"
    assert [each.stamp for each in result.answer.evidence] == frames


def test_a_result_never_overtakes_its_feedback(client: QueryClient, frames: list[int]) -> None:
    sent = [client.send(Query(f"how many? ({number})")) for number in range(20)]
    for each in sent:
        result = each.result(10.0)
        assert [event.stage for event in each.events] == ["plan", "generate", "execute", "observe", "decide"]
        assert each.message.feedback_count == 5 and result.notes == ()


def test_ten_waiting_goals_are_cancelled_while_one_runs(client: QueryClient, frames: list[int]) -> None:
    running = client.send(Query("wait"))
    wait_until(lambda: running.events)
    waiting = [client.send(Query(f"how many? ({number})")) for number in range(10)]
    for each in waiting:
        assert each.cancel(5.0)
    results = [each.result(5.0) for each in waiting]
    assert {result.error_code for result in results} == {ErrorCode.CANCELED}
    assert all(not each.events for each in waiting)
    assert not running.is_done()
    assert running.cancel(5.0)
    assert running.result(5.0).error_code is ErrorCode.CANCELED


def test_goals_are_answered_one_at_a_time_in_their_order(client: QueryClient, frames: list[int]) -> None:
    begun: list[str] = []
    first = client.send(Query("wait", time_limit=0.5), lambda _: begun.append("first"))
    others = [
        client.send(Query("how many?"), lambda _, name=name: begun.append(name))
        for name in ("second", "third", "fourth")
    ]
    assert first.result(5.0).error_code is ErrorCode.TIME_LIMIT
    assert all(each.result(5.0).ok for each in others)
    assert list(dict.fromkeys(begun)) == ["first", "second", "third", "fourth"]


def test_a_cancelled_goal_in_the_middle_of_the_queue_does_not_hold_up_the_rest(
    client: QueryClient, frames: list[int]
) -> None:
    running = client.send(Query("wait"))
    wait_until(lambda: running.events)
    middle, last = client.send(Query("wait")), client.send(Query("how many?"))
    assert middle.cancel(5.0) and running.cancel(5.0)
    assert last.result(5.0).ok


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"question": ""}, ErrorCode.EMPTY_QUESTION),
        ({"question": "  \n "}, ErrorCode.EMPTY_QUESTION),
        ({"question": "how far? " * 12_000}, ErrorCode.QUESTION_TOO_LONG),
        ({"answer_type": AnswerType.CHOICE}, ErrorCode.CHOICES_MISSING),
        ({"answer_type": 77}, ErrorCode.BAD_ANSWER_TYPE),
        ({"cameras": ("haed",)}, ErrorCode.UNKNOWN_CAMERA),
        ({"time_limit": -1.0}, ErrorCode.BAD_LIMIT),
        ({"time_limit": math.nan}, ErrorCode.BAD_LIMIT),
        ({"start_time": 20_000_000_000, "end_time": 10_000_000_000}, ErrorCode.BAD_TIME_WINDOW),
        ({"reference_images": (b"not a picture",)}, ErrorCode.BAD_REFERENCE_IMAGE),
    ],
)
def test_a_bad_goal_ends_at_once_with_its_code_while_another_runs(
    client: QueryClient, frames: list[int], fields: dict[str, Any], code: ErrorCode
) -> None:
    running = client.send(Query("wait"))
    wait_until(lambda: running.events)
    result = client.ask(dataclasses.replace(Query("how many?"), **fields), seconds=5.0)
    assert result.error_code is code
    assert result.error_message and result.answer is None
    assert not running.is_done()
    running.cancel(5.0)
    running.result(5.0)


def test_an_unknown_camera_is_answered_with_the_nearest_name(client: QueryClient, frames: list[int]) -> None:
    assert "did you mean 'head'" in ask(client, "how many?", cameras=("haed",)).error_message


def test_a_defect_in_the_agent_is_a_result_and_the_next_goal_is_served(client: QueryClient, frames: list[int]) -> None:
    result = ask(client, "crash")
    assert result.error_code is ErrorCode.INTERNAL
    assert "told to crash" in result.error_message
    assert ask(client, "how many?").ok


def test_a_goals_limit_stays_its_own_and_its_deadline_counts_the_wait_for_frames(
    client: QueryClient, frames: list[int]
) -> None:
    assert ask(client, "limit?").answer.text == "limit 0 s, a deadline"
    assert ask(client, "limit?", time_limit=30.0).answer.text == "limit 30 s, a deadline"


def test_a_listener_that_fails_does_not_lose_the_result(client: QueryClient, frames: list[int]) -> None:
    def listener(_: object) -> None:
        raise RuntimeError("the terminal is gone")

    result = client.ask(Query("how many?"), listener, seconds=10.0)
    assert result.ok and "the listener failed with RuntimeError: the terminal is gone" in result.notes
    assert ask(client, "how many?").ok


def test_a_client_that_gives_up_cancels_its_goal(client: QueryClient, frames: list[int]) -> None:
    with pytest.raises(NodeUnreachable):
        client.ask(Query("wait"), seconds=0.2)
    assert client.ask(Query("how many?"), seconds=10.0).ok


def test_reference_images_are_not_decoded_before_the_goals_turn(client: QueryClient, frames: list[int]) -> None:
    """The executor's thread looks at headers only: pixels that cannot be decoded are the agent's to refuse."""
    picture = bytearray(cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
    pixels = picture.index(b"IDAT") + 4
    picture[pixels : pixels + 8] = b"no zlib!"
    assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) is None
    assert ask(client, "how many?", reference_images=(bytes(picture),)).ok


def test_output_that_is_not_unicode_does_not_fail_the_goal(client: QueryClient, frames: list[int]) -> None:
    pending = client.send(Query("surrogate"))
    assert pending.result(5.0).ok
    assert pending.events[-1].output == "?"


def test_a_goal_reports_its_time_from_acceptance(client: QueryClient, frames: list[int]) -> None:
    first, second = client.send(Query("wait", time_limit=0.4)), client.send(Query("how many?"))
    assert first.result(5.0).duration >= 0.4
    assert second.result(5.0).duration >= 0.3
