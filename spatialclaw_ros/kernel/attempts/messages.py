"""Attempts on the messages between kernel and host: malformed, forged, out of order, and to the broker.

The key that signs messages lies in the kernel's memory: a cell can sign whatever it likes.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import struct
import threading
import time
from typing import Any

from spatialclaw_ros.kernel.attempts.attempt import Targets, attempt
from spatialclaw_ros.kernel.attempts.bombs import Payload
from spatialclaw_ros.kernel.attempts.floods import display, drop_own_report, send
from spatialclaw_ros.kernel.attempts.judges import (
    FORGED,
    came_through,
    disturbed,
    served_late,
    served_too_often,
    told_secret,
    was_served,
)
from spatialclaw_ros.kernel.cell import MIME_CELL

KINDS = ("stream", "display_data", "execute_result", "status", "error", "clear_output", "comm_open", "no_such_type")
NOT_MAPS = (b"[]", b"7", b"{", b"[" * 9999, b'"\xff\xfe"')
ODD_MAPS: tuple[dict[str, Any], ...] = (
    {"text": 7},
    {"data": [1]},
    {"data": {"image/png": 5}},
    {"execution_state": []},
    {"text": FORGED},
)
HEADER = struct.Struct(">I")
VALUES = 1_000_000
HUGE_LENGTH = 0xFFFFFFFF
GUESSES = 200


def _kernel() -> Any:
    from IPython import get_ipython

    return get_ipython().kernel  # type: ignore[no-untyped-call,union-attr,unused-ignore]


def _report(answer: Any) -> dict[str, Any]:
    cell = {"version": 1, "variables": [], "answer": answer, "notes": [FORGED], "tool_calls": 0}
    return {"data": {MIME_CELL: cell}, "metadata": {}}


def _reply(parent: Any) -> None:
    """A reply that says the cell has ended, and the idle state that follows it."""
    kernel = _kernel()
    content = {"status": "ok", "execution_count": 1, "user_expressions": {"x": FORGED}, "payload": []}
    whom = kernel._parent_ident["shell"]
    kernel.session.send(kernel.shell_stream, "execute_reply", content, parent=parent, ident=whom)
    kernel.shell_stream.flush()
    send("status", {"execution_state": "idle"}, parent=parent)


def _guessed(targets: Targets) -> list[dict[str, Any]]:
    """Messages that the host has sent or will send, had it Jupyter's own ids: session, process and a count."""
    header = _kernel().get_parent("shell")["header"]
    names = (f"{header['session']}_{targets['host']}_{number}" for number in range(GUESSES))
    return [{"header": {}}, *({"header": {**header, "msg_id": name}} for name in names)]


@attempt(disturbed, arrives=came_through)
def malformed_contents(targets: Targets) -> object:
    """Send messages of every kind whose contents are not what their kind says."""
    for content in (*NOT_MAPS, *ODD_MAPS):
        for kind in KINDS:
            send(kind, content)
    return ""


@attempt(disturbed, arrives=came_through)
def garbage_on_the_stream(targets: Targets) -> object:
    """Write to the output socket what is not a message at all."""
    stream = _kernel().iopub_socket
    stream.send_multipart([b"garbage"] * 3)
    stream.send_multipart([b"<IDS|MSG>", b"sig", b"{", b"{}", b"{}", b"{}"])
    stream.send_multipart([b"<IDS|MSG>"] + [b"\0"] * 200)
    return ""


@attempt(disturbed, arrives=came_through, quick=False)
def text_that_is_not_unicode(targets: Targets) -> object:
    """Send halves of characters and control codes in every field that carries text."""
    drop_own_report()
    bad = f"{FORGED} \ud800 \0 \x1b[2J"
    report = _report({"value": bad, bad: [bad]})
    report["data"][MIME_CELL] |= {"notes": [bad], "variables": [{"name": bad, "type": bad, "summary": bad}]}
    shown = display(8, 8)
    shown["metadata"]["spatialclaw"] = {"label": bad, "source": bad}
    for kind, content in (("display_data", report), ("display_data", shown), ("stream", {"name": bad, "text": bad})):
        send(kind, _escaped(content))
    return ""


def _escaped(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=True).encode()


@attempt(disturbed, arrives=came_through)
def forged_infinite_answer(targets: Targets) -> object:
    """Send an answer that ReturnAnswer never made, with numbers that are none."""
    drop_own_report()
    send("display_data", _report({"value": 1e308 * 10, "stddev": -1e308 * 10, "said": FORGED}))
    return ""


@attempt(disturbed, arrives=came_through, quick=False)
def forged_deep_answer(targets: Targets) -> object:
    """Send an answer of lists within lists, to exhaust whoever walks through it."""
    deep: Any = FORGED
    for _ in range(800):
        deep = [deep]
    drop_own_report()
    send("display_data", _report({"value": deep}))
    return ""


