"""Sessions: the kernels of running goals, and those that a session id keeps for a follow-up question."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from spatialclaw_ros.errors import Canceled, KernelError, SpatialClawError, TimeLimitReached
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.limits import CancelToken, Deadline

_log = logging.getLogger(__name__)

POLL = 0.05
"""Longest time, s, after which a waiting goal looks at its cancel token again."""

MAX_KEPT_FRAMES = 2000
"""Frames of earlier questions of a session that its cells may still name."""


MAX_LOST = 64
"""Sessions whose kernel is gone and whose questions are still known."""

PUT_BACK = 0.5
"""Longest time, s, that a goal's end waits for a kernel whose preparation was cut short."""

MAX_KEPT_BYTES = 256 << 20
"""Images of earlier questions that a session holds on to, where nothing else is said."""

DROPPED = (
    "pictures of earlier questions were dropped to save memory: take frames from InputImages anew, variables that hold "
    "older ones may not open any more"
)


class Pool(Protocol):
    """Where kernels come from (kernel.pool.KernelPool)."""

    def start(self) -> None: ...

    def close(self) -> None: ...

    def acquire(self, cancel: CancelToken, deadline: Deadline) -> Any: ...


@dataclass
class Session:
    """A kernel and what it has been asked.

    frames: by index, of this and of earlier questions, the newest last. history: questions and answers; lost: how many
    of the first of them were asked of a kernel that is gone, None = no kernel of this session was lost. note: what the
    model has to know of the session at its next cell.
    """

    kernel: Any
    id: str = ""
    frames: dict[int, Frame] = field(default_factory=dict)
    history: list[tuple[str, str]] = field(default_factory=list)
    snapshot: Snapshot | None = None
    lost: int | None = None
    note: str = ""

    def remember_frames(self, frames: Sequence[Frame], max_bytes: int = MAX_KEPT_BYTES) -> None:
        """Let cells name these frames, too; copies, since the caller's may hold decoded pixels.

        max_bytes: of the images of earlier questions; the oldest frames beyond it leave.
        """
        current = {frame.index for frame in frames}
        for frame in frames:
            self.frames.pop(frame.index, None)
            self.frames[frame.index] = replace(frame)
        for index in list(self.frames)[: max(0, len(self.frames) - MAX_KEPT_FRAMES)]:
            del self.frames[index]
        room = max_bytes
        for index in [index for index in reversed(self.frames) if index not in current]:
            room -= _size(self.frames[index])
            if room < 0:
                del self.frames[index]


@dataclass(frozen=True)
class Past:
    """What a session was asked before: of a kernel that was lost, and of the one that still has its variables.

    kernel_lost: whether there was a kernel that was lost, even with nothing answered.
    """

    lost: tuple[tuple[str, str], ...] = ()
    earlier: tuple[tuple[str, str], ...] = ()
    kernel_lost: bool = False


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
    """Hands out kernels, keeps those with a session id (`most` of them, the longest unused goes), closes the others.

    max_kept_bytes: images of earlier questions that one session may hold on to.
    """

    def __init__(self, pool: Pool, most: int, max_kept_bytes: int = MAX_KEPT_BYTES) -> None:
        self._pool = pool
        self._most = most
        self._max_kept_bytes = max_kept_bytes
        self._lost: OrderedDict[str, list[tuple[str, str]]] = OrderedDict()
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="kernels")

    def find(self, session_id: str) -> Session | None:
        """The kept session of this id, if its kernel still lives."""
        with self._lock:
            session = self._kept.get(session_id) if session_id else None
        return session if session is not None and session.kernel.alive else None

    def past(self, session_id: str) -> Past:
        """What this session was asked before, whether or not its kernel lives."""
        with self._lock:
            session = self._kept.get(session_id)
            words = self._lost.get(session_id)
        if session is not None:
            lost = session.lost if session.kernel.alive else len(session.history)
            history = tuple(session.history)
            return Past(history[: lost or 0], history[lost or 0 :], lost is not None)
        return Past(() if words is None else tuple(words), (), words is not None)

    def begin(self, opening: Opening, cancel: CancelToken, deadline: Deadline) -> Starting:
        """Take or start the kernel and bring the goal's frames into it, on a thread of its own."""
        return Starting(self._workers.submit(self._begin, opening, cancel, deadline))

    def _begin(self, opening: Opening, cancel: CancelToken, deadline: Deadline) -> Session:
        session_id = opening.session_id
        with self._lock:
            session = self._kept.pop(session_id, None) if session_id else None
        if session is not None and not session.kernel.alive:
            self.lose(session)
            session = None
        was_kept = session is not None
        if session is None:
            session = self._fresh(self._pool.acquire(cancel, deadline), session_id)
        try:
            dropped = _bring_in(session, opening, cancel, deadline)
        except (Canceled, TimeLimitReached):
            if was_kept:
                self.give_back(session)  # its variables are none the worse for it
            else:
                self._drop_fresh(session)
            raise
        except BaseException:
            self.lose(session) if was_kept else self._drop_fresh(session)
            raise
        session.snapshot = opening.snapshot
        session.remember_frames(opening.snapshot, self._max_kept_bytes)
        session.note = DROPPED if dropped else ""
        return session

    def _fresh(self, kernel: Any, session_id: str) -> Session:
        kernel.max_kept_bytes = self._max_kept_bytes
        with self._lock:
            words = self._lost.pop(session_id, None)
        if words is None:
            return Session(kernel, session_id)
        return Session(kernel, session_id, history=words, lost=len(words))

    def _drop_fresh(self, session: Session) -> None:
        """Close a kernel that no question was asked of; what its session lost before is still known afterwards."""
        if session.lost is not None:
            self.lose(session)
        else:
            self.discard(session)

    def give_back(self, session: Session) -> None:
        """After a goal: keep the kernel if it has a session id and lives, else close it."""
        if not session.id or not session.kernel.alive:
            self.lose(session)
            return
        with self._lock:
            replaced = self._kept.pop(session.id, None)
            self._kept[session.id] = session
            dropped = [self._kept.popitem(last=False)[1] for _ in range(len(self._kept) - self._most)]
        if replaced is not None:
            self.discard(replaced)
        for each in dropped:
            self.lose(each)

    def lose(self, session: Session) -> None:
        """Close a kernel whose session may go on: its next question is told that the variables are gone."""
        if session.id:
            with self._lock:
                self._lost[session.id] = session.history
                while len(self._lost) > MAX_LOST:
                    self._lost.popitem(last=False)
        self.discard(session)

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
        """After the goal, however it ended: give the session back once it is there.

        Waits a moment for that, since the session's next question may follow at once.
        """
        wait_for([self._future], PUT_BACK)

        def finished(done: Future[Session]) -> None:
            if not done.cancelled() and done.exception() is None:
                sessions.give_back(done.result())

        self._future.add_done_callback(finished)


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


def _size(frame: Frame) -> int:
    payloads = (frame.color_payload, frame.depth_payload)
    return sum(payload.data.nbytes for payload in payloads if payload is not None)


def _close(kernel: Any) -> None:
    try:
        kernel.close()
    except (SpatialClawError, OSError):
        _log.exception("a kernel could not be closed")
