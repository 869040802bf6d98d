"""KernelPool: one spare kernel always started with its imports done, so that a goal never waits for Python to start."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import threading
from typing import TYPE_CHECKING

from spatialclaw_ros.errors import Canceled, KernelError, SandboxUnavailable, SpatialClawError, TimeLimitReached
from spatialclaw_ros.kernel import isolation
from spatialclaw_ros.kernel.broker import Broker, BrokerHandler, make_door
from spatialclaw_ros.kernel.channels import Channels, Connection
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.folders import KernelFolders
from spatialclaw_ros.kernel.guest import guest_of
from spatialclaw_ros.kernel.janitor import Janitor
from spatialclaw_ros.kernel.process import SandboxedProcess
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.kernel.watchdog import Watchdog
from spatialclaw_ros.limits import CancelToken, Deadline

if TYPE_CHECKING:
    from spatialclaw_ros.frames.store import FrameStore

_log = logging.getLogger(__name__)

WAIT_STEP = 0.5
MOST_FAILURES = 2

_numbers = itertools.count(1)


class KernelPool:
    """Starts kernels at the strongest isolation level that works here, and ends all of them with itself.

    handler: answers the kernels' broker requests. store: the shared-memory folder in which each kernel gets a folder of
    its own.
    """

    def __init__(self, config: KernelConfig, handler: BrokerHandler, store: FrameStore) -> None:
        self.config = config
        self.level = ""
        self._handler = handler
        self._store = store
        self._changed = threading.Condition()
        self._sessions: dict[str, KernelSession] = {}
        self._spare: KernelSession | None = None
        self._starting = False
        self._error: SpatialClawError | None = None
        self._closing = CancelToken()
        self._starter: threading.Thread | None = None
        self._watchdog: Watchdog | None = None
        self._janitor: Janitor | None = None

    def start(self) -> None:
        """Choose the isolation level and begin to start the spare kernel; returns before that is ready.

        Raises: SandboxUnavailable naming what to install.
        """
        self.level = isolation.choose_level(self.config)
        if self.level == "none":
            _log.warning("kernel.sandbox is none: what the model writes runs with all rights of this user")
        self._janitor = Janitor(self._store.folder)
        self._watchdog = Watchdog(self.config, self.sessions)
        atexit.register(self.close)
        with self._changed:
            self._start_spare()

    def acquire(self, cancel: CancelToken, deadline: Deadline) -> KernelSession:
        """The spare kernel, or the next one to be ready. The caller closes it.

        Raises: KernelError, SandboxUnavailable (why no kernel starts), Canceled, TimeLimitReached.
        """
        forget = cancel.on_cancel(self._notify)
        try:
            with self._changed:
                return self._wait_for_spare(cancel, deadline)
        finally:
            forget()

    def sessions(self) -> list[KernelSession]:
        """Every kernel that runs, the spare included."""
        with self._changed:
            return list(self._sessions.values())

    def close(self) -> None:
        """End every kernel and the pool's threads. A second call does nothing."""
        if self._closing.is_set():
            return
        self._closing.cancel("the kernel pool was closed")
        self._notify()
        atexit.unregister(self.close)
        if self._starter is not None:
            self._starter.join(self.config.start_timeout)
        if self._watchdog is not None:
            self._watchdog.close()
        for session in self.sessions():
            session.close()
        if self._janitor is not None:
            self._janitor.close()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _wait_for_spare(self, cancel: CancelToken, deadline: Deadline) -> KernelSession:
        if not self.level:
            raise KernelError("the kernel pool is not started")
        failures = 0
        while True:
            cancel.raise_if_set()
            if self._closing.is_set():
                raise KernelError("the kernel pool is closed")
            if self._spare is not None:
                spare, self._spare = self._spare, None
                self._start_spare()
                if spare.alive:
                    return spare
                threading.Thread(target=spare.close, name="kernel-closer", daemon=True).start()
                continue
            if self._error is not None:
                error, self._error = self._error, None
                failures += 1
                if failures >= MOST_FAILURES or isinstance(error, SandboxUnavailable):
                    raise error
            self._start_spare()
            if deadline.remaining() <= 0:
                raise TimeLimitReached("no Python kernel was ready within the goal's time limit")
            self._changed.wait(min(WAIT_STEP, deadline.remaining()))

    def _start_spare(self) -> None:
        """With the condition held: begin to start a kernel unless one is there or coming."""
        if self._spare is None and not self._starting and not self._closing.is_set():
            self._starting = True
            starter = threading.Thread(target=self._make_spare, name="kernel-starter", daemon=True)
            try:
                starter.start()
            except RuntimeError as problem:  # the machine or the account has no thread left
                self._starting, self._error = False, KernelError(f"a kernel could not be started: {problem}")
                return
            self._starter = starter

    def _make_spare(self) -> None:
        """On the starter's thread: whatever happens, those who wait learn that it ended, and why."""
        session: KernelSession | None = None
        error: SpatialClawError | None = KernelError("a kernel could not be started")
        try:
            session, error = self._start_kernel(), None
        except Canceled:
            error = KernelError("the kernel pool was closed")
        except SpatialClawError as problem:
            error = problem
        except Exception as problem:  # no descriptors, threads or memory: zmq, too, has errors of its own
            _log.warning("a kernel could not be started", exc_info=True)
            error = KernelError(f"a kernel could not be started: {type(problem).__name__}: {problem}")
        finally:
            with self._changed:
                self._starting = False
                self._spare, self._error = session, error
                self._changed.notify_all()

    def _start_kernel(self) -> KernelSession:
        name = f"kernel-{next(_numbers)}"
        with contextlib.ExitStack() as undo:
            folders = KernelFolders.make(self._store.make_folder(name), guest_of(self.level, self.config))
            undo.callback(folders.remove)
            near, far = make_door() if self.level in ("unshare", "landlock") else (None, None)
            broker = Broker(folders.broker, self._handler, self.config.max_request_bytes, near)
            undo.callback(broker.close)
            folders.open_broker()
            connection = Connection(str(folders.sockets / "k"))
            described = connection.described(f"{folders.sockets_inside(self.level)}/k")
            process = self._start_process(folders, described, None if far is None else far.fileno(), undo)
            if far is not None:
                far.close()
            channels = Channels(connection, self.config.max_message_bytes)
            undo.callback(channels.close)
            channels.say_hello(self.config.start_timeout, self._closing)
            session = KernelSession(name, self.config, folders, process, channels, broker, self._forget)
            undo.pop_all()
        with self._changed:
            self._sessions[name] = session
        return session

    def _start_process(
        self, folders: KernelFolders, described: dict, door: int | None, undo: contextlib.ExitStack
    ) -> SandboxedProcess:
        """Start it, and let it test itself once more: what held for the first process is made sure of for every one."""
        if self.level == "none":
            process = SandboxedProcess("none", self.config, folders, described, None)
            undo.callback(process.close)
            process.wait_ready(self.config.start_timeout, self._closing)
            return process
        with isolation.targets(folders, self.level) as plan:
            process = SandboxedProcess(self.level, self.config, folders, described, plan, door)
            undo.callback(process.close)
            process.wait_ready(self.config.start_timeout, self._closing)
        broken = [f"{name}: {what}" for name, what in process.report["checks"].items() if what]
        if broken:
            raise SandboxUnavailable(
                f"a kernel's isolation ({self.level}) does not hold: {'; '.join(map(str, broken))}"
            )
        return process

    def _forget(self, session: KernelSession) -> None:
        with self._changed:
            self._sessions.pop(session.id, None)
