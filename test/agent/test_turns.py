"""Questions at once: each way of loop.concurrency, asked from several threads of one process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from agent.asking import Asked
from agent.loop_fakes import agent_with, answering, cell, frames

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.line import Line, Place
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.fakes.backbone import ScriptedBackbone
from spatialclaw_ros.kernel.cell import CellResult
from spatialclaw_ros.limits import CancelToken


class Cells:
    """Cells that run until `end` is set or they are cancelled. running: how many do, now and at most."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.changed = threading.Condition()
        self.running = self.most = 0
        self.order: list[str] = []

    def __call__(self, _code: str, kernel: Any, _timeout: float, cancel: CancelToken) -> CellResult:
        with self.changed:
            self.running += 1
            self.most = max(self.most, self.running)
            self.order.append(kernel.begun[-1][1]["session_id"])
            self.changed.notify_all()
        woken = threading.Event()
        forget = cancel.on_cancel(woken.set)
        while not self.end.is_set() and not woken.wait(0.005):
            pass
        forget()
        with self.changed:
            self.running -= 1
            self.changed.notify_all()
        return CellResult("interrupted") if cancel.is_set() else answering(1.0)

    def wait_for_running(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.running == count, 10.0)


def agent_of(tmp_path: Path, cells: Cells, **loop: Any) -> SpatialAgent:
    return agent_with(tmp_path, ScriptedBackbone(lambda *_: cell("a")), cells, **loop)


def test_a_queued_question_waits_until_the_one_before_it_has_ended(tmp_path: Path) -> None:
    cells = Cells()
    with agent_of(tmp_path, cells) as agent:
        first = Asked(agent)
        cells.wait_for_running(1)
        second = Asked(agent)
        assert not second.executing.wait(0.2)
        cells.end.set()
        assert first.result().ok and second.result().ok
    assert cells.most == 1


def test_a_question_that_is_rejected_ends_as_busy_and_disturbs_nothing(tmp_path: Path) -> None:
    cells = Cells()
    with agent_of(tmp_path, cells, concurrency="reject") as agent:
        first = Asked(agent)
        cells.wait_for_running(1)
        refused = agent.ask("How wide?", frames())
        assert refused.error_code is ErrorCode.BUSY and "loop.concurrency" in refused.error_message
        cells.end.set()
        assert first.result().ok
        assert agent.ask("How wide?", frames()).ok


def test_a_newer_question_preempts_the_running_one_and_those_that_wait_for_it(tmp_path: Path) -> None:
    cells = Cells()
    with agent_of(tmp_path, cells, concurrency="preempt") as agent:
        first = Asked(agent)
        cells.wait_for_running(1)
        newer = Asked(agent, "How wide is the door?")
        result = first.result()
        assert result.error_code is ErrorCode.PREEMPTED and "How wide is the door?" in result.error_message
        cells.wait_for_running(1)
        cells.end.set()
        assert newer.result().ok
    assert cells.most == 1


def test_a_newer_question_preempts_those_that_wait_for_their_turn_too(tmp_path: Path) -> None:
    cells = Cells()
    with agent_of(tmp_path, cells, concurrency="preempt") as agent:
        first = Asked(agent, "How far?", hold=True)
        assert first.executing.wait(10)
        second = Asked(agent, "How wide?")
        turns = agent._turns
        with turns._changed:
            assert turns._changed.wait_for(lambda: turns._line.waiting, 10)
        third = Asked(agent, "How high?")
        result = second.result()
        assert result.error_code is ErrorCode.PREEMPTED and "How high?" in result.error_message
        first.go_on.set()
        cells.end.set()
        assert "How wide?" in first.result().error_message
        assert third.result().ok


