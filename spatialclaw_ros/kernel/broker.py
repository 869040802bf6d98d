"""The broker: a kernel's only way to perception and the model: its sockets, and the framing of messages on them.

One thread per kernel reads one request at a time; RequestService says what becomes of it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatialclaw_ros.kernel import wire
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.methods import MAX_REPLY_BYTES
from spatialclaw_ros.kernel.request_service import BrokerHandler, RequestService, refusal
from spatialclaw_ros.kernel.token_bucket import TokenBucket
from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.workbench.errors import RequestRateExceeded, ToolError

if TYPE_CHECKING:
    from spatialclaw_ros.kernel.session import KernelSession

MAX_CONNECTIONS = 4
BACKLOG = 16
MESSAGE_SECONDS = 10.0
"""Time that one message may take to arrive or leave, once it has begun."""
STEP_SECONDS = 0.2
"""How soon a stalled message notices that the kernel is being closed."""

_log = logging.getLogger(__name__)


class Broker:
    """Serves one kernel's requests until closed.

    path: the listening socket, in the kernel's socket folder. door: the host's end of a socket pair over which a kernel
    that may not call connect() (Landlock) asks for connections.
    """

    def __init__(self, path: Path, handler: BrokerHandler, max_request_bytes: int, door: socket.socket | None) -> None:
        self._service = RequestService(handler)
        self._max_bytes = max_request_bytes
        self._door = door
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(BACKLOG)
        self._wake, self._wake_far = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for item in (self._listener, self._wake_far, *([door] if door else [])):
            item.setblocking(False)
            self._selector.register(item, selectors.EVENT_READ)
        self._connections: set[socket.socket] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"broker-{path.parent.parent.name}", daemon=True)

    def start(self, session: KernelSession, config: KernelConfig) -> None:
        """Serve from now on. config: the limits on requests per second and bytes per second."""
        rate = config.max_request_bytes_per_second
        self._bytes = TokenBucket(rate, max(rate, self._max_bytes))  # the largest request has to fit once
        self._service.start(session, config)
        self._thread.start()

    def begin_cell(self, cancel: CancelToken) -> None:
        """From now on requests are served, with `cancel`."""
        self._service.begin_cell(cancel)

    def end_cell(self) -> None:
        """Requests are refused again; one that still runs is cancelled."""
        self._service.end_cell()

    def close(self) -> None:
        """Cancel what runs, close every connection and wait for the thread, at most a few seconds."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._service.close()
        self._wake.send(b"x")
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(MESSAGE_SECONDS)
        if self._thread.is_alive():
            _log.warning("the broker of a kernel that was closed does not end")
            return
        self._close_sockets()

    def _close_sockets(self) -> None:
        self._selector.close()
        for item in (
            *self._connections,
            self._listener,
            self._wake,
            self._wake_far,
            *([self._door] if self._door else []),
        ):
            item.close()
        self._connections.clear()

    def _serve(self) -> None:
        while not self._closing.is_set():
            for key, _ in self._selector.select():
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                if ready is self._wake_far:
                    break
                if ready is self._listener:
                    self._accept()
                elif ready is self._door:
                    self._open_door()
                else:
                    self._answer(ready)
        # closing: the closer closes the sockets, unless it gave up waiting for this thread

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it went away before it was accepted
            connection, _ = self._listener.accept()
            self._admit(connection)

    def _open_door(self) -> None:
        """The kernel asks for a connection: make a pair and hand one end over."""
        assert self._door is not None
        try:
            asked = self._door.recv(1)
        except OSError:
            asked = b""
        if not asked:
            self._selector.unregister(self._door)
            return
        near, far = socket.socketpair()
        try:
            socket.send_fds(self._door, [b"c"], [far.fileno()])
            self._admit(near)
        except OSError:
            near.close()
        finally:
            far.close()

    def _admit(self, connection: socket.socket) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            connection.close()
            return
        connection.settimeout(MESSAGE_SECONDS)
        self._connections.add(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _drop(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        self._connections.discard(connection)
        connection.close()

    def _answer(self, connection: socket.socket) -> None:
        """One request, one reply. A connection that breaks the framing or a limit is closed, after saying why."""
        try:
            body = self._receive(connection)
            if body is None:
                self._drop(connection)
                return
            self._send(connection, self._service.reply_to(body))
        except OSError:
            self._drop(connection)
        except (wire.BadRequest, RequestRateExceeded) as error:
            self._dismiss(connection, error)
        except (ValueError, TypeError) as error:  # text that is no Unicode, for one
            self._dismiss(connection, ToolError(f"the result cannot be sent: {error}"))

    def _dismiss(self, connection: socket.socket, error: Exception) -> None:
        with contextlib.suppress(OSError):  # it may be gone already
            self._send(connection, refusal(error))
        self._drop(connection)

    def _receive(self, connection: socket.socket) -> bytes | None:
        """A message's body; None at the end of the stream.

        Raises: BadRequest, RequestRateExceeded (before the body is read), OSError (it broke, or stalled).
        """
        end = time.monotonic() + MESSAGE_SECONDS
        header = self._read(connection, wire.HEADER.size, end)
        if header is None:
            return None
        (length,) = wire.HEADER.unpack(header)
        if not 0 < length <= self._max_bytes:
            raise wire.BadRequest(
                f"a request of {length} bytes; expected 1 to {self._max_bytes} (kernel.max_request_bytes): send fewer "
                "or smaller pictures (items of InputImages travel by number and cost nothing)"
            )
        if not self._bytes.take(length):
            self._closing.wait(min(1.0, self._bytes.seconds_until(length)))
            rate = f"{self._bytes.rate / 2**20:g} MiB a second (kernel.max_request_bytes_per_second)"
            raise RequestRateExceeded(f"more than {rate} of pictures; items of InputImages travel by number")
        return self._read(connection, length, end)

    def _read(self, connection: socket.socket, count: int, end: float) -> bytes | None:
        parts, missing = [], count
        while missing:
            if time.monotonic() > end or self._closing.is_set():
                raise TimeoutError("a message stalled")
            connection.settimeout(STEP_SECONDS)
            try:
                part = connection.recv(min(missing, 1 << 20))
            except TimeoutError:
                continue
            if not part:
                return None
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _send(self, connection: socket.socket, message: dict[str, Any]) -> None:
        data = wire.encode(message)
        if len(data) - wire.HEADER.size > MAX_REPLY_BYTES:
            text = f"the result has {len(data)} bytes, at most {MAX_REPLY_BYTES} fit; arrays go through share_array"
            data = wire.encode(refusal(ToolError(text), message["id"]))
        connection.settimeout(MESSAGE_SECONDS)
        connection.sendall(data)


def make_door() -> tuple[socket.socket, socket.socket]:
    """A socket pair: the host's end, and the kernel's (inheritable)."""
    near, far = socket.socketpair()
    os.set_inheritable(far.fileno(), True)
    return near, far
