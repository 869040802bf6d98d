"""What a model's reply holds: purpose, reasoning, next goal and one runnable cell, or what is wrong with it."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

MAX_CODE = 100_000
"""Longest cell, characters; more is a model that repeats itself."""

_PYTHON = {"python", "py", "python3", "ipython"}
# A model may repeat itself for megabytes, and `re` holds the GIL: every pattern here takes linear time.
_FENCE = re.compile(r"[ \t]{0,3}(?P<marks>`{3,}|~{3,}(?!~))(?P<info>[^`]*)\Z")
_LANGUAGE = re.compile(r"[ \t]*([\w+.#-]*)")
_THINKING_TAG = re.compile(r"<(?P<slash>/?)(?P<name>think|thinking|thought|reasoning)>", re.IGNORECASE)
_HEADING = re.compile(r"^[\s*_#>-]*(purpose|reasoning|next[ _]goal)[\s*_]*:[\s*_]*(.*)$", re.IGNORECASE)

ASK_FOR_CELL = "Reply with the lines Purpose:, Reasoning: and Next goal:, then exactly one ```python block."


@dataclass(frozen=True)
class ParsedReply:
    """A reply taken apart. `problem` is empty exactly when `code` can be run; `text` is without thinking."""

    text: str
    purpose: str = ""
    reasoning: str = ""
    next_goal: str = ""
    code: str = ""
    problem: str = ""


def without_thinking(text: str) -> str:
    """The reply without <think> blocks, those that were never closed or whose opening the server kept included."""
    tags = list(_THINKING_TAG.finditer(text))
    last_closing = {tag["name"].lower(): tag.start() for tag in tags if tag["slash"]}
    kept: list[str] = []
    position, inside, before_unclosed = 0, "", None
    for tag in tags:
        name = tag["name"].lower()
        if inside:
            if tag["slash"] and name == inside:
                position, inside = tag.end(), ""
        elif tag["slash"]:  # its opening is missing: all up to here was thinking
            kept, position, before_unclosed = [], tag.end(), None
        elif last_closing.get(name, -1) > tag.start():
            kept.append(text[position : tag.start()])
            inside = name
        elif before_unclosed is None:
            kept.append(text[position : tag.start()])
            position, before_unclosed = tag.start(), len(kept)
    return "".join([*kept, text[position:]][:before_unclosed]).strip()


def parse_reply(reply: str, finish_reason: str = "") -> ParsedReply:
    """Take a cell reply apart and check that its code parses.

    finish_reason: the server's; 'length' means that the reply was cut off.
    """
    text = without_thinking(reply)
    blocks, prose, is_open = _blocks(text)
    fields = _fields(prose)
    code, problem = _one_cell(text, blocks)
    if not problem and is_open and finish_reason == "length":
        problem = f"Your reply was cut off before its code block ended; write a shorter cell. {ASK_FOR_CELL}"
    problem = problem or syntax_problem(code)
    purpose = fields.get("purpose") or _purpose_from(code, prose)
    return ParsedReply(text, purpose, fields.get("reasoning", ""), fields.get("next goal", ""), code, problem)


def syntax_problem(code: str) -> str:
    """Why a cell cannot be run, in one sentence naming the line; "" when it parses."""
    if len(code) > MAX_CODE:
        return f"The cell is {len(code)} characters long; at most {MAX_CODE} are run. Write a shorter cell."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in a string is no reason to refuse a cell
            flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            tree = compile(code, "<cell>", "exec", flags=flags, dont_inherit=True)
    except SyntaxError as error:
        line = (error.text or "").strip()[:120]
        hint = " Shell and % commands are not available here." if line[:1] in ("!", "%") else ""
        where = f"line {error.lineno or 0}" + (f", `{line}`" if line else "")
        return f"The cell has a syntax error at {where}: {error.msg}.{hint} Send the whole cell again, corrected."
    except (ValueError, RecursionError, MemoryError) as error:
        return f"The cell cannot be parsed ({type(error).__name__}: {error}). Send a simpler cell."
    if not tree.body:
        return f"The code block holds no statement. {ASK_FOR_CELL}"
    return ""


def _one_cell(text: str, blocks: list[tuple[str, str]]) -> tuple[str, str]:
    """The cell to run, or what is wrong. More than one different block is refused: running one would be a guess."""
    if not text:
        return "", f"Your reply was empty. {ASK_FOR_CELL}"
    tagged = [code for language, code in blocks if language in _PYTHON]
    cells = list(dict.fromkeys(tagged or [code for language, code in blocks if not language]))
    if len(cells) > 1:
        return (
            "",
            f"Your reply has {len(cells)} code blocks, and none was run; send one ```python block with it all.",
        )
    if not cells:
        return (
            "",
            f"Your reply has no code block, so nothing ran. {ASK_FOR_CELL} To answer, call ReturnAnswer(...) in it.",
        )
    return cells[0], ""


def _blocks(text: str) -> tuple[list[tuple[str, str]], list[str], bool]:
    """Fenced blocks as (language, code), the lines outside of them, and whether the last fence was never closed."""
    blocks: list[tuple[str, str]] = []
    prose: list[str] = []
    inside: list[str] = []
    marks = language = ""
    for line in text.splitlines():
        fence = _FENCE.match(line)
        tag = _language(fence["info"]) if fence else ""
        if not marks and fence:
            marks, language, inside = fence["marks"], tag, []
        elif marks and fence and fence["marks"].startswith(marks) and not tag:
            blocks.append((language, "\n".join(inside).strip("\n")))
            marks = ""
        elif marks:
            inside.append(line)
        else:
            prose.append(line)
    if marks:
        blocks.append((language, "\n".join(inside).strip("\n")))
    return blocks, prose, bool(marks)


def _language(info: str) -> str:
    """The first word after a fence's marks, in lower case; "" where there is none."""
    word = _LANGUAGE.match(info)
    return word[1].lower() if word else ""


def _fields(prose: list[str]) -> dict[str, str]:
    """The texts after "Purpose:", "Reasoning:" and "Next goal:", each up to the next of them."""
    fields: dict[str, list[str]] = {}
    current = None
    for line in prose:
        heading = _HEADING.match(line)
        if heading:
            current = fields.setdefault(heading[1].lower().replace("_", " "), [])
            line = heading[2]
        if current is not None:
            current.append(line.strip().rstrip("*_"))
    return {name: " ".join(" ".join(lines).split()) for name, lines in fields.items()}


def _purpose_from(code: str, prose: list[str]) -> str:
    """A stand-in for a missing purpose: the first words of the reply, else the cell's first comment."""
    comments = (line.strip().lstrip("# ") for line in code.splitlines() if line.strip().startswith("#"))
    first = next((line.strip() for line in prose if line.strip()), "") or next(comments, "")
    return first[:200]