def test_a_question_that_cannot_be_served_preempts_nobody(tmp_path: Path) -> None:
    cells = Cells()
    with agent_of(tmp_path, cells, concurrency="preempt") as agent:
        running = Asked(agent)
        cells.wait_for_running(1)
        assert agent.ask("", frames()).error_code is ErrorCode.EMPTY_QUESTION
        assert agent.ask("How wide?", []).error_code is ErrorCode.NO_FRAMES
        assert agent.ask("How wide?", frames(), cameras=("haed",)).error_code is ErrorCode.UNKNOWN_CAMERA
        cells.end.set()
        assert running.result().ok


def test_a_cancel_that_came_before_a_newer_question_stays_a_cancel(tmp_path: Path) -> None:
    cells = Cells()
    with agent_of(tmp_path, cells, concurrency="preempt") as agent:
        first = Asked(agent)
        cells.wait_for_running(1)
        first.cancel.cancel("no longer needed")
        newer = Asked(agent, "How wide?")
        assert first.result().error_code is ErrorCode.CANCELED
        cells.end.set()
        assert newer.result().ok


def test_so_many_questions_run_at_once_and_each_has_its_own_kernel(tmp_path: Path) -> None:
    cells = Cells()
    with agent_of(tmp_path, cells, concurrency="parallel", max_parallel=2) as agent:
        asked = [Asked(agent) for _ in range(4)]
        cells.wait_for_running(2)
        cells.end.set()
        assert all(each.result().ok for each in asked)
        assert len(agent._pool.kernels) == 4
    assert cells.most == 2


def test_two_questions_of_one_session_never_run_at_once_and_others_pass(tmp_path: Path) -> None:
    cells = Cells()
    with agent_of(tmp_path, cells, concurrency="parallel", max_parallel=2) as agent:
        first = Asked(agent, session_id="a")
        cells.wait_for_running(1)
        follow_up = Asked(agent, session_id="a", time_limit=60.0)
        other = Asked(agent, session_id="b")
        cells.wait_for_running(2)
        assert cells.order == ["a", "b"]
        cells.end.set()
        assert all(each.result().ok for each in (first, follow_up, other))
    assert sorted(cells.order) == ["a", "a", "b"]


def test_a_follow_up_without_frames_waits_for_those_of_the_question_before_it(tmp_path: Path) -> None:
    cells = Cells()
    with agent_of(tmp_path, cells, concurrency="parallel") as agent:
        first = Asked(agent, session_id="a")
        cells.wait_for_running(1)
        results: list = []
        thread = threading.Thread(target=lambda: results.append(agent.ask("And how wide?", session_id="a")))
        thread.start()
        cells.end.set()
        assert first.result().ok
        thread.join(20)
    assert results and results[0].ok, results


def test_a_question_whose_time_is_over_before_its_turn_says_so(tmp_path: Path) -> None:
    cells = Cells()
    with agent_of(tmp_path, cells) as agent:
        first = Asked(agent)
        cells.wait_for_running(1)
        assert agent.ask("How wide?", frames(), time_limit=0.1).error_code is ErrorCode.TIME_LIMIT
        cells.end.set()
        assert first.result().ok


@pytest.mark.parametrize(
    ("most", "places", "served"),
    [
        (1, ["a", "b"], ["a"]),
        (2, ["a", "b", "c"], ["a", "b"]),
        (2, ["a", "a", "b"], ["a", "b"]),
        (3, ["", "", "a"], ["", "", "a"]),
    ],
)
def test_a_line_serves_from_the_front_and_one_of_each_session(most: int, places: list[str], served: list[str]) -> None:
    line = Line(most)
    line.waiting += [Place(session) for session in places]
    taken = []
    while (place := line.next()) is not None:
        taken.append(place.session)
    assert taken == served


def test_a_place_that_has_to_be_alone_lets_nobody_pass() -> None:
    line = Line(3)
    first, alone, last = Place("a"), Place(alone=True), Place("b")
    line.waiting += [first, alone, last]
    assert line.next() is first
    assert line.next() is None
    line.leave(first)
    assert line.next() is alone
    assert line.next() is None
    line.leave(alone)
    assert line.next() is last
