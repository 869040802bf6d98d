"""A stand-in model in a process of its own, and what it saw: arrival and reply times on the machine's steady clock."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import Connection

from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer

WAIT = 30.0


@dataclass(frozen=True)
class Seen:
    """One request. Times: steady-clock nanoseconds, the same clock in every process."""

    arrived_ns: int
    complete_ns: int
    replied_ns: int
    size: int
    pictures: int


class StandIn:
    """Serves `replies` in order; `seen()` ends it and returns what came. Use as a context manager."""

    def __init__(self, replies: list[str]) -> None:
        self._replies = replies

    def __enter__(self) -> StandIn:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._replies), daemon=True)
        self._process.start()
        if not self._pipe.poll(WAIT):
            raise TimeoutError(f"the stand-in did not start within {WAIT:g} s")
        self.url: str = self._pipe.recv()
        return self

    def seen(self) -> list[Seen]:
        self._pipe.send("end")
        if not self._pipe.poll(WAIT):
            raise TimeoutError(f"the stand-in did not answer within {WAIT:g} s")
        return self._pipe.recv()

    def __exit__(self, *_exc: object) -> None:
        self._process.terminate()
        self._process.join(WAIT)


def _serve(pipe: Connection, replies: list[str]) -> None:
    with FakeOpenAIServer(replies) as server:
        pipe.send(server.url)
        pipe.recv()
        pipe.send([Seen(r.arrived_ns, r.complete_ns, r.replied_ns, len(r.body), r.pictures) for r in server.requests])
