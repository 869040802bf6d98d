"""Finding when a question means: a frame by number, the start or the end, a share of the recording, or a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["frame", "share", "seconds"]


@dataclass(frozen=True)
class Moment:
    """When: frame (negative counts from the end), a share of the recording (0 to 1), or seconds from the start."""

    kind: Kind
    value: float


_PICTURE = r"(?:frame|picture|image|photo|shot|view)"
_WHOLE = r"(?:recording|video|clip|sequence|run|film|footage|tour|bag)"
_OF_IT = rf"(?:\s+of\s+(?:the\s+|this\s+)?(?:whole\s+)?{_WHOLE})?"
_LEAD = r"(?:\b(?:in|at|from|of|for|on|by)\s+)?(?:the\s+)?(?:very\s+)?"
_WHEN = rf"\b(?:when|as|where)\s+(?:the\s+)?(?:{_WHOLE}|it|camera)\s+"
_WHAT = rf"(?:camera\s+)?(?:{_PICTURE}|moment|pose|position)\b"
_SECONDS = r"(\d+(?:\.\d+)?)\s*(?:s|secs?|seconds?)"
_INTO_IT = rf"(?:\s+(?:the\s+)?(?:start|{_WHOLE}){_OF_IT})?"

_PATTERNS: tuple[tuple[str, Kind, float | None], ...] = (
    (rf"{_LEAD}(?:camera\s+)?{_PICTURE}\s*(?:number|no\.?|nr\.?|#|index)?\s*(\d+)\b{_OF_IT}", "frame", None),
    (rf"{_LEAD}(?:first|initial|opening)\s+{_WHAT}{_OF_IT}", "frame", 0),
    (rf"{_LEAD}(?:last|final|closing)\s+{_WHAT}{_OF_IT}", "frame", -1),
    (rf"{_LEAD}(?:start|beginning|outset){_OF_IT}\b", "frame", 0),
    (rf"{_LEAD}end{_OF_IT}\b", "frame", -1),
    (rf"{_WHEN}(?:starts|begins|started|began)\b", "frame", 0),
    (rf"{_WHEN}(?:ends|stops|finishes|ended|stopped|finished)\b", "frame", -1),
    (r"\binitially\b", "frame", 0),
    (r"\bfinally\b", "frame", -1),
    (rf"\b(?:half|mid)-?\s?way(?:\s+(?:through|into))?(?:\s+the\s+{_WHOLE})?", "share", 0.5),
    (rf"{_LEAD}middle\s+of\s+the\s+{_WHOLE}\b", "share", 0.5),
    (rf"\b(?:at|after)\s+(?:t\s*=\s*)?{_SECONDS}\b(?:\s+(?:into|from|after){_INTO_IT})?", "seconds", None),
    (rf"\b{_SECONDS}\s+(?:into|in|from|after)\b{_INTO_IT}", "seconds", None),
)
"""Pattern, kind, and the value where the words alone say it; else group 1 holds it."""

_MOMENTS = tuple((re.compile(pattern), kind, value) for pattern, kind, value in _PATTERNS)
_ORDINAL = re.compile(rf"{_LEAD}(\d+)(?:st|nd|rd|th)\s+{_PICTURE}\b{_OF_IT}")


def find_moment(text: str) -> tuple[Moment | None, str]:
    """The moment that a lower-case question names, and the question without those words.

    "Frame 12" counts from 0, "the 12th frame" from 1.
    """
    ordinal = _ORDINAL.search(text)
    if ordinal is not None:
        return Moment("frame", max(0.0, float(ordinal[1]) - 1)), _without(text, ordinal)
    for pattern, kind, value in _MOMENTS:
        match = pattern.search(text)
        if match is not None:
            return Moment(kind, float(match[1]) if value is None else value), _without(text, match)
    return None, text


def _without(text: str, match: re.Match[str]) -> str:
    return f"{text[: match.start()]} {text[match.end() :]}"
