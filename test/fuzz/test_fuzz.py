"""Whatever a kernel, a camera or a model sends: a typed refusal, or something of the promised form."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import fuzz
from spatialclaw_ros.kernel.broker import Broker
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.limits import CancelToken

ROOT = Path(__file__).resolve().parents[2]
BRIEFLY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
IMAGES = st.fixed_dictionaries({"frame": VALUES}) | st.fixed_dictionaries({"shape": VALUES, "data": VALUES}) | VALUES
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "image": IMAGES,
        "images": st.lists(IMAGES, max_size=3) | VALUES,
        "question": st.text(max_size=30) | VALUES,
        "prompt": st.dictionaries(st.sampled_from(["text", "box", "points", "labels"]), VALUES, max_size=2) | VALUES,
        "threshold": VALUES,
    },
)
REQUESTS = st.fixed_dictionaries(
    {
        "v": st.just(1) | VALUES,
        "id": st.integers(0, 1 << 32) | VALUES,
        "method": st.sampled_from(["segment", "locate", "ask"]) | VALUES,
        "params": PARAMETERS | VALUES,
    }
).map(msgpack.packb)
GOOD_REQUEST = msgpack.packb(
    {"v": 1, "id": 7, "method": "ask", "params": {"images": [{"frame": 0}], "question": "What is it?"}}
)


def pictures() -> list[bytes]:
    color = np.arange(12 * 9 * 3, dtype=np.uint8).reshape(9, 12, 3)
    depth = np.arange(12 * 9, dtype=np.uint16).reshape(9, 12)
    return [
        cv2.imencode(".jpg", color)[1].tobytes(),
        cv2.imencode(".png", color)[1].tobytes(),
        cv2.imencode(".png", depth)[1].tobytes(),
        struct.pack("<iff", 0, 10.0, 0.1) + cv2.imencode(".png", depth)[1].tobytes(),
        color.tobytes(),
    ]


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of which a few were changed, and some left out or added."""
    data = bytearray(draw(whole))
    for position, byte in draw(st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=4)):
        if data:
            data[position % len(data)] = byte
    start, length = draw(st.integers(0, 1 << 12)), draw(st.integers(0, 40) | st.just(0))
    data[start : start + length] = draw(st.binary(max_size=4)) if length else b""
    return bytes(data)


HEADS = st.tuples(
    st.binary(min_size=1, max_size=1), st.sampled_from([b"\x0c\x09\x00\x24\x00", b"\x0c\x09\x00\x18\x01"])
)
PICTURES = damaged(st.sampled_from(pictures()))
ENCODED = st.builds(lambda head, picture: b"".join(head) + picture, HEADS, PICTURES) | st.binary(max_size=200)
REPLY_PARTS = st.sampled_from(
    [
        "```python\n",
        "```",
        "~~~",
        "\n",
        "x = 1\n",
        "print(x)",
        "<think>",
        "</think>",
        "Purpose: ",
        "Next goal: ",
        "é",
        "\0",
        "'''",
    ]
)
REPLIES = st.lists(REPLY_PARTS | st.text(max_size=8), max_size=20).map(
    lambda parts: "".join(parts).encode("utf-8", "replace")
)
CHOICE = {
    "choices": [{"message": {"content": "hello", "reasoning_content": "so"}, "finish_reason": "stop"}],
    "usage": {},
}
COMPLETIONS = st.sampled_from(
    [json.dumps(CHOICE).encode(), b"data: " + json.dumps(CHOICE).encode() + b"\n\ndata: [DONE]\n\n"]
)
JUNK_COMPLETIONS = st.fixed_dictionaries({"choices": VALUES, "usage": VALUES}).map(
    lambda value: json.dumps(value, default=str).encode()
)
BOXES = st.lists(
    st.sampled_from(["12", "-3.5", "1e999", "[", ",", "x1: ", "not visible", "1000", " ", '"y_max": ']), max_size=12
).map(lambda parts: "".join(parts).encode())
INPUTS = {
    "request": REQUESTS | damaged(st.just(GOOD_REQUEST)) | st.binary(max_size=200),
    "header": PICTURES | st.binary(max_size=200),
    "colour": ENCODED,
    "depth": ENCODED,
    "reply": REPLIES | st.binary(max_size=100),
    "completed": damaged(COMPLETIONS) | JUNK_COMPLETIONS | st.binary(max_size=200),
    "box": BOXES | st.binary(max_size=60),
}


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_only_typed_refusals_come_of_any_input(target: str) -> None:
    @BRIEFLY
    @given(INPUTS[target])
    def run(data: bytes) -> None:
        fuzz.TARGETS[target](data)

    run()


def test_undamaged_inputs_are_not_refused() -> None:
    """So that the inputs reach what lies behind the first check."""
    from spatialclaw_ros.frames.compressed import read_header
    from spatialclaw_ros.kernel import methods, wire

    assert [read_header(memoryview(data)).width for data in pictures()[:3]] == [12, 12, 12]
    _, method, params = wire.decode_request(GOOD_REQUEST)
    methods.check_request(method, params)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Path]:
    """The socket of a broker whose handler repeats the question, without a limit on the rate that matters here."""

    def repeat(_method: str, params: dict[str, Any], _session: Any, _cancel: CancelToken) -> dict[str, Any]:
        assert "question" in params, "only what the table allows arrives here"
        return {"text": params["question"], "reasoning": ""}

    made = Broker(tmp_path / "broker", repeat, 1 << 16, None)
    made.start(None, KernelConfig(max_requests_per_second=10_000))  # type: ignore[arg-type]  # the handler needs none
    made.begin_cell(CancelToken())
    yield tmp_path / "broker"
    made.close()


@BRIEFLY
@given(bodies=st.lists(INPUTS["request"], min_size=1, max_size=3), cut=st.integers(1, 8) | st.none())
def test_broker_answers_or_refuses_whatever_comes_and_serves_on(
    broker: Path, bodies: list[bytes], cut: int | None
) -> None:
    stream = b"".join(struct.pack(">I", len(body)) + body for body in bodies)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20.0)
        connection.connect(str(broker))
        connection.sendall(stream if cut is None else stream[:-cut])
        connection.shutdown(socket.SHUT_WR)
        for reply in replies(connection):
            assert set(reply) in ({"v", "id", "result"}, {"v", "id", "error"})
            assert reply.get("error", {"type": "BadRequest"})["type"] in ("BadRequest", "ToolError")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20.0)
        connection.connect(str(broker))
        connection.sendall(struct.pack(">I", len(GOOD_REQUEST)) + GOOD_REQUEST)
        connection.shutdown(socket.SHUT_WR)
        assert next(replies(connection))["result"]["text"] == "What is it?"


def replies(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Until the broker closes the connection, which is a reset where it left something unread."""
    with contextlib.suppress(ConnectionResetError), connection.makefile("rb") as stream:
        while header := stream.read(4):
            yield msgpack.unpackb(stream.read(struct.unpack(">I", header)[0]))


@pytest.mark.process
def test_script_names_its_targets_and_what_it_needs() -> None:
    script = [sys.executable, str(ROOT / "benchmarks" / "fuzz.py")]
    unknown = subprocess.run([*script, "nothing"], capture_output=True, text=True, timeout=60)
    assert unknown.returncode != 0 and "request, header, colour" in unknown.stderr
