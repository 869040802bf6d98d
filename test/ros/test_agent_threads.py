"""The agent's threads: jobs in order, some at once, what has to be alone alone, and an end that is bounded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from spatialclaw_ros.ros.agent_threads import AgentThreads


@pytest.fixture
def threads() -> Iterator[AgentThreads]:
    made = AgentThreads(2)
    yield made
    assert made.close(10.0)


def test_jobs_run_at_once_up_to_the_number_that_is_allowed(threads: AgentThreads) -> None:
    meeting = threading.Barrier(3, timeout=10.0)
    threads.submit(meeting.wait)
    threads.submit(meeting.wait)
    meeting.wait()


def test_what_has_to_be_alone_runs_after_all_before_it_and_before_all_behind_it(threads: AgentThreads) -> None:
    order: list[str] = []
    free, done = threading.Event(), threading.Event()
    threads.submit(lambda: (free.wait(10.0), order.append("before")))
    threads.submit_alone(lambda: order.append("alone"))
    threads.submit(lambda: (order.append("behind"), done.set()))
    assert not done.wait(0.1)
    free.set()
    assert done.wait(10.0)
    assert order == ["before", "alone", "behind"]


def test_jobs_of_one_session_run_one_after_the_other_and_others_pass(threads: AgentThreads) -> None:
    free, passed, follow_up = threading.Event(), threading.Event(), threading.Event()
    threads.submit(lambda: free.wait(10.0), "a")
    threads.submit(follow_up.set, "a")
    threads.submit(passed.set, "b")
    assert passed.wait(10.0)
    assert not follow_up.is_set()
    free.set()
    assert follow_up.wait(10.0)


def test_a_job_that_fails_is_logged_and_the_next_one_runs(
    threads: AgentThreads, caplog: pytest.LogCaptureFixture
) -> None:
    done = threading.Event()
    with caplog.at_level(logging.ERROR):
        threads.submit(lambda: 1 / 0, "a")
        threads.submit(done.set, "a")
        assert done.wait(10.0)
    assert "ZeroDivisionError" in caplog.text


def test_closing_lets_submitted_jobs_finish_and_says_where_they_do_not() -> None:
    threads, free, done = AgentThreads(), threading.Event(), threading.Event()
    threads.submit(lambda: free.wait(10.0))
    threads.submit(done.set)
    assert not threads.close(0.05)
    free.set()
    assert threads.close(10.0)
    assert done.is_set()
