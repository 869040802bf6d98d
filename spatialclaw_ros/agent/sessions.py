"""Sessions: the kernels of running goals, and those that a session id keeps for a follow-up question."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from spatialclaw_ros.errors import KernelError, SpatialClawError
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.limits import CancelToken, Deadline

_log = logging.getLogger(__name__)

POLL = 0.05
"""Longest time, s, after which a waiting goal looks at its cancel token again."""

MAX_KEPT_FRAMES = 2000
"""Frames of earlier questions of a session that its cells may still name."""


class Pool(Protocol):
    """Where kernels come from (kernel.pool.KernelPool)."""

    def start(self) -> None: ...

    def close(self) -> None: ...

    def acquire(self, cancel: CancelToken, deadline: Deadline) -> Any: ...


@dataclass
class Session:
    """A kernel and what it has been asked. frames: by index, of this and of earlier questions, the newest last."""

    kernel: Any
    id: str = ""
    frames: dict[int, Frame] = field(default_factory=dict)
    history: list[tuple[str, str]] = field(default_factory=list)
    snapshot: Snapshot | None = None

    def remember_frames(self, frames: Sequence[Frame]) -> None:
        """Let cells name these frames, too; copies, since the caller's may hold decoded pixels."""
        for frame in frames:
            self.frames.pop(frame.index, None)
            self.frames[frame.index] = replace(frame)
        for index in list(self.frames)[: max(0, len(self.frames) - MAX_KEPT_FRAMES)]:
            del self.frames[index]


class Sessions:
    """Hands out kernels, keeps those with a session id (`most` of them, the longest unused goes), closes the others."""

    def __init__(self, pool: Pool, most: int) -> None:
        self._pool = pool
        self._most = most
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="kernels")

    def find(self, session_id: str) -> Session | None:
        """The kept session of this id, if its kernel still lives."""
        with self._lock:
            session = self._kept.get(session_id) if session_id else None
        return session if session is not None and session.kernel.alive else None

    def begin(
        self,
        session_id: str,
        snapshot: Snapshot,
        info: dict[str, Any],
        files: Mapping[str, bytes],
        cancel: CancelToken,
        deadline: Deadline,
    ) -> Starting:
        """Take or start the kernel and bring the goal's frames into it, on a thread of its own.

        info: what the kernel's side gets to know besides the frames (JSON). files: more that it can read, by name.
        """
        return Starting(self._workers.submit(self._begin, session_id, snapshot, info, files, cancel, deadline))

    def _begin(
        self,
        session_id: str,
        snapshot: Snapshot,
        info: dict[str, Any],
        files: Mapping[str, bytes],
        cancel: CancelToken,
        deadline: Deadline,
    ) -> Session:
        with self._lock:
            session = self._kept.pop(session_id, None) if session_id else None
        if session is not None and not session.kernel.alive:
            self.discard(session)
            session = None
        if session is None:
            session = Session(self._pool.acquire(cancel, deadline), session_id)
        try:
            _bring_in(session, snapshot, info, files, cancel, deadline)
        except BaseException:
            self.discard(session)
            raise
        session.snapshot = snapshot
        session.remember_frames(snapshot)
        return session

    def give_back(self, session: Session) -> None:
        """After a goal: keep the kernel if it has a session id and lives, else close it."""
        if not session.id or not session.kernel.alive:
            self.discard(session)
            return
        with self._lock:
            dropped = [self._kept.pop(session.id)] if session.id in self._kept else []
            self._kept[session.id] = session
            dropped += [self._kept.popitem(last=False)[1] for _ in range(len(self._kept) - self._most)]
        for each in dropped:
            self.discard(each)

    def discard(self, session: Session) -> None:
        """Close a kernel without keeping anybody waiting."""
        self._workers.submit(_close, session.kernel)

    def close(self) -> None:
        """Close every kernel that is kept, and wait for those that are being closed."""
        with self._lock:
            kept, self._kept = list(self._kept.values()), OrderedDict()
        for session in kept:
            self.discard(session)
        self._workers.shutdown(wait=True)


class Starting:
    """A kernel that is being prepared while the first request is under way."""

    def __init__(self, future: Future[Session]) -> None:
        self._future = future

    def on_failure(self, callback: Callable[[BaseException], object]) -> None:
        """Call `callback(error)` should the kernel not start; at once if it already failed."""

        def finished(done: Future[Session]) -> None:
            error = done.exception()
            if error is not None:
                callback(error)

        self._future.add_done_callback(finished)

    def wait(self, cancel: CancelToken, deadline: Deadline) -> Session:
        """The session, as soon as its frames are there. Raises: what starting raised, Canceled, TimeLimitReached."""
        while True:
            try:
                return self._future.result(POLL)
            except FutureTimeout:
                if self._future.done():  # between the time-out and here; or starting itself raised a TimeoutError
                    return self._future.result()
                cancel.raise_if_set()
                deadline.raise_if_over()

    def end(self, sessions: Sessions) -> None:
        """After the goal, however it ended: give the session back once it is there."""

        def finished(done: Future[Session]) -> None:
            if not done.cancelled() and done.exception() is None:
                sessions.give_back(done.result())

        self._future.add_done_callback(finished)


def _bring_in(
    session: Session,
    snapshot: Snapshot,
    info: dict[str, Any],
    files: Mapping[str, bytes],
    cancel: CancelToken,
    deadline: Deadline,
) -> None:
    """Raises: KernelError also where the shared memory takes no more."""
    try:
        for name, data in files.items():
            (session.kernel.frames_folder / name).write_bytes(data)
        session.kernel.begin(snapshot, info, cancel, deadline)
    except OSError as error:
        raise KernelError(
            f"the goal's frames could not be brought into its kernel: {error}; is the shared memory full (df /dev/shm)?"
        ) from error


def _close(kernel: Any) -> None:
    try:
        kernel.close()
    except (SpatialClawError, OSError):
        _log.exception("a kernel could not be closed")
