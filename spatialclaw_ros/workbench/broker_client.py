"""The kernel's side of the broker: one request, one reply, over a Unix socket; no pickle, every wait bounded."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from typing import Any

import msgpack

from spatialclaw_ros.kernel.fields import FieldError
from spatialclaw_ros.kernel.methods import MAX_REPLY_BYTES, VERSION, check_result
from spatialclaw_ros.workbench.errors import BrokerError, NoMaskFound, RequestRateExceeded, ToolError

ENVIRONMENT_NAME = "SPATIALCLAW_BROKER"
_HEADER = struct.Struct(">I")
_ERROR_TYPES: dict[str, type[ToolError]] = {
    kind.__name__: kind for kind in (NoMaskFound, BrokerError, RequestRateExceeded)
}


class BrokerClient:
    """A connection that is opened on first use and reopened after a failure.

    path: the broker's Unix socket. timeout: seconds that one reply may take; a cell's own limit usually ends first.
    """

    def __init__(self, path: str, timeout: float = 600.0) -> None:
        self._path = path
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._next_id = 1

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send one request and wait for its reply.

        Raises: the typed error that the node names (NoMaskFound, RequestRateExceeded, else ToolError), BrokerError when
        it does not answer, or not as agreed (kernel.methods).
        """
        with self._lock:
            request_id, self._next_id = self._next_id, self._next_id + 1
            body = msgpack.packb({"v": VERSION, "id": request_id, "method": method, "params": params})
            try:
                reply = self._exchange(body)
            except (OSError, ValueError, msgpack.exceptions.UnpackException) as error:
                self.close()
                raise BrokerError(
                    f"{method}: the node did not answer ({type(error).__name__}: {error}); try once more"
                ) from error
            except BaseException:
                self.close()  # an interrupt in mid-reply leaves the stream out of step
                raise
            if reply.get("id") == 0 and "error" in reply:  # refused unread; the node closes the connection
                self.close()
                raise _typed_error(method, reply["error"])
            if reply.get("id") != request_id:
                self.close()
                raise BrokerError(
                    f"{method}: got the reply to request {reply.get('id')!r}, expected {request_id}; try once more"
                )
        if "error" in reply:
            raise _typed_error(method, reply["error"])
        try:
            check_result(method, reply.get("result"))
        except FieldError as error:
            raise BrokerError(f"{method}: the node's answer is not as agreed: {error}") from None
        return reply["result"]

    def close(self) -> None:
        """Drop the connection; the next call opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, body: bytes) -> dict[str, Any]:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(self._timeout)
            self._socket.connect(self._path)
        with contextlib.suppress(ConnectionError):  # refused before it was read: the reason is waiting
            self._socket.sendall(_HEADER.pack(len(body)) + body)
        (length,) = _HEADER.unpack(self._receive(_HEADER.size))
        if length > MAX_REPLY_BYTES:
            raise ValueError(f"reply of {length} bytes exceeds {MAX_REPLY_BYTES}")
        reply = msgpack.unpackb(self._receive(length))
        if not isinstance(reply, dict):
            raise ValueError(f"reply is a {type(reply).__name__}, expected a map")
        return reply

    def _receive(self, count: int) -> bytes:
        assert self._socket is not None
        buffer = bytearray(count)
        view = memoryview(buffer)
        received = 0
        while received < count:
            step = self._socket.recv_into(view[received:])
            if step == 0:
                raise ConnectionError("the connection was closed")
            received += step
        return bytes(buffer)


_client: BrokerClient | None = None


def call(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Ask the node, at the address in the environment variable SPATIALCLAW_BROKER.

    Raises: BrokerError, NoMaskFound, ToolError.
    """
    global _client
    if _client is None:
        path = os.environ.get(ENVIRONMENT_NAME, "")
        if not path:
            raise BrokerError(f"{method}: no broker here (environment variable {ENVIRONMENT_NAME} is not set)")
        _client = BrokerClient(path)
    return _client.call(method, params)


def _typed_error(method: str, error: Any) -> ToolError:
    name = str(error.get("type", "ToolError")) if isinstance(error, dict) else "ToolError"
    message = str(error.get("message", "")) if isinstance(error, dict) else str(error)
    if name in _ERROR_TYPES:
        return _ERROR_TYPES[name](message)
    return ToolError(message if name == "ToolError" else f"{method}: {name}: {message}")
