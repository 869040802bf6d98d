"""The kernel's side of the broker: framing, typed errors, and recovery after a broken exchange."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from spatialclaw_ros.workbench.broker_client import BrokerClient
from spatialclaw_ros.workbench.errors import BrokerError, NoMaskFound, RequestRateExceeded, ToolError

HELLO = {"text": "hello", "reasoning": ""}
MASKS = {
    "masks": {"file": "1.bin", "dtype": "|u1", "shape": [1, 2, 2]},
    "scores": [1.0],
    "backend": "x",
    "notes": [],
}

Reply = Callable[[dict[str, Any]], "bytes | None"]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Reply], BrokerClient]]:
    """A one-thread server on a Unix socket that answers each request by `reply`; None closes the connection."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "broker"))
    listener.listen()
    clients: list[BrokerClient] = []
    threads: list[threading.Thread] = []

    def loop(reply: Reply) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                while header := stream.read(4):
                    answer = reply(msgpack.unpackb(stream.read(struct.unpack(">I", header)[0])))
                    if answer is None:
                        break
                    stream.write(struct.pack(">I", len(answer)) + answer)
                    stream.flush()

    def start(reply: Reply) -> BrokerClient:
        threads.append(threading.Thread(target=loop, args=(reply,), daemon=True))
        threads[-1].start()
        clients.append(BrokerClient(str(tmp_path / "broker"), timeout=20.0))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join(10.0)


def pack(request: dict[str, Any], **content: Any) -> bytes:
    return msgpack.packb({"v": 1, "id": request["id"], **content})


def test_request_and_reply_follow_the_protocol(serve):
    seen = []

    def reply(request):
        seen.append(request)
        return pack(request, result=HELLO)

    client = serve(reply)
    assert client.call("ask", {"question": "?", "data": b"\x00\xff"}) == HELLO
    assert client.call("ask", {"question": "again"}) == HELLO
    assert seen[0] == {"v": 1, "id": 1, "method": "ask", "params": {"question": "?", "data": b"\x00\xff"}}
    assert seen[1]["id"] == 2


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NoMaskFound", NoMaskFound),
        ("ToolError", ToolError),
        ("BrokerError", BrokerError),
        ("PerceptionError", ToolError),
    ],
)
def test_error_comes_back_as_its_type(serve, name, kind):
    client = serve(lambda request: pack(request, error={"type": name, "message": "nothing there"}))
    with pytest.raises(kind, match="nothing there") as caught:
        client.call("segment", {})
    assert type(caught.value) is kind


def test_closed_connection_is_reported_and_the_next_call_reconnects(serve):
    count = []

    def reply(request):
        count.append(1)
        return None if len(count) == 1 else pack(request, result=HELLO)

    client = serve(reply)
    with pytest.raises(BrokerError, match="did not answer"):
        client.call("ask", {})
    assert client.call("ask", {}) == HELLO
    assert len(count) == 2


@pytest.mark.parametrize(
    "answer", [b"\xc1\xc1", msgpack.packb([1, 2]), msgpack.packb({"v": 1, "id": 77, "result": {}})]
)
def test_reply_that_breaks_the_protocol_is_a_broker_error(serve, answer):
    with pytest.raises(BrokerError):
        serve(lambda request: answer).call("ask", {})


@pytest.mark.parametrize(
    ("method", "result", "said"),
    [
        ("ask", None, "ask's result is a NoneType"),
        ("ask", {"text": 1, "reasoning": ""}, "text is a int"),
        ("ask", HELLO | {"answer": 1}, "unknown field 'answer'"),
        ("segment", MASKS | {"scores": [float("nan")]}, "scores[0] is nan"),
        ("segment", MASKS | {"masks": {"file": "x", "dtype": "|O", "shape": [1, 2, 2]}}, "dtype is '|O'"),
        ("segment", MASKS | {"masks": {"file": "x", "dtype": "|u1", "shape": [-1, 2, 2]}}, "shape[0] is -1"),
    ],
)
def test_result_that_is_not_as_agreed_is_a_broker_error_that_names_the_field(serve, method, result, said):
    with pytest.raises(BrokerError, match=re.escape(said)):
        serve(lambda request: pack(request, result=result)).call(method, {})


def test_refusal_of_a_request_that_was_not_read_is_raised_and_the_next_call_reconnects(serve):
    refusal = msgpack.packb({"v": 1, "id": 0, "error": {"type": "RequestRateExceeded", "message": "2 a second"}})
    replies = iter([refusal])
    client = serve(lambda request: next(replies, None) or pack(request, result=HELLO))
    with pytest.raises(RequestRateExceeded, match="2 a second"):
        client.call("ask", {})
    assert client.call("ask", {}) == HELLO


def test_reason_of_a_connection_that_was_closed_in_mid_request_is_still_read(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "broker"))
        listener.listen()
        refusal = msgpack.packb({"v": 1, "id": 0, "error": {"type": "BadRequest", "message": "too large"}})

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4)
                connection.sendall(struct.pack(">I", len(refusal)) + refusal)

        refusing = threading.Thread(target=refuse)
        refusing.start()
        client = BrokerClient(str(tmp_path / "broker"), timeout=20.0)
        with pytest.raises(ToolError, match="too large"):
            client.call("ask", {"data": bytes(8 << 20)})
        refusing.join(10.0)


def test_no_broker_is_named(monkeypatch):
    from spatialclaw_ros.workbench import broker_client

    monkeypatch.delenv("SPATIALCLAW_BROKER", raising=False)
    monkeypatch.setattr(broker_client, "_client", None)
    with pytest.raises(BrokerError, match="SPATIALCLAW_BROKER"):
        broker_client.call("ask", {})


def test_missing_socket_is_a_broker_error(tmp_path):
    with pytest.raises(BrokerError, match="did not answer"):
        BrokerClient(str(tmp_path / "none")).call("ask", {})
