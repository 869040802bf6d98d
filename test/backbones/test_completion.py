"""Replies of the chat-completions protocol: the text and the thinking in them, as they were meant."""

from __future__ import annotations

import orjson

from spatialclaw_ros.backbones.completion import parse_reply


def test_thinking_that_the_server_left_in_the_text_is_told_apart() -> None:
    body = orjson.dumps({"choices": [{"message": {"content": " \n<think>\nhm\n</think>\n\nSo: 1</think>"}}]})
    reply = parse_reply(body, "application/json", "http://localhost", 0)
    assert (reply.text, reply.reasoning) == ("So: 1</think>", "hm")


def test_line_breaks_of_a_text_do_not_end_an_event() -> None:
    said = "one\u2028two\x85three\x0bfour\nfive"
    event = orjson.dumps({"choices": [{"delta": {"content": said}}]})
    body = b"data: " + event + b"\r\n\r\ndata: [DONE]\r\n"
    assert parse_reply(body, "text/event-stream", "http://localhost", 0).text == said
