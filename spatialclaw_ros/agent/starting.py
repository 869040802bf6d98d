"""Starting: a kernel that is being prepared while the first request is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from spatialclaw_ros.agent.session import Past, Session
from spatialclaw_ros.limits import CancelToken, Deadline

if TYPE_CHECKING:
    from spatialclaw_ros.agent.sessions import Sessions


class Starting:
    """past: what the session was asked before this kernel was taken or started for it."""

    def __init__(self, future: Future[Session], past: Past) -> None:
        self._future = future
        self.past = past

    def on_failure(self, callback: Callable[[BaseException], object]) -> None:
        """Call `callback(error)` should the kernel not start; at once if it already failed."""

        def finished(done: Future[Session]) -> None:
            error = done.exception()
            if error is not None:
                callback(error)

        self._future.add_done_callback(finished)

    def wait(self, cancel: CancelToken, deadline: Deadline) -> Session:
        """The session, as soon as its frames are there. Raises: what starting raised, Canceled, TimeLimitReached."""
        woken = threading.Event()
        self._future.add_done_callback(lambda _: woken.set())
        forget = cancel.on_cancel(woken.set)
        try:
            while not self._future.done():
                cancel.raise_if_set()
                deadline.raise_if_over()
                woken.wait(deadline.remaining())
            return self._future.result()
        finally:
            forget()

    def end(self, sessions: Sessions) -> None:
        """After a goal that got no kernel: give the session back once it is there."""

        def finished(done: Future[Session]) -> None:
            if done.exception() is None:
                sessions.give_back(done.result())

        self._future.add_done_callback(finished)
