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
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken

CALL = "from spatialclaw_ros.workbench import broker_client as b\nimage = {'frame': 0}\n"
ASK = CALL + "print(b.call('ask', {'images': [image], 'question': 'echo'}))"
ECHO = "{'text': 'echo', 'reasoning': ''}\n"
FRAME = {"frame": 0}


class Served:
    """A broker with a handler of these tests, and one cell running."""

    def __init__(self, folder: Path, config: KernelConfig | None = None) -> None:
        self.path = folder / "broker"
        self.started = threading.Event()
        self.hang = threading.Event()
        self.cell = CancelToken()
        self.calls: list[str] = []
        self.broker = Broker(self.path, self.answer, 1 << 20, None)
        self.broker.start(object(), config or KernelConfig())  # type: ignore[arg-type]  # the handler does not use it
        self.broker.begin_cell(self.cell)

    def answer(self, method: str, params: dict[str, Any], session: object, cancel: CancelToken) -> dict[str, Any]:
        self.calls.append(method)
        question = params.get("question", "")
        if question == "wait":
            self.started.set()
            return {"text": f"cancelled: {cancel.wait(30.0)}", "reasoning": ""}
        if question == "hang":
            self.started.set()
            self.hang.wait(60.0)
        if question == "bug":
            raise ZeroDivisionError("of the handler")
        if question == "wrong":
            return {"text": object(), "reasoning": ""}
        if question == "no unicode":
            return {"text": "\ud800", "reasoning": ""}
        if method == "segment":
            raise PerceptionError("nothing found")
        return {"text": question, "reasoning": ""}

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


def question(text: str) -> bytes:
    return request("ask", images=[FRAME], question=text)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.hang.set()
    made.broker.close()


def test_request_is_answered_with_its_id(served: Served) -> None:
    with served.connect() as connection:
        reply = served.ask(connection, question("hello"))
        assert reply == {"v": 1, "id": 5, "result": {"text": "hello", "reasoning": ""}}


