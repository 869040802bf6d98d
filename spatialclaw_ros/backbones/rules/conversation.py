"""Reading a conversation: the task in its tags, and what each earlier cell printed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from spatialclaw_ros.backbones.chat import Message
from spatialclaw_ros.errors import BackboneError

_FENCE = "```python\n"
_SEEN = re.compile(r"^(?P<name>.+?): seen in (?P<seen>\d+) of (?P<looked>\d+) frames", re.MULTILINE)
_MEASURED = re.compile(r"^(?P<name>.+?): (?P<views>\d+) views(?:, (?P<motion>moves|still))?", re.MULTILINE)
_VALUE = re.compile(r"\b(?:distance|count|height|length|width|path) (?P<value>\d+(?:\.\d+)?)")
_SPREAD = re.compile(r"\bspread (?P<value>\d+(?:\.\d+)?) m")


@dataclass(frozen=True)
class Observation:
    """What came back from one cell: its text, its error ("" without one)."""

    stdout: str = ""
    error: str = ""

    def times_seen(self) -> dict[str, int]:
        """Name → in how many of the frames looked at it was seen, by the last report of the cell."""
        return {match["name"]: int(match["seen"]) for match in _SEEN.finditer(self.stdout)}

    def views(self) -> dict[str, int]:
        """Name → views with depth."""
        return {match["name"]: int(match["views"]) for match in _MEASURED.finditer(self.stdout)}

    def moving(self) -> list[str]:
        """Names of things that were found to move."""
        return [match["name"] for match in _MEASURED.finditer(self.stdout) if match["motion"] == "moves"]

    def value(self) -> float | None:
        match = _VALUE.search(self.stdout)
        return float(match["value"]) if match else None

    def spread(self) -> float | None:
        """Metres by which the cell's own check differs."""
        match = _SPREAD.search(self.stdout)
        return float(match["value"]) if match else None

    def says(self, words: str) -> bool:
        return words in self.stdout


@dataclass(frozen=True)
class Task:
    """The question of a conversation, and the observations of the cells written for it so far."""

    question: str
    answer_type: str = "any"
    choices: tuple[str, ...] = ()
    session: dict[str, Any] = field(default_factory=dict)
    observations: tuple[Observation, ...] = ()
    wants_plan: bool = False

    @property
    def num_frames(self) -> int:
        return int(self.session.get("num_frames") or 0)


def read_task(messages: Sequence[Message]) -> Task:
    """The last question of the conversation with what followed it. Raises: BackboneError without a <question> tag."""
    start = max(
        (n for n, m in enumerate(messages) if m.role == "user" and _tag(m.text, "question") is not None), default=-1
    )
    if start < 0:
        raise BackboneError(
            "the rules backbone answers the agent's own prompts only: no message carries a <question> tag"
        )
    text = messages[start].text
    choices = tuple(choice.strip() for choice in (_tag(text, "choices") or "").split(" | ") if choice.strip())
    return Task(
        (_tag(text, "question") or "").strip(),
        (_tag(text, "answer_type") or "any").strip().lower(),
        choices,
        _session(_tag(text, "session") or ""),
        tuple(_observations(messages[start:])),
        (_tag(messages[-1].text, "request") or "cell").strip() == "plan",
    )


def _observations(messages: Sequence[Message]) -> list[Observation]:
    """One for each cell that was written: what the next message of the user says about it."""
    observations = []
    for position, message in enumerate(messages):
        if message.role == "assistant" and _FENCE in message.text:
            text = "\n".join(later.text for later in messages[position + 1 : position + 2])
            stdout, error = _tag(text, "stdout"), _tag(text, "error")
            if stdout is None and error is None:
                error = text.strip()  # no output at all: the reply was refused, and the message says why
            observations.append(Observation((stdout or "").strip(), (error or "").strip()))
    return observations


def _session(text: str) -> dict[str, Any]:
    try:
        session = json.loads(text) if text.strip() else {}
    except json.JSONDecodeError:
        return {}
    return session if isinstance(session, dict) else {}


def _tag(text: str, name: str) -> str | None:
    """The content of the first <name>...</name>; None without one."""
    _, opening, rest = text.partition(f"<{name}>")
    content, closing, _ = rest.partition(f"</{name}>")
    return content if opening and closing else None
