"""AgentThread: the one thread that starts the agent, works on goals one at a time, and closes it, in order."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)
Job = Callable[[], None]


class AgentThread:
    """Runs jobs in the order they were submitted. A job that raises is logged, and the next one runs."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Run this after everything submitted before."""
        self._jobs.put(job)

    def close(self, seconds: float) -> bool:
        """Let the submitted jobs finish, for at most `seconds`; True where they did."""
        self._jobs.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # a goal's defect must not end the thread that serves the next
                _log.exception("a job of the agent's thread failed")
