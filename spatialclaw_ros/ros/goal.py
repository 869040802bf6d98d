"""Goal: one accepted goal of the action, from its acceptance to its result."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from rclpy.task import Future
from unique_identifier_msgs.msg import UUID

from spatialclaw_ros.agent.records import Query, QueryResult
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.limits import CancelToken


@dataclass(eq=False)
class Goal:
    """handle: rclpy's ServerGoalHandle. cancel: set by the client's cancel, or by the node when it stops serving.

    result: completed by whoever finishes the goal; the execute coroutine awaits it. accepted: steady clock, seconds.
    stopped: why the node itself stopped this goal, if it did. feedback_count: messages sent, counted on the
    goal's thread.
    """

    handle: Any
    query: Query
    cancel: CancelToken = field(default_factory=CancelToken)
    result: Future = field(default_factory=Future)
    accepted: float = field(default_factory=time.monotonic)
    stopped: tuple[ErrorCode, str] | None = None
    feedback_count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _claimed: bool = False

    @property
    def id(self) -> UUID:
        return self.handle.goal_id

    def claim(self) -> bool:
        """Take the goal out of the queue: True for the first caller only, be it an agent's thread or a cancel."""
        with self._lock:
            first, self._claimed = not self._claimed, True
            return first

    def elapsed(self) -> float:
        """Seconds of steady time since acceptance."""
        return time.monotonic() - self.accepted

    def refusal(self, code: ErrorCode, message: str) -> QueryResult:
        """A result without an answer."""
        return QueryResult(self.query, code, message, duration=self.elapsed())
