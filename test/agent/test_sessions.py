"""Sessions: a follow-up finds its kernel, frames and history; the number kept is bounded."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from agent.loop_fakes import FakeKernel, agent_with, answering, cell, frames

from spatialclaw_ros.agent.records import QueryResult
from spatialclaw_ros.agent.session import Past, Session
from spatialclaw_ros.agent.starting import Starting
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.fakes.backbone import ScriptedBackbone
from spatialclaw_ros.kernel.cell import CellError, CellResult
from spatialclaw_ros.limits import CancelToken, Deadline


def ask_in(tmp_path: Path, sessions: list[str], most: int = 2) -> list:
    """The kernels used, after one question in each of the sessions in turn."""
    count = len(sessions)
    with agent_with(tmp_path, [cell("a")] * count, [answering(1.0)] * count, max_sessions=most) as agent:
        for session in sessions:
            assert agent.ask("How far?", frames(), session_id=session).ok
        return [len(kernel.cells) for kernel in agent._pool.kernels]


def test_the_same_session_keeps_its_kernel(tmp_path: Path) -> None:
    assert ask_in(tmp_path, ["a", "a", "a"]) == [3]


def test_questions_without_a_session_share_nothing(tmp_path: Path) -> None:
    assert ask_in(tmp_path, ["", ""]) == [1, 1]


def test_the_longest_unused_session_is_closed_first(tmp_path: Path) -> None:
    assert ask_in(tmp_path, ["a", "b", "a", "c", "a", "b"]) == [3, 1, 1, 1]


def test_a_kernel_without_a_session_is_closed_after_its_goal(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")], [answering(1.0)]) as agent:
        agent.ask("How far?", frames())
        assert agent._pool.kernels[0].closed.wait(10)


def test_a_session_whose_kernel_died_gets_a_fresh_one(tmp_path: Path) -> None:
    script = [answering(1.0), answering(2.0)]
    with agent_with(tmp_path, [cell("a")] * 2, script) as agent:
        agent.ask("How far?", frames(), session_id="a")
        agent._pool.kernels[0].alive = False
        assert agent.ask("How far?", frames(), session_id="a").ok
        assert len(agent._pool.kernels) == 2


def test_indices_of_a_session_are_never_reused_for_other_frames(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")] * 2, [answering(1.0)] * 2) as agent:
        agent.ask("How far?", frames(3), session_id="a")
        agent.ask("How far?", frames(2, start=200.0), session_id="a")
        (first, _), (second, _) = agent._pool.kernels[0].begun
    assert [frame.index for frame in first] == [0, 1, 2]
    assert [frame.index for frame in second] == [3, 4]


def test_the_same_frames_keep_their_indices(tmp_path: Path) -> None:
    given = frames(3)
    with agent_with(tmp_path, [cell("a")] * 3, [answering(1.0)] * 3) as agent:
        agent.ask("How far?", given, session_id="a")
        agent.ask("How wide?", given, session_id="a")
        agent.ask("How high?", session_id="a")
        begun = agent._pool.kernels[0].begun
    assert [[frame.index for frame in snapshot] for snapshot, _ in begun] == [[0, 1, 2]] * 3


def test_a_frame_of_an_earlier_question_can_still_be_named_by_a_cell(tmp_path: Path) -> None:
    def script(_code: str, kernel: object, _timeout: float, cancel: object) -> CellResult:
        if len(kernel.begun) == 2:
            image = {"frame": 0}
            agent.requests.share = lambda _session, array: array
            agent.requests("segment", {"image": image, "prompt": {"box": [0, 0, 9, 9]}}, kernel, cancel)
        return answering(1.0)

    with agent_with(tmp_path, [cell("a")] * 2, script) as agent:
        agent.ask("How far?", frames(3), session_id="a")
        assert agent.ask("How far?", frames(2, start=200.0), session_id="a").ok


def test_closing_the_agent_closes_the_kernels_of_its_sessions(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")], [answering(1.0)]) as agent:
        agent.ask("How far?", frames(), session_id="a")
        kernel = agent._pool.kernels[0]
        assert kernel.alive
    assert kernel.closed.is_set()


def test_a_closed_agent_refuses_questions(tmp_path: Path) -> None:
    agent = agent_with(tmp_path, [], [])
    agent.start()
    agent.close()
    agent.close()
    result = agent.ask("How far?", frames())
    assert not result.ok
    assert "closed" in result.error_message


def test_a_start_that_itself_ran_out_of_time_says_so_and_not_that_the_goal_did() -> None:
    future: Future = Future()
    future.set_exception(TimeoutError("no reply from the kernel"))
    with pytest.raises(TimeoutError, match="no reply from the kernel"):
        Starting(future, Past()).wait(CancelToken(), Deadline(10.0))


def test_shared_memory_that_is_full_ends_the_goal_as_a_kernel_error(tmp_path: Path) -> None:
    full = patch.object(FakeKernel, "begin", side_effect=OSError(28, "No space left on device"))
    with agent_with(tmp_path, [cell("a")], [answering(1.0)]) as agent, full:
        result = agent.ask("How far?", frames())
    assert result.error_code is ErrorCode.KERNEL_FAILED
    assert "No space left on device" in result.error_message


def test_steps_before_the_shared_memory_filled_up_are_kept(tmp_path: Path) -> None:
    def script(*_: object) -> CellResult:
        filled.start()
        return CellResult("died")

    filled = patch.object(FakeKernel, "begin", side_effect=OSError(28, "No space left on device"))
    try:
        with agent_with(tmp_path, [cell("a")] * 2, script) as agent:
            result = agent.ask("How far?", frames())
    finally:
        filled.stop()
    assert result.error_code is ErrorCode.KERNEL_FAILED
    assert len(result.steps) >= 1


def lost_then_asked(tmp_path: Path, script: list[CellResult], lose: bool) -> tuple[str, QueryResult]:
    """The last prompt and result of two questions in one session, whose kernel may go between them."""
    backbone = ScriptedBackbone([cell("a")] * len(script))
    with agent_with(tmp_path, backbone, script) as agent:
        agent.ask("How far is it?", frames(), session_id="a")
        if lose:
            agent._pool.kernels[-1].alive = False
        result = agent.ask("How wide?", frames(), session_id="a")
    return backbone.calls[-1].messages[1].text, result


def test_a_follow_up_after_a_lost_kernel_is_told_so_and_knows_the_questions_before(tmp_path: Path) -> None:
    prompt, result = lost_then_asked(tmp_path, [answering(1.5), answering(2.0)], lose=True)
    assert "variables, functions and pictures of before that are gone" in prompt
    assert "How far is it? → 1.5" in prompt
    assert "variables of the earlier questions are still there" not in prompt
    (note,) = result.notes
    assert "kernel of this session was lost: it ended between two questions" in note
    assert "(it ended between two questions)" in prompt


def test_a_kernel_lost_within_a_question_leaves_its_answer_to_the_follow_up(tmp_path: Path) -> None:
    prompt, result = lost_then_asked(tmp_path, [CellResult("died"), answering(1.5), answering(2.0)], lose=False)
    assert "A kernel of this session was lost" in prompt
    assert "How far is it? → 1.5" in prompt
    assert any("kernel of this session was lost" in note for note in result.notes)


def test_a_follow_up_in_a_living_kernel_hears_nothing_of_lost_ones(tmp_path: Path) -> None:
    prompt, result = lost_then_asked(tmp_path, [answering(1.5), answering(2.0)], lose=False)
    assert "lost" not in prompt
    assert result.notes == ()


def test_a_cancel_while_the_frames_come_in_leaves_the_session_its_kernel(tmp_path: Path) -> None:
    cancel = CancelToken()

    def begin(*_: object) -> None:
        cancel.cancel()
        cancel.raise_if_set()

    with agent_with(tmp_path, [cell("a")] * 3, [answering(1.0)] * 3) as agent:
        agent.ask("How far?", frames(), session_id="a")
        with patch.object(FakeKernel, "begin", begin):
            assert agent.ask("How far?", frames(), session_id="a", cancel=cancel).error_code is ErrorCode.CANCELED
        assert agent.ask("How far?", frames(), session_id="a").ok
        assert len(agent._pool.kernels) == 1
        assert agent._pool.kernels[0].alive


def test_a_session_holds_on_to_so_many_bytes_of_earlier_questions(tmp_path: Path) -> None:
    session, given = Session(kernel=None), [frames(2, index=first) for first in (0, 2, 4)]
    one = 48 * 64 * (3 + 2)
    for each in given:
        session.remember_frames(each, max_bytes=3 * one)
    assert sorted(session.frames) == [1, 2, 3, 4, 5]


def test_the_model_is_told_when_pictures_of_earlier_questions_had_to_go(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a"), cell("b")])
    dropping = patch.object(FakeKernel, "begin", return_value=True)
    with agent_with(tmp_path, backbone, [CellResult("ok"), answering(1.0)]) as agent, dropping:
        agent.ask("How far?", frames(), session_id="a")
    assert "pictures of earlier questions were dropped" in backbone.calls[1].messages[-1].text


def test_an_unused_session_is_dropped_when_its_time_is_over_and_the_next_use_says_so(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a")] * 2)
    script = [replace(answering(1.5), names=("d", "mask")), answering(2.0)]
    with agent_with(tmp_path, backbone, script, session_ttl=0.05) as agent:
        agent.ask("How far is it?", frames(), session_id="a")
        assert agent._pool.kernels[0].closed.wait(10)  # by itself: nobody asks anything
        result = agent.ask("How wide?", frames(), session_id="a")
    assert any("unused for longer than 0.05 s (loop.session_ttl)" in note for note in result.notes)
    prompt = backbone.calls[-1].messages[1].text
    assert "unused for longer than 0.05 s" in prompt and "Lost variables: d, mask." in prompt


def test_a_client_is_told_of_a_lost_kernel_once(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")] * 3, [answering(1.0)] * 3) as agent:
        agent.ask("How far?", frames(), session_id="a")
        agent._pool.kernels[0].alive = False
        notes = [agent.ask("How wide?", frames(), session_id="a").notes for _ in range(2)]
    assert [len(each) for each in notes] == [1, 0]


def test_a_session_without_a_time_limit_is_kept(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")] * 2, [answering(1.0)] * 2, session_ttl=0.0) as agent:
        agent.ask("How far?", frames(), session_id="a")
        assert not agent._pool.kernels[0].closed.wait(0.2)
        assert agent.ask("How far?", frames(), session_id="a").notes == ()


def test_a_session_beyond_the_number_that_is_kept_is_told_that_it_was(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a")] * 3)
    with agent_with(tmp_path, backbone, [answering(1.0)] * 3, max_sessions=1) as agent:
        agent.ask("How far?", frames(), session_id="a")
        agent.ask("How far?", frames(), session_id="b")
        (note,) = agent.ask("How wide?", frames(), session_id="a").notes
    assert "of more than 1 sessions (loop.max_sessions) it was the least recently used" in note
    assert "(loop.max_sessions)" in backbone.calls[-1].messages[1].text


def test_a_question_about_the_frames_of_a_dropped_session_names_the_reason(tmp_path: Path) -> None:
    with agent_with(tmp_path, [cell("a")] * 2, [answering(1.0)] * 2, max_sessions=1) as agent:
        agent.ask("How far?", frames(), session_id="a")
        agent.ask("How far?", frames(), session_id="b")
        result = agent.ask("How wide?", session_id="a")
    assert result.error_code is ErrorCode.NO_FRAMES and "loop.max_sessions" in result.error_message


def test_a_kernel_that_a_cell_ended_names_the_variables_of_all_cells_and_questions_before(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a")] * 4)
    died = CellResult("died", error=CellError("KernelDied", "it held 5 GiB"))
    script = [replace(answering(1.0), names=("old",)), CellResult("ok", names=("old", "new")), died, answering(2.0)]
    with agent_with(tmp_path, backbone, script) as agent:
        agent.ask("How far?", frames(), session_id="a")
        result = agent.ask("How wide?", frames(), session_id="a")
    assert result.steps[1].result.names == ("old", "new")
    told = backbone.calls[-1].messages[-1].text
    assert "(it held 5 GiB)" in told and "the variables old, new are gone" in told
    assert "InputImages and the tools are back" in told


def test_variables_that_were_made_again_are_not_told_as_lost(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a")] * 4)
    script = [
        CellResult("ok", names=("d", "mask")),
        CellResult("died"),
        replace(answering(2.0), names=("d",)),
        answering(3.0),
    ]
    with agent_with(tmp_path, backbone, script) as agent:
        agent.ask("How far?", frames(), session_id="a")
        agent.ask("How wide?", frames(), session_id="a")
    assert "Lost variables: mask." in backbone.calls[-1].messages[1].text


def test_of_many_lost_variables_the_first_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    backbone = ScriptedBackbone([cell("a")] * 3)
    script = [CellResult("ok", names=tuple(f"v{n}" for n in range(100))), CellResult("died"), answering(2.0)]
    with agent_with(tmp_path, backbone, script) as agent:
        agent.ask("How far?", frames())
    told = backbone.calls[-1].messages[-1].text
    assert "v58, v59 and 40 more are gone" in told and "v60" not in told
