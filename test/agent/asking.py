"""Questions asked on a thread of their own, so that a test can do something meanwhile."""

from __future__ import annotations

import threading
from typing import Any

from agent.loop_fakes import frames

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.records import Event, QueryResult
from spatialclaw_ros.limits import CancelToken


class Asked:
    """A question that is under way. executing: set as soon as its first cell runs.

    hold: whether the question's thread stops there until `go_on` is set, whatever else happens.
    """

    def __init__(
        self, agent: SpatialAgent, question: str = "How far is the wall, in metres?", hold: bool = False, **query: Any
    ) -> None:
        self.cancel = CancelToken()
        self.executing = threading.Event()
        self.go_on = threading.Event()
        if not hold:
            self.go_on.set()
        self._results: list[QueryResult] = []
        self._agent = agent
        self._question, self._query = question, query
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def is_under_way(self) -> bool:
        return self._thread.is_alive()

    def result(self, seconds: float = 20.0) -> QueryResult:
        """How it ended; fails the test after `seconds`."""
        self._thread.join(seconds)
        assert self._results, f"{self._question!r} did not end within {seconds:g} s"
        return self._results[0]

    def _ask(self) -> None:
        given = self._query.pop("frames", None) or frames()
        result = self._agent.ask(self._question, given, cancel=self.cancel, listener=self._listen, **self._query)
        self._results.append(result)

    def _listen(self, event: Event) -> None:
        if event.stage == "execute":
            self.executing.set()
            self.go_on.wait(20)
