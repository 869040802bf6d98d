"""Replies of the chat-completions protocol, plain or server-sent events: from bytes to a Reply, or a typed error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from spatialclaw_ros.backbones.chat import Reply
from spatialclaw_ros.errors import BackboneError

EXCERPT = 300
"""Characters of a server's own words that an error repeats."""

_THINKING_ENDS = "</think>"


def parse_reply(body: bytes, content_type: str, url: str, request_bytes: int) -> Reply:
    """The reply in `body`.

    Text may be empty: a model that says nothing is the loop's to judge.
    Raises: BackboneError where the protocol is broken.
    """
    if not body.strip():
        raise BackboneError(f"{url} answered with an empty body; expected a chat completion. Look at the server's log.")
    if "text/event-stream" in content_type or body.startswith((b"data:", b"event:", b":")):
        message: Any
        message, payload = _join_events(body, url)
    else:
        payload = _json(body, content_type, url)
        message = _first_choice(payload, url).get("message")
    if not isinstance(message, Mapping):
        raise BackboneError(f"{url} answered without choices[0].message; got {excerpt(body)}")
    return _reply(message, payload, request_bytes)


def error_text(body: bytes) -> str:
    """The server's own words in an error reply: the JSON's `error.message` or `message`, else the body's start."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return excerpt(body)
    if isinstance(payload, Mapping):
        error = payload.get("error", payload)
        text = error.get("message", error) if isinstance(error, Mapping) else error
        return excerpt(str(text).encode())
    return excerpt(body)


def excerpt(body: bytes) -> str:
    """The start of `body` on one line, without control characters."""
    text = " ".join(body[: 4 * EXCERPT].decode("utf-8", "replace").split())
    text = "".join(character for character in text if character.isprintable())
    return (text[: EXCERPT - 3] + "...") if len(text) > EXCERPT else text


def _json(body: bytes, content_type: str, url: str) -> Mapping[str, Any]:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        hint = (
            "Is backbone.base_url right? It usually ends in /v1." if b"<" in body[:200] else "Look at the server's log."
        )
        raise BackboneError(
            f"{url} answered with {content_type or 'no content type'} that is not JSON ({error}): "
            f"{excerpt(body)}. {hint}"
        ) from error
    if not isinstance(payload, Mapping):
        raise BackboneError(f"{url} answered with JSON that is no object: {excerpt(body)}")
    return payload


def _first_choice(payload: Mapping[str, Any], url: str) -> Mapping[str, Any]:
    choices = payload.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        return choices[0]
    raise BackboneError(f"{url} answered without choices; got {excerpt(orjson.dumps(payload))}")


def _join_events(body: bytes, url: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Joins the deltas of an event stream: (message, last payload with model, usage and finish reason)."""
    content: list[str] = []
    reasoning: list[str] = []
    last: dict[str, Any] = {}
    finish = ""
    ended = False
    for line in body.splitlines():  # of bytes: a text's other line breaks, such as U+2028, do not end an event
        if not line.startswith(b"data:"):
            continue
        data = line[5:].decode("utf-8", "replace").strip()
        if data == "[DONE]":
            ended = True
            break
        event = _json(data.encode(), "text/event-stream", url)
        if "error" in event:
            raise BackboneError(f"{url} broke off its reply: {error_text(data.encode())}")
        last.update({key: value for key, value in event.items() if value and key != "choices"})
        choices = event.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
            delta = choices[0].get("delta") or {}
            content.append(_text(delta.get("content")))
            reasoning.append(_text(delta.get("reasoning_content") or delta.get("reasoning")))
            finish = choices[0].get("finish_reason") or finish
    if not ended and not finish:
        raise BackboneError(f"{url} ended its event stream without a finish reason or [DONE]; the reply is cut off")
    last["choices"] = [{"finish_reason": finish}]
    return {"content": "".join(content), "reasoning_content": "".join(reasoning)}, last


def _reply(message: Mapping[str, Any], payload: Mapping[str, Any], request_bytes: int) -> Reply:
    text = _text(message.get("content"))
    reasoning = _text(message.get("reasoning_content") or message.get("reasoning"))
    thinking, ending, rest = text.partition(_THINKING_ENDS)
    if ending:  # servers without a reasoning parser leave the thinking in the text
        text = rest.lstrip()
        reasoning = reasoning or thinking.lstrip().removeprefix("<think>").strip()
    usage = payload.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    choice = payload.get("choices", [{}])[0]
    return Reply(
        text=text,
        reasoning=reasoning,
        model=str(payload.get("model") or ""),
        finish_reason=str(choice.get("finish_reason") or ""),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        request_bytes=request_bytes,
    )


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return ""


def _count(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) and value == value and 0 <= value < 1e12 else 0
