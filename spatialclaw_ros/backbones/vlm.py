"""What vlm.locate and vlm.ask_with_thinking ask of a backbone: prompts of their own, and boxes brought to one form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from spatialclaw_ros.backbones.chat import Backbone, Message, Picture, Purpose, Reply
from spatialclaw_ros.errors import BackboneError
from spatialclaw_ros.limits import CancelToken, Deadline

NOT_VISIBLE = "Not visible"
BOX_SCALE = 1000
"""Boxes are x1 y1 x2 y2 with 0 at the left and top edge and 1000 at the right and bottom edge."""

MAX_QUESTION = 20_000
"""Characters of a question that a cell may send."""

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
# A model may repeat itself for megabytes, and `re` holds the GIL: every pattern here takes linear time.
_NEGATION = re.compile(r"\b(?:not|isn't|no|none|cannot|can't)\b", re.I)
_SEEING = re.compile(r"\b(?:visible|present|found|see|find|exist)", re.I)
_NONE = re.compile(r"\W*none\W*", re.I)
_KEYED = re.compile(r'["\']?\b([xy])_?(min|max|1|2)\b["\']?\s*[:=]\s*(-?\d+(?:\.\d+)?)', re.I)


def locate(
    backbone: Backbone, pictures: Sequence[Picture], question: str, cancel: CancelToken, deadline: Deadline
) -> str:
    """Where in the first picture the thing described by `question` is; further pictures are context.

    Returns: "x1 y1 x2 y2" in 0 to 1000, or "Not visible". A reply that is neither is asked about once more.
    Raises: BackboneError (also for a backbone that sees no pictures), Canceled, TimeLimitReached.
    """
    messages = _messages(backbone, "locate", pictures, question)
    reply = backbone.chat(messages, "locate", cancel, deadline)
    text = normalise_box(reply.text, pictures[0].width, pictures[0].height)
    if text is not None:
        return text
    again = "That is no box. Reply with four whole numbers x1 y1 x2 y2 from 0 to 1000, or with: Not visible"
    messages += [Message("assistant", (reply.text or "(nothing)",)), Message("user", (again,))]
    reply = backbone.chat(messages, "locate", cancel, deadline)
    text = normalise_box(reply.text, pictures[0].width, pictures[0].height)
    if text is None:
        raise BackboneError(
            f"vlm.locate({question[:80]!r}): the model gave no box twice; expected 'x1 y1 x2 y2' in 0 to 1000 or "
            f"'{NOT_VISIBLE}', got {reply.text[:120]!r}. Describe the thing differently, or segment it by points."
        )
    return text


def ask(
    backbone: Backbone, pictures: Sequence[Picture], question: str, cancel: CancelToken, deadline: Deadline
) -> Reply:
    """Answer a question about pictures in words; `reasoning` holds the thinking where the server returns it.

    Raises: BackboneError (also for an empty reply or a backbone that sees no pictures), Canceled, TimeLimitReached.
    """
    reply = backbone.chat(_messages(backbone, "ask", pictures, question), "ask", cancel, deadline)
    if not reply.text.strip():
        raise BackboneError(
            f"vlm.ask_with_thinking({question[:80]!r}): the model replied with nothing; ask again or differently"
        )
    return reply


def normalise_box(text: str, width: int, height: int) -> str | None:
    """The box that a model meant, as "x1 y1 x2 y2" in 0 to 1000; "Not visible"; None where the text says neither.

    Understood: four numbers in any punctuation (the last four of a longer text), JSON with x_min/x1 keys in any order,
    fractions of 1, and pixels of a width x height picture where a number is above 1000.
    """
    keyed = {
        (axis.lower(), {"min": "1", "max": "2"}.get(end.lower(), end)): float(value)
        for axis, end, value in _KEYED.findall(text)
    }
    if len(keyed) == 4:
        numbers = [keyed["x", "1"], keyed["y", "1"], keyed["x", "2"], keyed["y", "2"]]
    else:
        numbers = [float(number) for number in _NUMBER.findall(text)[-4:]]
    if len(numbers) < 4:
        return NOT_VISIBLE if _says_absent(text) else None
    scale_x = scale_y = 1.0
    if max(numbers) <= 1.0:
        scale_x = scale_y = BOX_SCALE
    elif max(numbers) > BOX_SCALE:
        scale_x, scale_y = BOX_SCALE / max(width, 1), BOX_SCALE / max(height, 1)
    x1, x2 = sorted(_clip(numbers[index] * scale_x) for index in (0, 2))
    y1, y2 = sorted(_clip(numbers[index] * scale_y) for index in (1, 3))
    if x2 <= x1 or y2 <= y1:
        return NOT_VISIBLE if not any(numbers) else None
    return f"{x1} {y1} {x2} {y2}"


def _says_absent(text: str) -> bool:
    """Whether the text denies ("not", "cannot") and says after that what it denies ("visible", "see"), or is "None"."""
    negation = _NEGATION.search(text)
    return negation is not None and bool(_NONE.fullmatch(text) or _SEEING.search(text, negation.end()))


def _clip(value: float) -> int:
    return round(min(float(BOX_SCALE), max(0.0, value)))


def _messages(backbone: Backbone, purpose: Purpose, pictures: Sequence[Picture], question: str) -> list[Message]:
    if not backbone.sees_pictures:
        tool = "vlm.locate" if purpose == "locate" else "vlm.ask_with_thinking"
        raise BackboneError(
            f"the backbone {backbone.name!r} sees no pictures, so {tool} cannot answer; "
            f"configure backbone.name openai, or use measurements instead"
        )
    if not pictures:
        raise BackboneError("no picture was given; expected at least one")
    if not question.strip() or len(question) > MAX_QUESTION:
        raise BackboneError(f"the question has {len(question)} characters; expected 1 to {MAX_QUESTION}")
    parts: list[str | Picture] = []
    for number, picture in enumerate(pictures):
        if len(pictures) > 1:
            parts.append(f"Picture {number + 1}{f' ({picture.label})' if picture.label else ''}:")
        parts.append(picture)
    return [Message("system", (_prompt(purpose),)), Message("user", (*parts, question.strip()))]


@cache
def _prompt(purpose: Purpose) -> str:
    return (Path(__file__).parent / "prompts" / f"{purpose}.txt").read_text(encoding="utf-8").strip()
