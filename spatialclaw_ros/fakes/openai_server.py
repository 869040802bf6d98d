"""FakeOpenAIServer: a real HTTP server on loopback that speaks chat completions and says what a script tells it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

import orjson

from spatialclaw_ros.fakes.openai_http import ChatHandler

Mode = Literal[
    "ok", "unauthorized", "forbidden", "rate_limited", "server_error", "not_found", "html", "empty", "invalid_json",
    "no_choices", "drop", "cut", "endless", "gzip", "drip", "broken_utf8",
]  # fmt: skip


@dataclass(frozen=True)
class FakeReply:
    """What the server says to one request.

    mode: "ok" or a way to fail. delay: seconds before the reply's first byte. pause: seconds between two bytes of the
    mode "drip". retry_after: the header, where above 0.
    """

    text: str = ""
    mode: Mode = "ok"
    reasoning: str = ""
    delay: float = 0.0
    pause: float = 1.0
    retry_after: float = 0.0
    error_message: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class RecordedRequest:
    """One request. Times are steady-clock nanoseconds: first line read, body read, reply written (0 = not written)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    arrived_ns: int
    complete_ns: int
    replied_ns: int = 0
    aborted: threading.Event = field(default_factory=threading.Event)
    """Set when the client went away before the reply was written."""
    begun: threading.Event = field(default_factory=threading.Event)
    """Set when the first part of a reply that drips is written."""

    @cached_property
    def json(self) -> dict[str, Any]:
        return orjson.loads(self.body)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.json["messages"]

    @property
    def text(self) -> str:
        """All text of the last message."""
        content = self.messages[-1]["content"]
        return content if isinstance(content, str) else "\n\n".join(part.get("text", "") for part in content)

    @property
    def pictures(self) -> int:
        """Pictures in all messages."""
        contents = [message["content"] for message in self.messages]
        return sum(part["type"] == "image_url" for content in contents if isinstance(content, list) for part in content)


ReplyMaker = Callable[[RecordedRequest], "str | FakeReply"]


class FakeOpenAIServer:
    """Serves on 127.0.0.1 until closed; use it as a context manager.

    replies: a list (str or FakeReply) taken in order, or a function of the request. When the list ends, the server
    answers HTTP 404 saying so. requests: what came, in order. wait_for_requests(n): bounded, until n are complete.
    """

    def __init__(
        self, replies: Iterable[str | FakeReply] | ReplyMaker = (), port: int = 0, model: str = "fake-model"
    ) -> None:
        self._make = replies if callable(replies) else None
        self._replies = iter(()) if callable(replies) else iter(list(replies))
        self._changed = threading.Condition()
        self.requests: list[RecordedRequest] = []
        self.model = model
        self.closing = threading.Event()
        self._http = _HttpServer(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="fake-openai", daemon=True)

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    @property
    def url(self) -> str:
        """The base URL to configure: http://127.0.0.1:PORT/v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> FakeOpenAIServer:
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving; replies that are still delayed are given up."""
        self.closing.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join(5.0)
        self._http.server_close()

    def __enter__(self) -> FakeOpenAIServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> list[RecordedRequest]:
        """Raises: TimeoutError when fewer than `count` came within `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} of {count} requests came within {timeout:g} s")
            return list(self.requests)

    def answer(self, request: RecordedRequest) -> FakeReply:
        """Record the request and choose its reply (called by the HTTP handler)."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            if self._make is None:
                scripted = next(self._replies, None)
                if scripted is None:
                    return FakeReply(mode="not_found", error_message="the script has no reply left")
                return _as_reply(scripted)
        return _as_reply(self._make(request))


def _as_reply(scripted: str | FakeReply) -> FakeReply:
    return FakeReply(scripted) if isinstance(scripted, str) else scripted


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # delayed replies end by the closing event; connections that idle must not hold a test up
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], owner: FakeOpenAIServer) -> None:
        self.owner = owner
        super().__init__(address, ChatHandler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests; nothing is printed."""


if __name__ == "__main__":
    from spatialclaw_ros.fakes.openai_main import main

    raise SystemExit(main())
