"""A megabyte that a model or a server repeats is read at once: `re` holds the GIL, and the whole node waits with it."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from spatialclaw_ros.backbones.chat import Message
from spatialclaw_ros.backbones.completion import error_text, parse_reply
from spatialclaw_ros.backbones.rules.conversation import Observation, read_task
from spatialclaw_ros.backbones.vlm import normalise_box

MEGABYTE = 1 << 20


def completion(text: str) -> str:
    body = orjson.dumps({"choices": [{"message": {"content": text}}]})
    return parse_reply(body, "application/json", "http://localhost", 0).text


def events(text: str) -> str:
    event = orjson.dumps({"choices": [{"delta": {"content": text}}]})
    return parse_reply(b"data: " + event + b"\n\ndata: [DONE]\n", "text/event-stream", "http://localhost", 0).text


def box(text: str) -> str | None:
    return normalise_box(text, 640, 480)


def conversation(text: str) -> object:
    task = Message("user", ("<question>How far?</question>",))
    return read_task([task, Message("assistant", ("```python\n1\n```",)), Message("user", (text,))])


def observation(text: str) -> object:
    seen = Observation(text)
    return seen.times_seen(), seen.views(), seen.value(), seen.spread()


@pytest.mark.timeout(20)  # what takes quadratic time takes minutes at this size
@pytest.mark.parametrize("ending", ["", "x", "`"])
@pytest.mark.parametrize(
    ("read", "piece"),
    [
        *((read, piece) for read in (completion, events) for piece in (" ", "\n", "<think>", "</think>", "\u2028")),
        *((box, piece) for piece in ("not ", "none ", "isn't", "x1", "x1 ", "1", "1.", "-1 ", " ", '"')),
        *((conversation, piece) for piece in ("<stdout>", "<error>", "<request>", "```python\n")),
        *((observation, piece) for piece in (": seen in 1 of ", "a: 1 views, ", "spread 1", "distance 1")),
        *((lambda text: error_text(text.encode()), piece) for piece in (" ", "{", "\n")),
    ],
)
def test_a_text_that_repeats_itself_for_a_megabyte_is_read_at_once(
    read: Callable[[str], object], piece: str, ending: str
) -> None:
    read(piece * (MEGABYTE // len(piece)) + ending)
