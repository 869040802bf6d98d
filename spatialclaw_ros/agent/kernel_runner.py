"""KernelRunner: runs a goal's cells in its kernel, which is prepared while the first request is under way."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from spatialclaw_ros.agent.request_images import DecodedFrames
from spatialclaw_ros.agent.requests import GoalContext, Requests
from spatialclaw_ros.agent.session import Past, Session
from spatialclaw_ros.agent.sessions import Opening, Sessions, Starting
from spatialclaw_ros.errors import Canceled, KernelError
from spatialclaw_ros.kernel.cell import CellResult
from spatialclaw_ros.limits import CancelToken

MAX_RESTARTS = 3
"""Kernels that one goal may use up; more deaths mean a machine without memory, or a model that does not learn."""

CANCEL_PATIENCE = 0.08
"""Time, s, that a cancelled goal waits for its cell, which an interrupt ends in about 5 ms, before it goes on."""


class KernelRunner:
    """The kernel of one goal: started at once, replaced when it dies, given back by `end`.

    `work` is set when the goal is cancelled or ends, and by this class when the kernel cannot be started: whoever waits
    for the model wakes then, and `failure` says why. past: what the goal's session was asked before.
    Cells run on a thread of their own, so that a goal ends in time whose cell does not: a cancelled cell that is stuck
    is stopped after the goal's end, and the session comes back then.
    Raises: Canceled, TimeLimitReached.
    """

    def __init__(
        self,
        sessions: Sessions,
        requests: Requests,
        opening: Opening,
        context: GoalContext,
        cell_timeout: float,
        work: CancelToken,
    ) -> None:
        self._sessions = sessions
        self._requests = requests
        self._opening = opening
        self._context = context
        self._cell_timeout = cell_timeout
        self._work = work
        self._restarts = 0
        self._session: Session | None = None
        self._cells = ThreadPoolExecutor(1, thread_name_prefix="cell")
        self._cell: Future[CellResult] | None = None
        self.failure: BaseException | None = None
        self.sandbox_level = ""
        self._starting = self._begin()
        self.past: Past = self._starting.past

    def run(self, code: str, step: int) -> CellResult:
        """Run one cell within its own and the goal's limit. A cell that ended its kernel carries the names it lost.

        Raises: what starting the kernel raised, Canceled, TimeLimitReached.
        """
        session = self._ready()
        self._context.step = step
        timeout = min(self._cell_timeout, self._context.deadline.remaining())
        self._cell = self._cells.submit(_execute, session, code, timeout, self._context.cancel)
        result = self._outcome(self._cell)
        if session.note:
            result, session.note = replace(result, notes=(*result.notes, session.note)), ""
        if result.status == "died" and not self._context.cancel.is_set():
            self._replace(session, result.error.message if result.error else "")
        return result

    def tell(self) -> str:
        """What the client has to know of the session's past; "" where there is nothing, or it was told before."""
        loss = self.past.loss
        if loss is None or self.past.told:
            return ""
        if self._session is not None and not self._restarts:
            self._session.told = True
        return f"the kernel of this session was lost: {loss.why}; the variables of the questions before are gone"

    def remember(self, question: str, answer: str) -> None:
        """Keep the question and its answer for the follow-ups of this session."""
        if self._session is not None:
            self._session.history.append((question, answer))

    def end(self) -> None:
        """The goal is over: the kernel goes back to its session, or is closed, once its cell has ended."""
        session = self._session
        if session is None:
            self._starting.end(self._sessions)
        else:
            self._requests.stop(session.kernel.id)
            if self._cell is not None and not self._cell.done():
                self._cells.submit(self._sessions.give_back, session)  # behind the cell, on the cell's thread
            else:
                self._sessions.give_back(session)
        self._cells.shutdown(wait=False)

    def _outcome(self, cell: Future[CellResult]) -> CellResult:
        """What the kernel bounds in time comes back; a cancel is waited for no longer than CANCEL_PATIENCE."""
        cancel, woken = self._context.cancel, threading.Event()
        cell.add_done_callback(lambda _: woken.set())
        forget = cancel.on_cancel(woken.set)
        woken.wait()
        forget()
        wait([cell], CANCEL_PATIENCE)
        if not cell.done():
            raise Canceled(cancel.reason)
        return cell.result()

    def _begin(self) -> Starting:
        starting = self._sessions.begin(self._opening, self._work, self._context.deadline)
        starting.on_failure(self._failed)
        return starting

    def _failed(self, error: BaseException) -> None:
        if not self._work.is_set():
            self.failure = error
            self._work.cancel("the kernel could not be started")

    def _ready(self) -> Session:
        if self._session is None:
            session = self._starting.wait(self._context.cancel, self._context.deadline)
            self.sandbox_level = session.kernel.sandbox_level
            self._context.frames = DecodedFrames(session.frames)
            self._requests.serve(session.kernel.id, self._context)
            self._session = session
        return self._session

    def _replace(self, session: Session, reason: str) -> None:
        self._restarts += 1
        if self._restarts >= MAX_RESTARTS:
            raise KernelError(
                f"the kernel ended {self._restarts} times in this goal{f', last: {reason[:500]}' if reason else ''}; "
                f"see kernel.memory_bytes, the other limits of kernel.*, and the node's log"
            )
        self._requests.stop(session.kernel.id)
        self._session = None
        self._sessions.lose(session, session.end)
        self._starting = self._begin()


def _execute(session: Session, code: str, timeout: float, cancel: CancelToken) -> CellResult:
    """Run a cell, and keep what the session has to know of it."""
    result: CellResult = session.kernel.execute(code, timeout, cancel)
    if result.names is not None:
        session.names = result.names
    if result.status == "died":
        session.end = f"a cell ended it: {result.error.message}" if result.error else "a cell ended it"
        return replace(result, names=session.names)
    return result
