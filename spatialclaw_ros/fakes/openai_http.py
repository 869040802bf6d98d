"""The HTTP side of the fake chat server: reads a request, waits as scripted, writes one of the scripted replies."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer, FakeReply, RecordedRequest

MAX_REQUEST_BYTES = 256 << 20
_STATUS = {"unauthorized": 401, "forbidden": 403, "not_found": 404, "rate_limited": 429, "server_error": 500}
_HTML = b"<!doctype html><html><body><h1>It works!</h1></body></html>"


class ChatHandler(BaseHTTPRequestHandler):
    """One connection; HTTP/1.1, kept alive between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 1 << 20
    timeout = 60
    server: Any

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a test reads the recorded requests instead."""

    def do_GET(self) -> None:
        owner: FakeOpenAIServer = self.server.owner
        if self.path.endswith("/models"):
            self._write(200, "application/json", orjson.dumps({"object": "list", "data": [{"id": owner.model}]}))
        else:
            self._write(404, "application/json", _error("no such path"))

    def do_POST(self) -> None:
        from spatialclaw_ros.fakes.openai_server import RecordedRequest

        arrived = time.monotonic_ns()
        length = int(self.headers.get("content-length") or 0)
        if not 0 <= length <= MAX_REQUEST_BYTES:
            self.close_connection = True
            self._write(413, "application/json", _error("the request is too large"))
            return
        body = self.rfile.read(length)
        headers = {key.lower(): value for key, value in self.headers.items()}
        request = RecordedRequest("POST", self.path, headers, body, arrived, time.monotonic_ns())
        reply = self.server.owner.answer(request)
        if reply.delay > 0 and not self._wait(reply.delay, request):
            self.close_connection = True
            return
        try:
            self._reply(request, reply)
        except OSError:
            request.aborted.set()
            self.close_connection = True
        else:
            request.replied_ns = time.monotonic_ns()

    def _wait(self, seconds: float, request: RecordedRequest) -> bool:
        """Wait before replying; False when the client went away or the server closes."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.server.owner.closing.is_set():
                return False
            readable, _, _ = select.select([self.connection], [], [], min(left, 0.02))
            if readable:
                try:
                    gone = self.connection.recv(1, socket.MSG_PEEK) == b""
                except OSError:
                    gone = True
                if gone:
                    request.aborted.set()
                    return False
                self.server.owner.closing.wait(min(left, 0.02))
        return True

    def _reply(self, request: RecordedRequest, reply: FakeReply) -> None:
        extra = {"retry-after": f"{reply.retry_after:g}"} if reply.retry_after > 0 else {}
        if reply.mode == "ok":
            if request.json.get("stream"):
                self._write(200, "text/event-stream", _events(reply, self.server.owner.model))
            else:
                self._write(200, "application/json", _completion(reply, self.server.owner.model))
        elif reply.mode in _STATUS:
            message = reply.error_message or f"scripted failure: {reply.mode}"
            self._write(_STATUS[reply.mode], "application/json", _error(message), extra)
        elif reply.mode == "drip":
            self.close_connection = True
            self._drip(request, reply)
        elif reply.mode in ("drop", "cut", "endless"):
            self.close_connection = True
            self._break_off(reply)
        else:
            content_type, body, extra = _odd_body(reply, self.server.owner.model)
            self._write(200, content_type, body, extra)

    def _break_off(self, reply: FakeReply) -> None:
        if reply.mode == "cut":
            whole = _completion(reply, self.server.owner.model)
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(whole)
            self.wfile.write(head + whole[: len(whole) // 2])
        elif reply.mode == "endless":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
            while not self.server.owner.closing.is_set():
                self.wfile.write(b" " * 65536)

    def _drip(self, request: RecordedRequest, reply: FakeReply) -> None:
        """The reply, a byte at a time, until all is written, the client goes or the server closes."""
        streamed = bool(request.json.get("stream"))
        body = (_events if streamed else _completion)(reply, self.server.owner.model)
        kind = b"text/event-stream" if streamed else b"application/json"
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (kind, len(body)))
        for number in range(len(body)):
            self.wfile.write(body[number : number + 1])
            request.begun.set()
            if not self._wait(reply.pause, request):
                return

    def _write(self, status: int, content_type: str, body: bytes, extra: dict[str, str] | None = None) -> None:
        """Status, headers and body in one write, so that the client never waits for a second packet."""
        lines = [f"HTTP/1.1 {status} {self.responses.get(status, ('',))[0]}", f"content-type: {content_type}"]
        lines += [f"content-length: {len(body)}", *(f"{key}: {value}" for key, value in (extra or {}).items())]
        self.wfile.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def _completion(reply: FakeReply, model: str) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    return orjson.dumps(
        {
            "id": "chatcmpl-fake",
            "object": "chat.completion",
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _usage(reply),
        }
    )


def _events(reply: FakeReply, model: str) -> bytes:
    """The reply as server-sent events, a few characters each, then the finish reason, the usage and [DONE]."""

    def event(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "object": "chat.completion.chunk",
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }

    events = [event({"role": "assistant", "content": ""})]
    if reply.reasoning:
        events.append(event({"reasoning_content": reply.reasoning}))
    events += [event({"content": reply.text[start : start + 16]}) for start in range(0, len(reply.text), 16)]
    events += [event({}, "stop"), {"model": model, "choices": [], "usage": _usage(reply)}]
    return b"".join(b"data: " + orjson.dumps(item) + b"\n\n" for item in events) + b"data: [DONE]\n\n"


def _usage(reply: FakeReply) -> dict[str, int]:
    completion = reply.completion_tokens or max(1, len(reply.text) // 4)
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": reply.prompt_tokens + completion,
    }


def _odd_body(reply: FakeReply, model: str) -> tuple[str, bytes, dict[str, str]]:
    if reply.mode == "html":
        return "text/html", _HTML, {}
    if reply.mode == "empty":
        return "application/json", b"", {}
    if reply.mode == "no_choices":
        return "application/json", b'{"object":"chat.completion","choices":[]}', {}
    if reply.mode == "gzip":
        return "application/json", b"\x1f\x8b not really", {"content-encoding": "gzip"}
    if reply.mode == "broken_utf8":
        letter = "\N{LATIN SMALL LETTER E WITH ACUTE}"
        whole = _completion(replace(reply, text=letter + reply.text), model)
        return "application/json", whole.replace(letter.encode(), letter.encode()[:1], 1), {}
    return "application/json", b'{"choices": [{"message": ', {}


def _error(message: str) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": "scripted"}})