@pytest.mark.parametrize(
    ("body", "name", "said"),
    [
        (request("segment", image=FRAME, prompt={"text": "mug"}), "PerceptionError", "nothing found"),
        (question("bug"), "ToolError", "of the handler"),
        (question("wrong"), "ToolError", "ask's result.text is a object"),
        (question("no unicode"), "ToolError", "cannot be sent"),
    ],
)
def test_failure_of_a_request_comes_back_by_name(served: Served, body: bytes, name: str, said: str) -> None:
    with served.connect() as connection:
        reply = served.ask(connection, body)
        assert reply is not None and reply["error"]["type"] == name
        assert said in reply["error"]["message"]


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("shell", {}, "unknown method 'shell'; known: segment, locate, ask"),
        ("ask", {}, "ask lacks the field 'images'"),
        ("ask", {"images": [FRAME], "question": "a", "model": "b"}, "ask has the unknown field 'model'"),
        ("ask", {"images": FRAME, "question": "a"}, "ask.images is a dict of length 1; expected a list of 1 to 16"),
        ("ask", {"images": [FRAME] * 17, "question": "a"}, "expected a list of 1 to 16"),
        ("ask", {"images": [{"frame": True}], "question": "a"}, "ask.images[0].frame is True"),
        ("ask", {"images": [{"frame": 0, "shape": [1, 1, 3]}], "question": "a"}, "exactly one of frame, shape"),
        ("ask", {"images": [{"shape": [1, 1], "data": b"123"}], "question": "a"}, "images[0].shape is a list"),
        ("ask", {"images": [{"shape": [1, 1, 3], "data": "123"}], "question": "a"}, "data is a str"),
        ("locate", {"images": [FRAME], "question": "a" * 4001}, "locate.question is a str of length 4001"),
        ("segment", {"image": FRAME, "prompt": {"text": "a"}, "threshold": 1.5}, "segment.threshold is 1.5"),
        ("segment", {"image": FRAME, "prompt": {"box": [0, 0, float("nan"), 1]}}, "segment.prompt.box[2] is nan"),
        ("segment", {"image": FRAME, "prompt": {"text": "a", "box": [0, 0, 1, 1]}}, "exactly one of text, box, points"),
        ("segment", {"image": FRAME, "prompt": {"points": [[1, 2]], "labels": [2]}}, "labels[0] is 2"),
    ],
)
def test_request_that_is_not_as_agreed_is_refused_by_its_field_and_reaches_no_handler(
    served: Served, method: str, params: dict[str, Any], said: str
) -> None:
    with served.connect() as connection:
        reply = served.ask(connection, request(method, **params))
        assert reply is not None and (reply["id"], reply["error"]["type"]) == (5, "BadRequest")
        assert said in reply["error"]["message"]
    assert served.calls == []


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        b"not msgpack at all",
        b"\x81\xa1a" * 1000,
        msgpack.packb([1, 2]),
        msgpack.packb({"v": 1}),
        msgpack.packb({"v": 2, "id": 1, "method": "ask", "params": {}}),
        msgpack.packb({"v": 1, "id": "x", "method": "ask", "params": {}}),
        msgpack.packb({"v": 1, "id": 1, "method": 7, "params": {}}),
        msgpack.packb({"v": 1, "id": 1, "method": "m" * 100, "params": {}}),
        msgpack.packb({"v": 1, "id": 1, "method": "ask", "params": [1]}),
        msgpack.packb({"v": 1, "id": 1, "method": "ask", "params": {"a": msgpack.ExtType(4, b"x")}}),
        msgpack.packb({"v": 1, "id": 1, "method": "ask", "params": {"a": [[]] * 30_000}}),
        b"\x91" * 100_000,
    ],
)
def test_bad_request_is_refused_by_name_and_the_next_one_answered(served: Served, body: bytes) -> None:
    with served.connect() as connection:
        reply = served.ask(connection, body)
        assert reply is not None and reply["error"]["type"] == "BadRequest"
    with served.connect() as connection:
        assert "result" in (served.ask(connection, question("next")) or {})


@pytest.mark.parametrize("length", [0, (1 << 20) + 1, 0xFFFFFFFF])
def test_length_outside_the_limits_closes_the_connection_with_a_reason(served: Served, length: int) -> None:
    with served.connect() as connection:
        connection.sendall(struct.pack(">I", length))
        reply = read_reply(connection)
        assert reply is not None and "expected 1 to 1048576" in reply["error"]["message"]
        assert connection.recv(1) == b""


