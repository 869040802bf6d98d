"""The fake chat server as a process: `python -m spatialclaw_ros.fakes.openai_server --script replies.yaml`."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson

from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer, FakeReply, RecordedRequest


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Prints one JSON line {"url": ...} when ready. Returns the exit code."""
    options = _parser().parse_args(arguments)
    replies = _read_script(options.script) if options.script else [FakeReply(options.text, options.mode)]
    server = FakeOpenAIServer(_repeating(replies) if options.repeat or not options.script else replies, options.port)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with server:
        print(orjson.dumps({"url": server.url}).decode(), flush=True)
        while not stop.wait(0.2):
            pass
        if options.record:
            _write_record(options.record, server.requests)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spatialclaw_ros.fakes.openai_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 = any free one")
    parser.add_argument("--script", type=Path, help="YAML list of replies: texts, or maps with the fields of FakeReply")
    parser.add_argument("--repeat", action="store_true", help="begin the script again when it ends")
    parser.add_argument("--text", default="Hello.", help="the reply where no script is given")
    parser.add_argument("--mode", default="ok", help="how every reply fails where no script is given (see FakeReply)")
    parser.add_argument(
        "--record", type=Path, help="write what came as JSON lines here at the end (no headers, no pictures)"
    )
    return parser


def _read_script(path: Path) -> list[FakeReply]:
    import yaml

    known = {item.name for item in fields(FakeReply)}
    script: Any = yaml.safe_load(path.read_text())
    if not isinstance(script, list):
        raise SystemExit(f"{path}: expected a YAML list of replies, got {type(script).__name__}")
    replies = []
    for number, item in enumerate(script):
        if isinstance(item, dict) and set(item) <= known:
            replies.append(FakeReply(**item))
        elif isinstance(item, str):
            replies.append(FakeReply(item))
        else:
            raise SystemExit(f"{path}: reply {number} is {item!r}; expected text or a map with some of {sorted(known)}")
    return replies


def _repeating(replies: list[FakeReply]) -> Any:
    served = iter(range(1 << 62))
    return lambda request: replies[next(served) % len(replies)]


def _write_record(path: Path, requests: list[RecordedRequest]) -> None:
    rows = [
        {"path": item.path, "bytes": len(item.body), "arrived_ns": item.arrived_ns, "replied_ns": item.replied_ns,
         "pictures": item.pictures, "text": item.text}
        for item in requests
    ]  # fmt: skip
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
