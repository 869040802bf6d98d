"""Sessions: the kernels of running goals, and those that a session id keeps for a follow-up question."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from spatialclaw_ros.agent.session import ENDED_UNUSED, MAX_KEPT_BYTES, Past, Session
from spatialclaw_ros.agent.starting import Starting
from spatialclaw_ros.errors import Canceled, KernelError, SpatialClawError, TimeLimitReached
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.limits import CancelToken, Deadline

_log = logging.getLogger(__name__)

POLL = 0.05
"""Longest time, s, after which a goal that waits for its session looks at its cancel token again."""

MAX_LOST = 64
"""Sessions whose kernel is gone and whose questions are still known."""

CLOSING = 5.0
"""Longest time, s, that closing waits for the thread that lets unused sessions go."""

DROPPED = (
    "pictures of earlier questions were dropped to save memory: take frames from InputImages anew, variables that hold "
    "older ones may not open any more"
)


class Pool(Protocol):
    """Where kernels come from (kernel.pool.KernelPool)."""

    def start(self) -> None: ...

    def close(self) -> None: ...

    def acquire(self, cancel: CancelToken, deadline: Deadline) -> Any: ...


@dataclass(frozen=True)
class Opening:
    """What a goal brings to its kernel.

    info: what the kernel's side gets to know besides the frames (JSON). files: more that it can read, by name.
    """

    session_id: str
    snapshot: Snapshot
    info: dict[str, Any]
    files: Mapping[str, bytes]


class Sessions:
    """Hands out kernels, keeps those with a session id, closes the others.

    most: sessions that are kept; the least recently used one beyond it loses its kernel. ttl: seconds of steady time
    after which an unused one does, 0 = never. max_kept_bytes: images of earlier questions that one may hold on to.
    goals: kernels that may be prepared at once.
    """

    def __init__(
        self, pool: Pool, most: int, ttl: float = 0.0, max_kept_bytes: int = MAX_KEPT_BYTES, goals: int = 1
    ) -> None:
        self._pool = pool
        self._most = most
        self._ttl = ttl
        self._max_kept_bytes = max_kept_bytes
        self._lost: OrderedDict[str, Past] = OrderedDict()
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self._out: set[str] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._workers = ThreadPoolExecutor(goals + 3, thread_name_prefix="kernels")
        self._expiry = threading.Thread(target=self._expire, name="session-expiry", daemon=True)
        if ttl > 0:
            self._expiry.start()

    def find(self, session_id: str, cancel: CancelToken, deadline: Deadline) -> tuple[Session | None, Past]:
        """The kept session of this id, if its kernel lives, and what it was asked before.

        Waits while a cell of the session's last question is still being stopped. Raises: Canceled, TimeLimitReached.
        """
        if not session_id:
            return None, Past()
        with self._changed:
            return self._find(session_id, cancel, deadline)

    def begin(self, opening: Opening, cancel: CancelToken, deadline: Deadline) -> Starting:
        """Take the session's kernel or start one, and bring the goal's frames into it on a thread of its own.

        Waits as `find` does, and raises the same.
        """
        session_id, kept, past = opening.session_id, None, Past()
        with self._changed:
            if session_id:
                kept, past = self._find(session_id, cancel, deadline)
                self._kept.pop(session_id, None)
                self._out.add(session_id)
        try:
            future = self._workers.submit(self._prepare, kept, opening, cancel, deadline)
        except BaseException:
            self._come_back(session_id)
            raise
        return Starting(future, past)

    def give_back(self, session: Session) -> None:
        """After a goal: keep the kernel if it has a session id and lives, else close it."""
        if not session.kernel.alive:
            self.lose(session, session.end or ENDED_UNUSED)
            return
        with self._changed:
            if not session.id or self._closed:
                self._discard(session)
                return
            session.used = time.monotonic()
            self._kept[session.id] = session
            while len(self._kept) > self._most:
                why = f"of more than {self._most} sessions (loop.max_sessions) it was the least recently used"
                self._bury(self._kept.popitem(last=False)[1], why)
            self._come_back(session.id)

    def lose(self, session: Session, why: str) -> None:
        """Close a kernel whose session may go on: its next question is told that the variables are gone, and why."""
        with self._changed:
            self._bury(session, why)
            self._come_back(session.id)

    def close(self) -> None:
        """Close every kernel that is kept, and wait for those that are being closed."""
        with self._changed:
            self._closed = True
            kept, self._kept = list(self._kept.values()), OrderedDict()
            self._changed.notify_all()
        for session in kept:
            self._discard(session)
        self._workers.shutdown(wait=True)
        if self._expiry.is_alive():
            self._expiry.join(CLOSING)

    def _find(self, session_id: str, cancel: CancelToken, deadline: Deadline) -> tuple[Session | None, Past]:
        """With the condition held."""
        while session_id in self._out:
            cancel.raise_if_set()
            deadline.raise_if_over()
            self._changed.wait(POLL)
        session = self._kept.get(session_id)
        if session is not None and not session.kernel.alive:
            self._bury(self._kept.pop(session_id), session.end or ENDED_UNUSED)
            session = None
        return session, session.past() if session is not None else self._lost.get(session_id, Past())

    def _prepare(
        self, kept: Session | None, opening: Opening, cancel: CancelToken, deadline: Deadline, again: bool = False
    ) -> Session:
        try:
            session = kept or self._fresh(self._pool.acquire(cancel, deadline), opening.session_id)
        except BaseException:
            self._come_back(opening.session_id)
            raise
        try:
            dropped = _bring_in(session, opening, cancel, deadline)
        except BaseException as error:
            if isinstance(error, KernelError) and not session.kernel.alive and not again:
                return self._replace(session, kept is not None, opening, cancel, deadline)
            if kept is None:
                self._undo(session)
            elif isinstance(error, (Canceled, TimeLimitReached)):
                self.give_back(session)  # its variables are none the worse for it
            else:
                self.lose(session, str(error))
            raise
        session.snapshot = opening.snapshot
        session.remember_frames(opening.snapshot, self._max_kept_bytes)
        session.note = DROPPED if dropped else ""
        return session

    def _replace(
        self, ended: Session, was_kept: bool, opening: Opening, cancel: CancelToken, deadline: Deadline
    ) -> Session:
        """Another kernel for one that ended while it waited for its goal, which is no failure of the goal's."""
        if not was_kept:
            self._discard(ended)
            return self._prepare(None, opening, cancel, deadline, again=True)
        why = ended.end or ENDED_UNUSED
        with self._changed:
            self._bury(ended, why)
        session = self._prepare(None, opening, cancel, deadline, again=True)
        session.note = f"the kernel of this session was lost ({why}): variables of earlier questions are gone"
        return session

    def _fresh(self, kernel: Any, session_id: str) -> Session:
        kernel.max_kept_bytes = self._max_kept_bytes
        with self._changed:
            return Session.after(self._lost.get(session_id, Past()), kernel, session_id)

    def _undo(self, fresh: Session) -> None:
        """Close a kernel that no question was asked of; what its session lost before is known as it was."""
        self._discard(fresh)
        self._come_back(fresh.id)

    def _bury(self, session: Session, why: str) -> None:
        """With the condition held: note what a session loses, and close its kernel."""
        if session.id:
            self._lost.pop(session.id, None)
            self._lost[session.id] = session.lose(why)
            while len(self._lost) > MAX_LOST:
                self._lost.popitem(last=False)
        self._discard(session)

    def _come_back(self, session_id: str) -> None:
        """The session is nobody's any more: whoever waits for it goes on."""
        with self._changed:
            self._out.discard(session_id)
            self._changed.notify_all()

    def _expire(self) -> None:
        """On a thread of its own: let unused sessions go as soon as their time is over."""
        with self._changed:
            while not self._closed:
                over = time.monotonic() - self._ttl
                for session in [session for session in self._kept.values() if session.used <= over]:
                    del self._kept[session.id]
                    self._bury(session, f"it was unused for longer than {self._ttl:g} s (loop.session_ttl)")
                oldest = min((session.used for session in self._kept.values()), default=time.monotonic())
                self._changed.wait(max(0.0, oldest - over))

    def _discard(self, session: Session) -> None:
        """Close a kernel without keeping anybody waiting."""
        try:
            self._workers.submit(_close, session.kernel)
        except RuntimeError:  # the workers are shut down: a cell that would not stop outlived its agent
            _close(session.kernel)


def _bring_in(session: Session, opening: Opening, cancel: CancelToken, deadline: Deadline) -> bool:
    """True where pictures of earlier questions had to go. Raises: KernelError also where shared memory is full."""
    try:
        for name, data in opening.files.items():
            (session.kernel.frames_folder / name).write_bytes(data)
        return bool(session.kernel.begin(opening.snapshot, opening.info, cancel, deadline))
    except OSError as error:
        raise KernelError(
            f"the goal's frames could not be brought into its kernel: {error}; is the shared memory full (df /dev/shm)?"
        ) from error


def _close(kernel: Any) -> None:
    try:
        kernel.close()
    except (SpatialClawError, OSError):
        _log.exception("a kernel could not be closed")