@attempt(disturbed, arrives=came_through, quick=False)
def forged_huge_answer(targets: Targets) -> object:
    """Send an answer of megabytes."""
    drop_own_report()
    send("display_data", _report({"value": FORGED * 200_000}))
    return ""


@attempt(disturbed, arrives=came_through)
def forged_answer_to_another_request(targets: Targets) -> object:
    """Send an answer, text and pictures in the name of other requests, past and to come."""
    drop_own_report()
    for parent in _guessed(targets):
        send("display_data", _report({"value": FORGED}), parent=parent)
        send("display_data", display(8, 8), parent=parent)
        send("stream", {"name": "stdout", "text": FORGED}, parent=parent)
    return ""


@attempt(disturbed, arrives=came_through, ends=("ended: ok",))
def early_reply(targets: Targets) -> object:
    """Say that the cell has ended, and go on."""
    _reply(_kernel().get_parent("shell"))
    time.sleep(0.3)
    print("late", FORGED)
    return ""


@attempt(disturbed, arrives=came_through)
def reply_to_another_request(targets: Targets) -> object:
    """Reply to a request that the host has not made yet."""
    for parent in _guessed(targets):
        _reply(parent)
    return ""


@attempt(disturbed, arrives=came_through, ends=("ended: ok",), quick=False)
def early_idle(targets: Targets) -> object:
    """Say that the output stream has ended, and go on."""
    send("status", {"execution_state": "idle"})
    send("stream", {"name": "stdout", "text": FORGED})
    return ""


@attempt(disturbed, ends=("exit code", "output stream broke", "SIG"), breaks=True, arrives=came_through, quick=False)
def close_the_stream(targets: Targets) -> object:
    """Close the output socket, so that the host waits for an end that never comes."""
    send("stream", {"name": "stdout", "text": FORGED})
    time.sleep(0.3)
    kernel = _kernel()
    kernel.iopub_thread.stop()
    kernel.iopub_thread.socket.close(0)
    return ""


def _ask_broker(body: bytes, length: int | None = None) -> bytes:
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(5.0)
        made.connect(os.environ["SPATIALCLAW_BROKER"])
        made.sendall(HEADER.pack(len(body) if length is None else length) + body)
        return made.recv(1 << 16)


def _request(**changes: Any) -> bytes:
    import msgpack

    params = {"images": [{"frame": 0}], "question": FORGED}
    return bytes(msgpack.packb({"v": 1, "id": 7, "method": "locate", "params": params, **changes}))


def _unpickle(targets: Targets) -> object:
    return pickle.loads(pickle.dumps(Payload(targets["file"])))


@attempt(told_secret, outside=_unpickle)
def pickle_for_the_broker(targets: Targets) -> object:
    """Send the broker a pickle, whose code a careless reader would run on the host."""
    answer = _ask_broker(pickle.dumps(Payload(targets["file"])))
    import msgpack

    extended = _request(params={"image": msgpack.ExtType(1, pickle.dumps(Payload(targets["file"])))})
    return answer + _ask_broker(extended)


def _unpack_all(targets: Targets) -> object:
    import msgpack

    return f"a reader without limits makes {len(msgpack.unpackb(_bomb())['params']['x'])} objects of a request"


def _bomb() -> bytes:
    empty_maps = b"\x81\xa1x\xdd" + VALUES.to_bytes(4, "big") + b"\x80" * VALUES
    return _request(params={}).removesuffix(b"\x80") + empty_maps


@attempt(outside=_unpack_all)
def request_bomb(targets: Targets) -> object:
    """Send the broker a request of a megabyte that unpacks to a million objects."""
    answer = _ask_broker(_bomb())
    return "" if b"BadRequest" in answer else f"the broker answered {answer[:100]!r}"


def _believe_length(targets: Targets) -> object:
    (length,) = HEADER.unpack(HEADER.pack(HUGE_LENGTH))
    return (
        f"a reader without limits reserves {len(bytearray(length))} bytes"  # zeros that nobody touches take no memory
    )


@attempt(outside=_believe_length, may_lack="4 GiB of address space to reserve")
def endless_request(targets: Targets) -> object:
    """Announce a request of four gigabytes to the broker."""
    answer = _ask_broker(b"x", HUGE_LENGTH)
    return "" if b"BadRequest" in answer else f"the broker answered {answer[:100]!r}"


@attempt(served_late, arrives=was_served)
def ask_broker_after_the_cell(targets: Targets) -> object:
    """Leave a thread that goes on asking the broker when the cell is over."""
    _ask_broker(_request())
    end = time.monotonic() + 0.5

    def ask() -> None:
        while time.monotonic() < end:
            _ask_broker(_request())

    threading.Thread(target=ask, daemon=True).start()
    return ""


@attempt(served_too_often, quick=False)
def flood_of_requests(targets: Targets) -> object:
    """Ask the broker as often as it can for a second."""
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        _ask_broker(_request())
    return ""
