"""Turns: when a question may run that comes while another does (loop.concurrency)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from spatialclaw_ros.agent.line import Line, Place
from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.config import LoopConfig
from spatialclaw_ros.errors import Busy, Canceled, ErrorCode, Preempted
from spatialclaw_ros.limits import CancelToken, Deadline

MAX_QUESTION = 200
"""Characters of a question that a message about another goal quotes."""


@dataclass(eq=False)
class Turn(Place):
    """One question's turn. cancel: set by its caller, and by a newer question; preempted: that one's message then."""

    cancel: CancelToken = field(default_factory=CancelToken)
    preempted: str = ""

    def preempt(self, message: str) -> None:
        """End this question soon; a cancel that came before counts for more."""
        if not self.cancel.is_set():
            self.preempted = message
            self.cancel.cancel(message)

    def code(self, code: ErrorCode) -> ErrorCode:
        """CANCELED is PREEMPTED where that was the reason."""
        return ErrorCode.PREEMPTED if self.preempted and code is ErrorCode.CANCELED else code


class Turns:
    """Gives turns to the threads that ask for one, as the configuration's `concurrency` says."""

    def __init__(self, limits: LoopConfig) -> None:
        self._concurrency = limits.concurrency
        self._line = Line(parallel_goals(limits))
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, query: Query, cancel: CancelToken, deadline: Deadline) -> Iterator[Turn]:
        """Wait for a turn, and have it inside the context.

        Raises: Busy, Preempted, Canceled, TimeLimitReached.
        """
        turn = Turn(query.session_id)
        forget = cancel.on_cancel(lambda: turn.cancel.cancel(cancel.reason))
        try:
            self._enter(turn, query.question)
            self._wait(turn, deadline)
            yield turn
        except Canceled:
            if turn.preempted:
                raise Preempted(turn.preempted) from None
            raise
        finally:
            forget()
            self._leave(turn)

    def _enter(self, turn: Turn, question: str) -> None:
        with self._changed:
            others = [*self._line.served, *self._line.waiting]
            if others and self._concurrency == "reject":
                raise Busy(busy_message())
            self._line.waiting.append(turn)
            self._advance()
        turn.cancel.on_cancel(self._wake)
        if self._concurrency == "preempt":
            for other in others:
                assert isinstance(other, Turn)
                other.preempt(preempted_message(question))

    def _wait(self, turn: Turn, deadline: Deadline) -> None:
        with self._changed:
            while turn not in self._line.served:
                turn.cancel.raise_if_set()
                deadline.raise_if_over()
                self._changed.wait(deadline.remaining())
        turn.cancel.raise_if_set()

    def _leave(self, turn: Turn) -> None:
        with self._changed:
            self._line.leave(turn)
            self._advance()

    def _advance(self) -> None:
        while self._line.next() is not None:
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


def parallel_goals(limits: LoopConfig) -> int:
    """Goals that may run at once."""
    return limits.max_parallel if limits.concurrency == "parallel" else 1


def busy_message() -> str:
    return "another question is being answered, and loop.concurrency is 'reject'; ask again when it has ended"


def preempted_message(question: str) -> str:
    """What a goal is told whose place a newer one takes."""
    return f"preempted by a newer goal: {question[:MAX_QUESTION]!r}"
