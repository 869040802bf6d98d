"""Renders the prompt files; keeps what comes from outside from looking like the tags that prompts are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jinja2

MAX_LISTED = 60
"""Names of variables that one sentence lists."""

_TAG_LIKE = re.compile(r"<(?=\s*/|[!?|]?[A-Za-z_])")


def neutralise(text: str) -> str:
    """The text with the "<" of everything tag-like replaced by "‹", and control characters dropped; "a < b" stays.

    A question or a cell's output cannot close its own tag or open another then.
    """
    text = "".join(character for character in text if character in "\n\t" or character.isprintable())
    return _TAG_LIKE.sub("‹", text)


def neutral_json(value: Any) -> str:
    """JSON without a literal "<"; it parses to the same value."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ")).replace("<", "\\u003c")


def cut_middle(text: str, most: int) -> str:
    """At most about `most` characters: the head and the tail, with a line between that says how much is missing."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]}\n… {len(text) - head - tail} characters left out …\n{text[-tail:]}"


def listed(names: Sequence[str], most: int = MAX_LISTED) -> str:
    """The first `most` of the names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more} more"


def render(name: str, **values: Any) -> str:
    """One prompt file with its values. The values must be neutralised where they come from outside."""
    return _environment().get_template(f"{name}.j2").render(**values).strip()


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("spatialclaw_ros.agent", "prompts"),
        autoescape=False,  # prompts are plain text; `neutralise` is what guards their tags
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=False,
    )
