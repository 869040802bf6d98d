"""The loop: stages in order, one more chance with a reason, limits, and an answer that fits the question."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest
from agent.loop_fakes import agent_with, answering, cell, frames, problems

from spatialclaw_ros.agent.records import AnswerType, Event, Query
from spatialclaw_ros.backbones.chat import Picture, Reply
from spatialclaw_ros.errors import (
    BackboneUnreachable,
    ErrorCode,
    KernelError,
    QuestionNotUnderstood,
)
from spatialclaw_ros.fakes.backbone import ScriptedBackbone
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.kernel.cell import CellError, CellResult, ShownPicture, Variable
from spatialclaw_ros.limits import CancelToken, Deadline

QUESTION = "How far is the mug from the box, in metres?"
OK = CellResult("ok", stdout="0.5")
FAILED = CellResult("error", error=CellError("ValueError", "no mask", 2, "ValueError: no mask"))


def test_stages_come_in_order_with_purpose_code_and_output(tmp_path: Path) -> None:
    events: list[Event] = []
    with agent_with(
        tmp_path, ["First look.", cell("x = 1"), cell("ReturnAnswer(0.5)")], [OK, answering(0.5)], planning=True
    ) as agent:
        result = agent.ask(QUESTION, frames(), listener=events.append)
    assert result.ok
    assert [event.stage for event in events] == ["plan", "plan"] + ["generate", "execute", "observe", "decide"] * 2
    assert events[1].detail == "First look."
    assert (events[3].code, events[3].purpose, events[4].output) == ("x = 1", "measure", "0.5")
    assert [event.step for event in events] == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


def test_answer_is_converted_to_the_unit_that_the_question_names(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("x")], [answering(52.0, unit="cm", stddev=2.0)]) as agent:
        result = agent.ask(QUESTION, frames(), answer_type="number")
    assert result.answer is not None
    assert result.answer.number == pytest.approx(0.52)
    assert result.answer.number_stddev == pytest.approx(0.02)
    assert (result.answer.unit, result.answer.text) == ("m", "0.52 m")


def test_conversation_only_ever_grows(tmp_path: Path) -> None:
    backbone = ScriptedBackbone(["plan", cell("a"), cell("b"), cell("c")])
    with agent_with(tmp_path, backbone, [OK, FAILED, answering(1.0)], planning=True) as agent:
        agent.ask(QUESTION, frames())
    for earlier, later in itertools.pairwise(backbone.calls):
        assert later.messages[: len(earlier.messages)] == earlier.messages


def test_roles_alternate_after_the_system_message(tmp_path: Path) -> None:
    backbone = ScriptedBackbone(["plan", "no code", cell("b"), cell("c")])
    with agent_with(tmp_path, backbone, [FAILED, answering(1.0)], planning=True) as agent:
        agent.ask(QUESTION, frames())
    roles = [message.role for message in backbone.calls[-1].messages]
    assert roles == ["system"] + ["user", "assistant"] * 3 + ["user"]


def test_key_frames_are_sent_once_with_their_place_in_the_kernel(tmp_path: Path) -> None:
    backbone = ScriptedBackbone(["plan", cell("a"), cell("b")])
    with agent_with(tmp_path, backbone, [OK, answering(1.0)], planning=True, max_pictures=3) as agent:
        agent.ask(QUESTION, frames(9))
    plan, first, second = (call.messages for call in backbone.calls)
    assert not [part for message in plan for part in message.parts if isinstance(part, Picture)]
    pictures = [part for part in first[-1].parts if isinstance(part, Picture)]
    assert [picture.data for picture in pictures] == [b"\xff\xd8 picture of frame %d" % index for index in (0, 4, 8)]
    assert "#2 → InputImages[4] (frame 4)" in first[-1].text
    assert not [part for part in second[-1].parts if isinstance(part, Picture)]


def test_no_picture_goes_to_a_backbone_that_sees_none(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a"), cell("b")], sees_pictures=False)
    shown = CellResult("ok", pictures=(ShownPicture(b"\xff\xd8", "image/jpeg", "overlay"),))
    with agent_with(tmp_path, backbone, [shown, answering(1.0)]) as agent:
        agent.ask(QUESTION, frames())
    assert not [
        part
        for call in backbone.calls
        for message in call.messages
        for part in message.parts
        if isinstance(part, Picture)
    ]


def test_tags_of_the_agreement_stand_in_the_prompts(tmp_path: Path) -> None:
    backbone = ScriptedBackbone(["plan", cell("a"), cell("b")])
    with agent_with(tmp_path, backbone, [FAILED, answering("left")], planning=True) as agent:
        agent.ask("Is it left?", frames(), choices=("left", "right"))
    task = backbone.calls[0].messages[1].text
    assert "<question>Is it left?</question>" in task
    assert "<answer_type>choice</answer_type>" in task
    assert "<choices>left | right</choices>" in task
    assert '<session>{"cameras": ["front"], "num_frames": 4' in task
    assert backbone.calls[0].messages[-1].text.endswith("<request>plan</request>")
    assert backbone.calls[1].messages[-1].text.endswith("<request>cell</request>")
    observation = backbone.calls[2].messages[-1].text
    assert "<stdout></stdout>" in observation
    assert "<error>ValueError: no mask</error>" in observation
    assert observation.endswith("<request>cell</request>")


def test_shown_pictures_and_variables_come_back_in_the_observation(tmp_path: Path) -> None:
    shown = CellResult(
        "ok",
        pictures=tuple(ShownPicture(b"\xff\xd8%d" % n, "image/jpeg", f"overlay {n}", frame_index=n) for n in range(3)),
        variables=(Variable("masks", "PerFrameMask", "2 objects"),),
        notes=("depth is missing in frame 3",),
    )
    backbone = ScriptedBackbone([cell("a"), cell("b")])
    with agent_with(tmp_path, backbone, [shown, answering(1.0)], max_shown_pictures=2) as agent:
        agent.ask(QUESTION, frames())
    last = backbone.calls[1].messages[-1]
    assert [part.data for part in last.parts if isinstance(part, Picture)] == [b"\xff\xd80", b"\xff\xd81"]
    assert "shown 2: overlay 1" in last.text
    assert "1 more pictures were shown" in last.text
    assert "masks: PerFrameMask, 2 objects" in last.text
    assert "depth is missing in frame 3" in last.text


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "Your reply was empty"),
        ("<think>so much to say</think>", "Your reply was empty"),
        ("The mug is 0.5 m away.", "no code block"),
        ("```python\na\n```\n```python\nb\n```", "2 code blocks"),
        ("```python\nx = (1\n```", "syntax error at line 1"),
        ("```python\n!ls\n```", "Shell and % commands are not available"),
        ("```python\n# nothing\n```", "holds no statement"),
    ],
)
def test_an_unusable_reply_gets_its_reason_and_one_more_chance(tmp_path: Path, reply: str, reason: str) -> None:
    backbone = ScriptedBackbone([reply, cell("ReturnAnswer(1.0)")])
    with agent_with(tmp_path, backbone, [answering(1.0)]) as agent:
        result = agent.ask(QUESTION, frames())
    assert result.ok
    assert reason in problems(result)[0]
    assert reason in backbone.calls[1].messages[-1].text


def test_a_reply_cut_off_by_its_length_is_told_so(tmp_path: Path) -> None:
    cut = Reply("Purpose: measure\n```python\nx = 1\ny =", finish_reason="length")
    with agent_with(tmp_path, [cut, cell("ReturnAnswer(1.0)")], [answering(1.0)]) as agent:
        result = agent.ask(QUESTION, frames())
    assert "cut off" in problems(result)[0]


def test_replies_that_never_hold_a_cell_end_the_goal_as_unusable(tmp_path: Path) -> None:
    with agent_with(tmp_path, ["words"] * 3, [], max_failures=3) as agent:
        result = agent.ask(QUESTION, frames())
    assert result.error_code is ErrorCode.BACKBONE_UNUSABLE_REPLIES
    assert len(result.steps) == 3
    assert "no code block" in result.error_message


def test_failures_in_a_row_end_the_goal(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")] * 4, [OK, FAILED, FAILED, FAILED], max_failures=3) as agent:
        result = agent.ask(QUESTION, frames())
    assert result.error_code is ErrorCode.TOO_MANY_FAILURES
    assert "ValueError in line 2" in result.error_message


def test_a_cell_that_runs_resets_the_count_of_failures(tmp_path: Path) -> None:
    script = [FAILED, FAILED, OK, FAILED, FAILED, answering(1.0)]
    with agent_with(tmp_path, [cell("a")] * 6, script, max_failures=3) as agent:
        assert agent.ask(QUESTION, frames()).ok


def test_a_refused_answer_is_told_why_and_can_be_mended(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a"), cell("b")])
    script = [answering("near the table"), answering("RIGHT")]
    with agent_with(tmp_path, backbone, script) as agent:
        result = agent.ask("Left or right?", frames(), answer_type=AnswerType.CHOICE, choices=("left", "right"))
    assert result.answer is not None
    assert (result.answer.choice_index, result.answer.text) == (1, "right")
    assert "none of the choices" in backbone.calls[1].messages[-1].text


def test_the_last_cell_is_announced_and_the_budget_ends_with_the_best_answer_so_far(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a"), cell("b")])
    script = [answering("about half a metre"), OK]
    with agent_with(tmp_path, backbone, script) as agent:
        result = agent.ask(QUESTION, frames(), answer_type="number", max_steps=2)
    assert "This is the last cell" in backbone.calls[1].messages[-1].text
    assert result.error_code is ErrorCode.NO_ANSWER
    assert result.is_best_effort
    assert result.answer is not None
    assert (result.answer.type, result.answer.text) == (AnswerType.TEXT, "about half a metre")


def test_a_budget_that_ends_without_any_answer_says_so(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")] * 2, [OK, OK]) as agent:
        result = agent.ask(QUESTION, frames(), max_steps=2)
    assert (result.error_code, result.answer, result.is_best_effort) == (ErrorCode.NO_ANSWER, None, False)


def test_an_answer_of_a_cell_that_failed_is_not_taken(tmp_path: Path) -> None:
    broken = CellResult("error", error=CellError("NameError", "x"), answer={"value": 9.0})
    with agent_with(tmp_path, [cell("a"), cell("b")], [broken, answering(1.0)]) as agent:
        result = agent.ask(QUESTION, frames())
    assert result.answer is not None
    assert result.answer.number == 1.0


def test_a_cancel_while_the_model_thinks_ends_the_goal(tmp_path: Path) -> None:
    backbone, cancel = ScriptedBackbone([cell("a")]), CancelToken()
    backbone.block()
    with agent_with(tmp_path, backbone, []) as agent:
        asked = threading.Thread(target=lambda: results.append(agent.ask(QUESTION, frames(), cancel=cancel)))
        results: list = []
        asked.start()
        assert backbone.waiting.wait(10)
        cancel.cancel("no longer needed")
        asked.join(10)
    assert results[0].error_code is ErrorCode.CANCELED
    assert results[0].error_message == "no longer needed"


def test_a_cancel_reaches_a_running_cell(tmp_path: Path) -> None:
    cancel = CancelToken()

    def script(_code: str, _kernel: object, _timeout: float, token: CancelToken) -> CellResult:
        cancel.cancel()
        assert token.wait(10)
        return CellResult("interrupted")

    with agent_with(tmp_path, [cell("a")], script) as agent:
        result = agent.ask(QUESTION, frames(), cancel=cancel)
    assert result.error_code is ErrorCode.CANCELED


def test_a_goal_canceled_while_it_waits_its_turn_never_starts(tmp_path: Path) -> None:
    backbone, first, second = ScriptedBackbone([cell("a")]), CancelToken(), CancelToken()
    backbone.block()
    results: list = []
    with agent_with(tmp_path, backbone, []) as agent:
        running = threading.Thread(target=lambda: agent.ask(QUESTION, frames(), cancel=first))
        running.start()
        assert backbone.waiting.wait(10)
        waiting = threading.Thread(target=lambda: results.append(agent.ask(QUESTION, frames(), cancel=second)))
        waiting.start()
        second.cancel()
        waiting.join(10)
        assert running.is_alive()
        first.cancel()
        running.join(10)
    assert results[0].error_code is ErrorCode.CANCELED
    assert len(backbone.calls) == 1


def test_a_deadline_that_is_handed_over_ends_the_goal_and_not_the_querys_limit(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")], [answering(1.0)]) as agent:
        snapshot = Snapshot.from_frames(frames())
        late = agent.run(Query(QUESTION), snapshot, deadline=Deadline(0.0))
        in_time = agent.run(Query(QUESTION, time_limit=3600.0), snapshot, deadline=Deadline(60.0))
    assert (late.error_code, late.answer) == (ErrorCode.TIME_LIMIT, None)
    assert in_time.ok


def test_the_time_limit_ends_a_goal_whose_model_never_replies(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a")])
    backbone.block()
    with agent_with(tmp_path, backbone, []) as agent:
        result = agent.ask(QUESTION, frames(), time_limit=0.2)
    assert result.error_code is ErrorCode.TIME_LIMIT
    assert "0.2 s" in result.error_message


def test_a_cell_gets_no_more_time_than_the_goal_has_left(tmp_path: Path) -> None:
    timeouts: list[float] = []

    def script(_code: str, _kernel: object, timeout: float, _cancel: CancelToken) -> CellResult:
        timeouts.append(timeout)
        return answering(1.0)

    with agent_with(tmp_path, [cell("a")], script) as agent:
        agent.ask(QUESTION, frames(), time_limit=5.0)
    assert 0 < timeouts[0] <= 5.0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BackboneUnreachable("nothing answers"), ErrorCode.BACKBONE_UNREACHABLE),
        (QuestionNotUnderstood("I can parse distances"), ErrorCode.QUESTION_NOT_UNDERSTOOD),
    ],
)
def test_an_error_of_the_backbone_is_the_goals_error_and_the_next_goal_is_served(
    tmp_path: Path, error: Exception, code: ErrorCode
) -> None:
    with agent_with(tmp_path, [error, cell("a")], [answering(1.0)]) as agent:
        failed = agent.ask(QUESTION, frames())
        assert (failed.error_code, failed.error_message) == (code, str(error))
        assert agent.ask(QUESTION, frames()).ok


def test_a_kernel_that_cannot_start_ends_the_goal_at_once(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a")])
    backbone.block()  # the model would take its time
    with agent_with(tmp_path, backbone, []) as agent:
        agent._pool.failure = KernelError("no memory for a kernel")
        result = agent.ask(QUESTION, frames())
    assert (result.error_code, result.error_message) == (ErrorCode.KERNEL_FAILED, "no memory for a kernel")


def test_a_kernel_that_dies_is_replaced_within_the_goal(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a"), cell("b")])
    with agent_with(tmp_path, backbone, [CellResult("died"), answering(1.0)]) as agent:
        result = agent.ask(QUESTION, frames())
        assert result.ok
        assert len(agent._pool.kernels) == 2
        assert "gone is what this cell made or imported; InputImages" in backbone.calls[1].messages[-1].text


def test_the_model_is_told_why_the_kernel_ended_and_nothing_else(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a"), cell("b")])
    died = CellResult("died", error=CellError("KernelDied", "the kernel's output stream broke (a message too long)."))
    with agent_with(tmp_path, backbone, [died, answering(1.0)]) as agent:
        (problem, _) = problems(agent.ask(QUESTION, frames()))
    assert "The kernel ended (the kernel's output stream broke (a message too long)) and a fresh one" in problem
    assert "memory" not in problem


def test_a_goal_that_keeps_killing_kernels_names_the_last_reason(tmp_path: Path) -> None:
    died = CellResult("died", error=CellError("KernelDied", "signal 11"))
    with agent_with(tmp_path, [cell("a")] * 4, [died] * 4) as agent:
        assert "signal 11" in agent.ask(QUESTION, frames()).error_message


def test_a_defect_becomes_an_internal_error_and_the_next_goal_is_served(tmp_path: Path) -> None:
    def script(code: str, *_: object) -> CellResult:
        if code == "a":
            raise ZeroDivisionError("ours")
        return answering(1.0)

    with agent_with(tmp_path, [cell("a"), cell("b")], script) as agent:
        assert agent.ask(QUESTION, frames()).error_code is ErrorCode.INTERNAL
        assert agent.ask(QUESTION, frames()).ok


def test_a_listener_that_fails_does_not_fail_the_goal(tmp_path: Path) -> None:
    def listener(_event: Event) -> None:
        raise RuntimeError("the live view is gone")

    with agent_with(tmp_path, [cell("a")], [answering(1.0)]) as agent:
        assert agent.ask(QUESTION, frames(), listener=listener).ok


def test_tokens_of_plan_and_steps_are_added_up(tmp_path: Path) -> None:
    replies = [
        Reply("plan", prompt_tokens=10, completion_tokens=1),
        Reply(cell("a"), prompt_tokens=20, completion_tokens=2),
    ]
    with agent_with(tmp_path, replies, [answering(1.0)], planning=True) as agent:
        result = agent.ask(QUESTION, frames())
    assert (result.prompt_tokens, result.completion_tokens) == (30, 3)


def test_a_budget_of_replies_without_any_cell_ends_as_unusable(tmp_path: Path) -> None:
    with agent_with(tmp_path, ["words"] * 2, []) as agent:
        assert agent.ask(QUESTION, frames(), max_steps=2).error_code is ErrorCode.BACKBONE_UNUSABLE_REPLIES


def test_a_goal_that_keeps_killing_kernels_is_given_up(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")] * 4, [CellResult("died")] * 4) as agent:
        result = agent.ask(QUESTION, frames())
    assert result.error_code is ErrorCode.KERNEL_FAILED
    assert "kernel.memory_bytes" in result.error_message
