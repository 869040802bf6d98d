"""The broker: requests of a running cell are answered or refused with a typed error; nothing that arrives can hurt the
host.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from spatialclaw_ros.errors import PerceptionError
from spatialclaw_ros.kernel import wire
from spatialclaw_ros.kernel.broker import Broker
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken

CALL = "from spatialclaw_ros.workbench import broker_client as b\n"


class Served:
    """A broker with a handler of these tests, and one cell running."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "broker"
        self.started = threading.Event()
        self.cell = CancelToken()
        self.broker = Broker(self.path, self.answer, 1 << 20, None)
        self.broker.start(object())  # type: ignore[arg-type]  # the handler here does not use it
        self.broker.begin_cell(self.cell)

    def answer(self, method: str, params: dict[str, Any], session: object, cancel: CancelToken) -> dict[str, Any]:
        if method == "echo":
            return params
        if method == "wait":
            self.started.set()
            return {"cancelled": cancel.wait(30.0)}
        if method == "bug":
            raise ZeroDivisionError("of the handler")
        if method == "unpackable":
            return {"x": object()}
        if method == "long":
            return {"data": bytes(2 << 20)}
        raise PerceptionError("nothing found")

    def connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(10.0)
        made.connect(str(self.path))
        return made

    def ask(self, connection: socket.socket, body: bytes) -> dict[str, Any] | None:
        """Send a framed body; the reply, or None where the connection was closed without one."""
        connection.sendall(struct.pack(">I", len(body)) + body)
        return read_reply(connection)


def read_reply(connection: socket.socket) -> dict[str, Any] | None:
    try:
        header = connection.recv(4, socket.MSG_WAITALL)
        return msgpack.unpackb(connection.recv(struct.unpack(">I", header)[0], socket.MSG_WAITALL)) if header else None
    except ConnectionResetError:
        return None


def request(method: str, **params: Any) -> bytes:
    return msgpack.packb({"v": 1, "id": 5, "method": method, "params": params})


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.broker.close()


def test_request_is_answered_with_its_id(served: Served) -> None:
    with served.connect() as connection:
        assert served.ask(connection, request("echo", a=1)) == {"v": 1, "id": 5, "result": {"a": 1}}


@pytest.mark.parametrize(
    ("method", "name"),
    [("segment", "PerceptionError"), ("bug", "ToolError"), ("unpackable", "BadRequest"), ("long", "ToolError")],
)
def test_failure_of_a_request_comes_back_by_name(served: Served, method: str, name: str) -> None:
    with served.connect() as connection:
        reply = served.ask(connection, request(method))
        assert reply is not None and reply["error"]["type"] == name


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        b"not msgpack at all",
        b"\x81\xa1a" * 1000,
        msgpack.packb([1, 2]),
        msgpack.packb({"v": 1}),
        msgpack.packb({"v": 2, "id": 1, "method": "echo", "params": {}}),
        msgpack.packb({"v": 1, "id": "x", "method": "echo", "params": {}}),
        msgpack.packb({"v": 1, "id": 1, "method": 7, "params": {}}),
        msgpack.packb({"v": 1, "id": 1, "method": "m" * 100, "params": {}}),
        msgpack.packb({"v": 1, "id": 1, "method": "echo", "params": [1]}),
        msgpack.packb({"v": 1, "id": 1, "method": "echo", "params": {"a": msgpack.ExtType(4, b"x")}}),
        msgpack.packb({"v": 1, "id": 1, "method": "echo", "params": {"a": [[]] * 30_000}}),
        b"\x91" * 100_000,
    ],
)
def test_bad_request_is_refused_by_name_and_the_next_one_answered(served: Served, body: bytes) -> None:
    with served.connect() as connection:
        reply = served.ask(connection, body)
        assert reply is not None and reply["error"]["type"] == "BadRequest"
    with served.connect() as connection:
        assert served.ask(connection, request("echo", a=2)) is not None


@pytest.mark.parametrize("length", [0, (1 << 20) + 1, 0xFFFFFFFF])
def test_length_outside_the_limits_closes_the_connection_with_a_reason(served: Served, length: int) -> None:
    with served.connect() as connection:
        connection.sendall(struct.pack(">I", length))
        reply = read_reply(connection)
        assert reply is not None and "expected 1 to" in reply["error"]["message"]
        assert connection.recv(1) == b""


def test_connection_that_ends_in_the_middle_is_forgotten(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(struct.pack(">I", 100) + b"half")
    with served.connect() as connection:
        assert served.ask(connection, request("echo")) is not None


def test_many_connections_are_limited(served: Served) -> None:
    held = [served.connect() for _ in range(8)]
    try:
        assert served.ask(held[0], request("echo", a=1)) is not None
    finally:
        for connection in held:
            connection.close()


def test_request_is_cancelled_when_the_cell_ends(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(struct.pack(">I", len(request("wait"))) + request("wait"))
        assert served.started.wait(10.0)
        served.broker.end_cell()
        reply = read_reply(connection)
        assert reply is not None and reply["result"] == {"cancelled": True}


def test_request_between_cells_is_refused(served: Served) -> None:
    served.broker.end_cell()
    with served.connect() as connection:
        reply = served.ask(connection, request("echo"))
        assert reply is not None and "no cell is running" in reply["error"]["message"]


def test_message_that_would_unpack_to_gigabytes_is_refused_unread() -> None:
    with pytest.raises(wire.BadRequest, match="values"):
        wire.check_size(b"\xdd\x01\xe0\x00\x00" + b"\x80" * (30 << 20))


def test_token_walk_accepts_what_msgpack_writes() -> None:
    values = [None, True, -1, -200, 1 << 40, 1.5, "x" * 40, "y" * 70_000, b"z" * 300, list(range(40)), {"k": {"m": []}}]
    wire.check_size(msgpack.packb({"v": values}))


@pytest.mark.process
def test_cell_reaches_the_broker_at_every_level(kernel: KernelSession) -> None:
    assert kernel.execute(CALL + "print(b.call('echo', {'a': 3}))").stdout == "{'a': 3}\n"


@pytest.mark.process
def test_shared_array_is_mapped_by_the_cell(kernel: KernelSession) -> None:
    code = (
        "import numpy as np\nref = b.call('array', {'length': 1000})['array']\n"
        "print(np.memmap(ref['file'], ref['dtype'], 'r', shape=tuple(ref['shape'])).sum())"
    )
    assert kernel.execute(CALL + code).stdout.strip() == "499500.0"


@pytest.mark.process
def test_typed_error_of_the_broker_reaches_the_cell(kernel: KernelSession) -> None:
    result = kernel.execute(CALL + "b.call('segment', {})")
    assert result.error is not None and "PerceptionError" in result.error.message


@pytest.mark.process
def test_cell_that_waits_for_the_broker_can_be_cancelled_and_the_next_is_served(kernel: KernelSession) -> None:
    assert kernel.execute(CALL + "b.call('wait', {})", 0.5).status == "timeout"
    assert kernel.execute(CALL + "print(b.call('echo', {}))").stdout == "{}\n"


@pytest.mark.process
def test_request_beyond_the_limit_is_an_error_of_the_cell(kernel: KernelSession) -> None:
    assert kernel.execute(CALL + "b.call('echo', {'x': bytes(33 << 20)})").status == "error"
    assert kernel.execute(CALL + "print(b.call('echo', {}))").stdout == "{}\n"