def test_connection_that_ends_in_the_middle_is_forgotten(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(struct.pack(">I", 100) + b"half")
    with served.connect() as connection:
        assert served.ask(connection, question("next")) is not None


def test_many_connections_are_limited(served: Served) -> None:
    held = [served.connect() for _ in range(8)]
    try:
        assert served.ask(held[0], question("next")) is not None
    finally:
        for connection in held:
            connection.close()


def test_request_is_cancelled_when_the_cell_ends(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(struct.pack(">I", len(question("wait"))) + question("wait"))
        assert served.started.wait(10.0)
        served.broker.end_cell()
        reply = read_reply(connection)
        assert reply is not None and reply["result"]["text"] == "cancelled: True"


def test_request_that_ignores_its_cancellation_is_given_up_and_no_other_is_served_until_it_ends(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(struct.pack(">I", len(question("hang"))) + question("hang"))
        assert served.started.wait(10.0)
        served.broker.end_cell()
        reply = read_reply(connection)
        assert reply is not None and "did not end within 1 s of being cancelled" in reply["error"]["message"]
        served.broker.begin_cell(CancelToken())
        reply = served.ask(connection, question("next"))
        assert reply is not None and reply["error"]["type"] == "BrokerError"
        assert "an earlier ask request does not end" in reply["error"]["message"]


def test_request_between_cells_is_refused(served: Served) -> None:
    served.broker.end_cell()
    with served.connect() as connection:
        reply = served.ask(connection, question("next"))
        assert reply is not None and "no cell is running" in reply["error"]["message"]


def test_requests_beyond_the_rate_are_refused_with_the_figure_and_later_ones_answered(tmp_path: Path) -> None:
    served = Served(tmp_path, KernelConfig(max_requests_per_second=2))
    try:
        with served.connect() as connection:
            for _ in range(100):
                asked = len(served.calls)
                reply = served.ask(connection, question("fast"))
                assert reply is not None
                if "error" in reply:
                    break
            assert reply["error"]["type"] == "RequestRateExceeded" and len(served.calls) == asked
            assert "more than 2 requests a second (kernel.max_requests_per_second)" in reply["error"]["message"]
            assert "result" in (served.ask(connection, question("after the refusal")) or {})
    finally:
        served.broker.close()


def test_bytes_beyond_the_rate_are_refused_unread_with_the_figure(tmp_path: Path) -> None:
    served = Served(tmp_path, KernelConfig(max_request_bytes_per_second=1 << 20))
    picture = {"shape": [400, 500, 3], "data": bytes(600_000)}
    body = request("ask", images=[picture], question="what?")
    try:
        with served.connect() as connection:
            assert "result" in (served.ask(connection, body) or {})
            connection.sendall(struct.pack(">I", len(body)))
            reply = read_reply(connection)
            assert reply is not None and reply["error"]["type"] == "RequestRateExceeded"
            assert "1 MiB a second (kernel.max_request_bytes_per_second)" in reply["error"]["message"]
    finally:
        served.broker.close()


def test_message_that_would_unpack_to_gigabytes_is_refused_unread() -> None:
    with pytest.raises(wire.BadRequest, match="values"):
        wire.check_size(b"\xdd\x01\xe0\x00\x00" + b"\x80" * (30 << 20))


def test_token_walk_accepts_what_msgpack_writes() -> None:
    values = [None, True, -1, -200, 1 << 40, 1.5, "x" * 40, "y" * 70_000, b"z" * 300, list(range(40)), {"k": {"m": []}}]
    wire.check_size(msgpack.packb({"v": values}))


@pytest.mark.process
def test_cell_reaches_the_broker_at_every_level(kernel: KernelSession) -> None:
    assert kernel.execute(ASK).stdout == ECHO


@pytest.mark.process
def test_shared_array_is_mapped_by_the_cell(kernel: KernelSession) -> None:
    code = (
        "from pathlib import Path\nfrom spatialclaw_ros.workbench.shared_arrays import map_shared\n"
        "reply = b.call('segment', {'image': image, 'prompt': {'box': [0, 0, 1, 1]}})\n"
        "print(map_shared(reply['masks'], Path(reply['masks']['file']).parents[1]).sum())"
    )
    assert kernel.execute(CALL + code).stdout.strip() == "1000"


@pytest.mark.process
def test_typed_error_of_the_broker_reaches_the_cell(kernel: KernelSession) -> None:
    result = kernel.execute(CALL + "b.call('segment', {'image': image, 'prompt': {'text': 'mug'}})")
    assert result.error is not None and "PerceptionError" in result.error.message


@pytest.mark.process
def test_cell_that_waits_for_the_broker_can_be_cancelled_and_the_next_is_served(kernel: KernelSession) -> None:
    assert kernel.execute(ASK.replace("echo", "wait"), 0.5).status == "timeout"
    assert kernel.execute(ASK).stdout == ECHO


@pytest.mark.process
def test_result_beyond_the_agreed_length_is_an_error_of_the_cell(kernel: KernelSession) -> None:
    result = kernel.execute(ASK.replace("echo", "huge"))
    assert result.error is not None and "ask's result.text" in result.error.message
    assert kernel.execute(ASK).stdout == ECHO
