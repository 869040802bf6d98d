"""AgentThreads: the threads that start the agent, work on goals, and close it, in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from spatialclaw_ros.agent.line import Line, Place

_log = logging.getLogger(__name__)
Job = Callable[[], None]


@dataclass(eq=False)
class Work(Place):
    """A job's place in the line."""

    job: Job = lambda: None


class AgentThreads:
    """Runs jobs in the order they were submitted, `most` at once, two of one session never.

    A job that raises is logged, and the next one runs.
    """

    def __init__(self, most: int = 1) -> None:
        self._line = Line()
        self._changed = threading.Condition()
        self._closing = False
        self._threads: list[threading.Thread] = []
        self.allow(most)

    def allow(self, most: int) -> None:
        """Run so many jobs at once from now on."""
        with self._changed:
            self._line.most = most
            while len(self._threads) < most:
                thread = threading.Thread(target=self._run, name=f"agent-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify_all()

    def submit(self, job: Job, session: str = "") -> None:
        """Run this when its turn comes. session: its jobs run one after another, and let those of others pass."""
        self._enter(Work(session, job=job))

    def submit_alone(self, job: Job) -> None:
        """Run this after everything submitted before, and before everything submitted after."""
        self._enter(Work(alone=True, job=job))

    def close(self, seconds: float) -> bool:
        """Let the submitted jobs finish, for at most `seconds`; True where they did."""
        end = time.monotonic() + seconds
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _enter(self, work: Work) -> None:
        with self._changed:
            self._line.waiting.append(work)
            self._changed.notify_all()

    def _next(self) -> Work | None:
        """Wait for a job's turn; None once everything is done and nothing more comes."""
        with self._changed:
            while (work := self._line.next()) is None:
                if self._closing and not self._line.waiting:
                    return None
                self._changed.wait()
            assert isinstance(work, Work)
            return work

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work.job()
            except Exception:  # a goal's defect must not end the thread that serves the next
                _log.exception("a job of the agent's threads failed")
            finally:
                with self._changed:
                    self._line.leave(work)
                    self._changed.notify_all()
