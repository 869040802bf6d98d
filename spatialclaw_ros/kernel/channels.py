"""The host's ends of a kernel's sockets: shell, control and output stream, read with one poller.

Nothing that arrives is trusted: the signing key lies in the kernel's own memory, so a cell can send any message it
likes. Messages are bounded before they are read and before they are parsed, and checked for type afterwards.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

import zmq
from jupyter_client.session import Session

from spatialclaw_ros.errors import Canceled, KernelError
from spatialclaw_ros.limits import CancelToken

PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
MESSAGE_PARTS = 64
QUEUE_LENGTH = 10_000
HELLO_SECONDS = 0.25


@dataclass(frozen=True)
class KernelMessage:
    """A message that parsed: its type, the id of the request that it belongs to, its content and metadata."""

    type: str
    parent: str
    content: dict[str, Any]
    metadata: dict[str, Any]


class Connection:
    """Where a kernel listens, and the key that its messages are signed with. base: path before the port number."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.key = secrets.token_hex(32)

    def described(self, base: str) -> dict[str, Any]:
        """As in a Jupyter connection file; base: the same path as the kernel sees it."""
        ports = {f"{name}_port": number for name, number in PORTS.items()}
        return {"transport": "ipc", "ip": base, "key": self.key, "signature_scheme": "hmac-sha256", **ports}


class Channels:
    """One kernel's channels. Used by one thread at a time; only `wake` may be called from any."""

    def __init__(self, connection: Connection, max_message_bytes: int) -> None:
        self.session = Session(key=connection.key.encode(), username="host")
        self._max_bytes = max_message_bytes
        self._context = _context()
        self.shell = self._connect(zmq.DEALER, connection, "shell")
        self.control = self._connect(zmq.DEALER, connection, "control")
        self.iopub = self._connect(zmq.SUB, connection, "iopub")
        self._near, self._far = socket.socketpair()
        for end in (self._near, self._far):
            end.setblocking(False)
        self.poller = zmq.Poller()
        for item in (self.iopub, self.shell, self.control, self._far.fileno()):
            self.poller.register(item, zmq.POLLIN)
        self.refused = 0

    def _connect(self, kind: int, connection: Connection, name: str) -> zmq.Socket:
        made = self._context.socket(kind)
        made.linger = 0
        made.setsockopt(zmq.RCVHWM, QUEUE_LENGTH)
        made.setsockopt(zmq.MAXMSGSIZE, self._max_bytes)  # a longer one closes the connection
        made.setsockopt(zmq.RECONNECT_IVL, -1)  # the path belongs to a folder that the kernel can write to
        if kind == zmq.SUB:
            made.setsockopt(zmq.SUBSCRIBE, b"")
        made.connect(f"ipc://{connection.base}-{PORTS[name]}")
        return made

    def wake(self) -> None:
        """End a running `wait` now."""
        try:
            self._near.send(b"w")
        except OSError:
            return  # full: a wake-up is already waiting; or closed: nobody waits

    def watch(self, descriptor: int) -> None:
        """Let `wait` also end when this descriptor becomes readable (the process's pidfd: when it has ended)."""
        self.poller.register(descriptor, zmq.POLLIN)

    def wait(self, seconds: float) -> set[int]:
        """Wait at most so long for anything to arrive; the plain descriptors that are readable."""
        ready = self.poller.poll(math.ceil(max(0.0, seconds) * 1000))
        found = {item for item, _ in ready if isinstance(item, int)}
        if self._far.fileno() in found:
            self.clear_wake()
        return found

    def clear_wake(self) -> None:
        try:
            while self._far.recv(64):
                pass
        except BlockingIOError:
            return

    def request(self, channel: zmq.Socket, kind: str, content: dict[str, Any]) -> str:
        """Send a request; returns its id, which no cell can guess to reply before it was asked.

        Raises: KernelError where the kernel takes no more.
        """
        message = self.session.msg(kind, content)
        message["msg_id"] = message["header"]["msg_id"] = secrets.token_hex(16)  # Jupyter's count
        try:
            channel.send_multipart(self.session.serialize(message), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            raise KernelError(f"the kernel takes no {kind}: {error}") from error
        return message["header"]["msg_id"]

    @staticmethod
    def waiting(channel: zmq.Socket) -> bool:
        """Whether another message has already arrived."""
        return bool(int(channel.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    def receive(self, channel: zmq.Socket) -> KernelMessage | None:
        """The next waiting message; None where there is none, or it was refused (counted in `refused`)."""
        try:
            parts: list[Any] = channel.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        if len(parts) > MESSAGE_PARTS or sum(map(len, parts)) > self._max_bytes:
            self.refused += 1
            return None
        try:
            _, parts = self.session.feed_identities(parts)
            raw = self.session.deserialize(parts)
            message = KernelMessage(
                str(raw["header"]["msg_type"]),
                str(raw["parent_header"].get("msg_id", "")),
                raw["content"],
                raw["metadata"],
            )
        except Exception:  # any bytes may come; whatever the parser makes of them, they are refused
            self.refused += 1
            return None
        if not isinstance(message.content, dict) or not isinstance(message.metadata, dict):
            self.refused += 1
            return None
        return message

    def say_hello(self, timeout: float, cancel: CancelToken) -> None:
        """Return once the kernel answers and its output stream reaches us. Raises: KernelError, Canceled."""
        end = time.monotonic() + timeout
        answered = streaming = False
        while not (answered and streaming):
            if cancel.is_set():
                raise Canceled(cancel.reason)
            if time.monotonic() > end:
                raise KernelError(f"the kernel is running but did not answer within {timeout:g} s")
            asked = self.request(self.shell, "kernel_info_request", {})
            again = time.monotonic() + HELLO_SECONDS
            while time.monotonic() < again and not (answered and streaming):
                self.poller.poll(50)
                while (message := self.receive(self.shell)) is not None:
                    answered = answered or message.parent == asked
                while (message := self.receive(self.iopub)) is not None:
                    streaming = True

    def close(self) -> None:
        for made in (self.shell, self.control, self.iopub):
            made.close(0)
        self._near.close()
        self._far.close()


_lock = threading.Lock()
_shared: tuple[int, zmq.Context] | None = None


def _context() -> zmq.Context:
    """One context per process for all kernels; it is never terminated, since its threads end with the process."""
    global _shared
    with _lock:
        if _shared is None or _shared[0] != os.getpid():
            _shared = (os.getpid(), zmq.Context())
        return _shared[1]
