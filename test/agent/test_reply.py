"""Replies: the cell and its purpose are found in whatever shape a model gives them."""

from __future__ import annotations

import pytest

from spatialclaw_ros.agent.reply import MAX_CODE, parse_reply

CODE = "x = 1\nprint(x)"


@pytest.mark.parametrize(
    "reply",
    [
        f"```python\n{CODE}\n```",
        f"```py\n{CODE}\n```",
        f"```\n{CODE}\n```",
        f"~~~python\n{CODE}\n~~~",
        f"````python\n{CODE}\n````",
        f"  ```python\n{CODE}\n  ```\n",
        f"<think>let me see\n```python\nwrong\n```</think>```python\n{CODE}\n```",
        f"thinking whose start the server kept</think>\n```python\n{CODE}\n```",
        f"```python\n{CODE}\n```\nThe output will be:\n```text\n1\n```",
        f"```python\n{CODE}\n```\nOnce more:\n```python\n{CODE}\n```",
        f"Purpose: a\n```python\n{CODE}",
    ],
)
def test_the_cell_is_found(reply: str) -> None:
    parsed = parse_reply(reply)
    assert (parsed.code, parsed.problem) == (CODE, "")


@pytest.mark.parametrize(
    "reply",
    [
        f"kept <THINK>a</think><Thinking>b <think></thinking> too\n```python\n{CODE}\n```\n<thought>never closed",
        f"<think>ends under another name</thought>kept too\n```python\n{CODE}\n```",
        f"<think>twice <think>opened</think>kept too\n```python\n{CODE}\n```",
        f"one</think>two <reasoning>three</reasoning> four</think>kept too\n```python\n{CODE}\n```",
    ],
)
def test_thinking_is_left_out_however_its_tags_are_paired(reply: str) -> None:
    parsed = parse_reply(reply)
    assert parsed.code == CODE
    assert " ".join(parsed.text.split("```")[0].split()) == "kept too"
    assert "closed" not in parsed.text


MEGABYTE = 1 << 20


@pytest.mark.timeout(20)  # what takes quadratic time takes hours at this size
@pytest.mark.parametrize(
    "piece",
    ["<think>", "</think>", "<think>a</think>", "<think></thought>", "<thi", "`", "```", "*", "```a\n", "Purpose: "],
)
def test_a_reply_that_repeats_itself_for_a_megabyte_is_read_at_once(piece: str) -> None:
    assert parse_reply(piece * (MEGABYTE // len(piece))).problem


@pytest.mark.timeout(20)
@pytest.mark.parametrize("marks", ["```", "~~~"])
@pytest.mark.parametrize("info", ["a" * MEGABYTE, " " * MEGABYTE, " a" * (MEGABYTE // 2), "~" * MEGABYTE])
def test_a_line_that_almost_is_a_fence_is_read_at_once(marks: str, info: str) -> None:
    assert "no code block" in parse_reply(f"{marks}{info}`").problem


def test_purpose_reasoning_and_next_goal_are_read_through_markdown() -> None:
    parsed = parse_reply(
        f"**Purpose:** look at\nthe mug\n- Reasoning: it is\n  red\nNEXT GOAL: measure\n```python\n{CODE}\n```"
    )
    assert (parsed.purpose, parsed.reasoning, parsed.next_goal) == ("look at the mug", "it is red", "measure")


def test_a_missing_purpose_is_taken_from_the_words_or_the_first_comment() -> None:
    assert parse_reply(f"I look at the mug.\n```python\n{CODE}\n```").purpose == "I look at the mug."
    assert parse_reply("```python\n# find the mug\nx = 1\n```").purpose == "find the mug"


def test_a_fence_inside_a_string_does_not_end_the_cell() -> None:
    code = 'text = """a ``` b"""\nprint(text)'
    assert parse_reply(f"```python\n{code}\n```").code == code


def test_code_in_another_language_is_not_run() -> None:
    assert "no code block" in parse_reply("```bash\nls\n```").problem


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("x = 'a", "syntax error at line 1"),
        ("def f(:\n  pass", "syntax error at line 1"),
        ("x = 1\n  y = 2", "syntax error at line 2"),
        ("%time x", "Shell and % commands"),
        ("x = 1\0", "cannot be parsed|syntax error"),
        ("x = " + "(" * 5000 + ")" * 5000, "cannot be parsed|syntax error"),
        ("x = 1  #" + "a" * MAX_CODE, "at most 100000"),
    ],
)
def test_code_that_cannot_run_is_named_before_it_runs(code: str, reason: str) -> None:
    import re

    problem = parse_reply(f"```python\n{code}\n```").problem
    assert re.search(reason, problem)


def test_top_level_await_and_odd_escapes_are_no_syntax_errors() -> None:
    assert parse_reply("```python\nimport asyncio\nawait asyncio.sleep(0)\n```").problem == ""
    assert parse_reply("```python\nimport re\nre.compile('\\d')\n```").problem == ""
