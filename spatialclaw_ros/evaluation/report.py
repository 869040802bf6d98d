"""write_report: answered questions as one self-contained HTML page."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from spatialclaw_ros.agent.key_frames import KeyFrame
from spatialclaw_ros.agent.records import Answer, QueryResult, Step
from spatialclaw_ros.agent.trace_format import Trace, read_trace
from spatialclaw_ros.errors import RecordingError
from spatialclaw_ros.kernel.cell import ShownPicture

MAX_TEXT = 20_000
"""Characters of one output, error or reply on the page."""


@dataclass(frozen=True)
class ReportItem:
    """One question of a report. truth: the right answer in words; right: None = not judged; detail: why."""

    result: QueryResult
    truth: str = ""
    right: bool | None = None
    detail: str = ""


def write_report(
    items: Sequence[ReportItem | QueryResult | str | Path], out: str | Path, title: str = "Spatial questions"
) -> Path:
    """Write the page and return its path. Whatever a model, a user or a scene wrote is escaped.

    items: results, with or without truth, or paths of traces. Key frames come from a result's trace while it is there.
    out: the page's path; a folder gets a report.html.
    Raises: RecordingError for a path that is no trace; OSError where `out` cannot be written.
    """
    entries = [_entry(_item(item)) for item in items]
    out = Path(out)
    path = out / "report.html" if out.is_dir() else out
    judged = [entry for entry in entries if entry["verdict"]]
    page = _template().render(
        title=title,
        made=f"{datetime.now().astimezone():%d %B %Y, %H:%M}",
        entries=entries,
        judged=len(judged),
        right=sum(entry["mark"] == "good" for entry in judged),
        style=Markup(_style()),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(page, encoding="utf-8", errors="replace")
    temporary.replace(path)
    return path


def _item(item: ReportItem | QueryResult | str | Path) -> tuple[ReportItem, Trace | None]:
    if isinstance(item, (str, Path)):
        trace = read_trace(item)
        return ReportItem(trace.result), trace
    item = ReportItem(item) if isinstance(item, QueryResult) else item
    return item, _trace_of(item.result)


def _trace_of(result: QueryResult) -> Trace | None:
    """A result's trace, for what only it holds (key frames, and the steps of a result that came over the action)."""
    if not result.trace_path:
        return None
    try:
        return read_trace(result.trace_path)
    except RecordingError:  # another machine's path, or deleted since: the page does without
        return None


def _entry(given: tuple[ReportItem, Trace | None]) -> dict[str, Any]:
    item, trace = given
    result = item.result
    steps = trace.result.steps if trace else result.steps  # a result that came over the action only counts them
    verdict = "" if item.right is None else "right" if item.right else "wrong"
    mark = {"right": "good", "wrong": "bad", "": "" if result.ok else "bad"}[verdict]
    return {
        "question": result.query.question,
        "choices": result.query.choices,
        "answer": result.answer.text if result.answer else "",
        "best_effort": result.is_best_effort,
        "error_code": "" if result.ok else result.error_code.name,
        "error_message": result.error_message,
        "truth": item.truth,
        "verdict": verdict,
        "detail": item.detail,
        "mark": mark,
        "sign": {"good": "✓", "bad": "✗", "": ""}[mark],
        "details": _details(result, trace),
        "notes": result.notes,
        "plan": result.plan or (trace.result.plan if trace else ""),
        "duration": f"{result.duration:.1f} s",
        "key_frames": [_key_frame(frame, trace.key_frames[0].stamp) for frame in trace.key_frames] if trace else [],
        "steps": [_step(step) for step in steps],
    }


def _details(result: QueryResult, trace: Trace | None) -> list[tuple[str, str]]:
    details = _answer_details(result.answer) if result.answer else []
    details.append(("time", f"{result.duration:.1f} s"))
    if trace is not None and trace.facts.get("backbone"):
        details.append(("backbone", " ".join(filter(None, (trace.facts["backbone"], trace.facts.get("model"))))))
    if result.prompt_tokens or result.completion_tokens:
        details.append(("tokens", f"{result.prompt_tokens} in, {result.completion_tokens} out"))
    if result.sandbox_level:
        details.append(("isolation", result.sandbox_level))
    return details


def _answer_details(answer: Answer) -> list[tuple[str, str]]:
    details = []
    if answer.number_stddev >= 0:
        details.append(("standard deviation", f"{answer.number_stddev:.3g} {answer.unit}".strip()))
    if answer.confidence >= 0:
        details.append(("confidence", f"{answer.confidence:.0%}"))
    if answer.point is not None:
        details.append(("point", f"{_vector(answer.point)} m in {answer.frame}"))
    for entry in answer.objects[:50]:
        details.append((entry.label, f"{_vector(entry.position)} m, size {_vector(entry.size)} m in {answer.frame}"))
    if answer.evidence:
        details.append(("evidence", "frames " + ", ".join(str(frame.index) for frame in answer.evidence)))
    return details


def _vector(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.2f}" for value in values) + ")"


def _step(step: Step) -> dict[str, Any]:
    result = step.result
    error = result.error if result else None
    times = [f"model {step.seconds_backbone:.1f} s" if step.seconds_backbone >= 0.05 else ""]
    times.append(f"cell {step.seconds_cell:.2f} s" if result else "")
    return {
        "number": step.number,
        "purpose": step.purpose,
        "reasoning": step.reasoning,
        "next_goal": step.next_goal,
        "code": highlighted(step.code) if step.code else "",
        "reply": step.reply[:MAX_TEXT],
        "output": result.stdout.strip()[:MAX_TEXT] if result else "",
        "error": (error.traceback or f"{error.name}: {error.message}")[:MAX_TEXT] if error else "",
        "pictures": [_shown(picture) for picture in result.pictures] if result else [],
        "variables": result.variables if result else (),
        "notes": result.notes if result else (),
        "problem": step.problem,
        "state": "failed" if step.problem else "",
        "times": " · ".join(filter(None, times)),
    }


def _shown(picture: ShownPicture) -> dict[str, str]:
    return {"url": data_url(picture.data), "label": picture.label or "shown picture"}


def _key_frame(frame: KeyFrame, start: int) -> dict[str, str]:
    label = f"frame {frame.index} · {frame.camera} · {(frame.stamp - start) / 1e9:.2f} s"
    return {"url": data_url(frame.picture.data), "label": label}


def data_url(data: bytes) -> str:
    """A picture as a data URL; its type is told by its bytes, never by what a cell claims."""
    mime = "image/png" if data[:4] == b"\x89PNG" else "image/jpeg"
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def highlighted(code: str) -> Markup:
    """Python as HTML with classes; pygments escapes the code."""
    return Markup(highlight(code, PythonLexer(stripnl=False), _formatter("default")))


@lru_cache(maxsize=4)
def _formatter(style: str) -> HtmlFormatter:
    return HtmlFormatter(style=style, nobackground=True, cssclass="source")


@lru_cache(maxsize=1)
def _style() -> str:
    """The page's style sheet, with the code's colours for light and dark."""
    own = (resources.files("spatialclaw_ros.evaluation") / "templates" / "report.css").read_text(encoding="utf-8")
    light = _formatter("default").get_style_defs(".code")
    dark = _formatter("github-dark").get_style_defs(".code")
    return f"{own}\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spatialclaw_ros.evaluation", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
