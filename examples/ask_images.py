"""Ask about pictures without ROS: a recorded room, any rosbag2 recording, or image files.

    python -m spatialclaw_ros.evaluation.rooms --seed 7 --out room_7
    python examples/ask_images.py room_7
    python examples/ask_images.py room_7 "How many green mugs are there?"
    python examples/ask_images.py kitchen/*.jpg "Is the cup left of the sink?" --base-url URL --model NAME

Without a question, three of the room's own questions are asked and compared with their truth. Image files may have
their depth beside them (frame-000000.color.jpg with frame-000000.depth.png, 16 bit, millimetres). The offline backbone
answers questions about rooms only; for anything else name an OpenAI-compatible endpoint.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.records import AnswerType, Event, QueryResult
from spatialclaw_ros.errors import SpatialClawError
from spatialclaw_ros.evaluation.report import ReportItem, write_report
from spatialclaw_ros.frames.bag import frames_from_bag
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.snapshot import Snapshot

PICTURES = {".jpg", ".jpeg", ".png"}


def main() -> int:
    """Ask, print, write the report. Returns 0 when every question got an answer."""
    options = parse_arguments()
    backbone = {"name": "openai", "base_url": options.base_url, "model": options.model} if options.base_url else {}
    snapshot = load(options.source)
    print(snapshot)
    items = []
    with SpatialAgent.from_config({"backbone": backbone}) as agent:
        for question, fields, truth in questions(options):
            print(f"\n{question}")
            result = agent.ask(question, snapshot, listener=show_progress, **fields)
            print_answer(result, truth)
            items.append(ReportItem(result, truth))
    print(f"\nreport: {write_report(items, options.report)}")
    return 0 if all(item.result.ok for item in items) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="+", type=Path, help="a recording, or image files; then the question")
    parser.add_argument(
        "--base-url", default="", help="an OpenAI-compatible endpoint; without it the offline rules answer"
    )
    parser.add_argument("--model", default="", help="the model's name there")
    parser.add_argument("--report", type=Path, default=Path("report.html"), help="where the page goes (%(default)s)")
    options = parser.parse_args()
    options.question = ""
    if len(options.source) > 1 and not os.path.exists(options.source[-1]):
        options.question = str(options.source.pop())
    return options


def load(paths: Sequence[Path]) -> Snapshot:
    """A recording, or image files in the order given, one second apart."""
    if paths[0].suffix.lower() not in PICTURES:
        return frames_from_bag(paths[0])
    pictures = [path for path in paths if ".depth" not in path.name]
    return Snapshot.from_frames(
        Frame.from_files(path, depth=depth_beside(path), stamp=number * 1_000_000_000)
        for number, path in enumerate(pictures)
    )


def depth_beside(path: Path) -> Path | None:
    depth = path.with_name(path.name.replace(".color", ".depth")).with_suffix(".png")
    return depth if ".depth" in depth.name and depth.is_file() else None


def questions(options: argparse.Namespace) -> list[tuple[str, dict[str, object], str]]:
    """(question, fields of the query, truth in words) of the command line, or three of a room's own."""
    if options.question:
        return [(options.question, {}, "")]
    own = options.source[0] / "questions.yaml"
    if not own.is_file():
        sys.exit(f"no question given, and no {own} to take some from")
    families = {entry["family"]: entry for entry in yaml.safe_load(own.read_text(encoding="utf-8"))["questions"]}
    chosen = [families[name] for name in ("distance", "left_right", "count") if name in families]
    return [(entry["question"], fields_of(entry["answer"]), truth_of(entry["answer"])) for entry in chosen]


def fields_of(answer: dict) -> dict[str, object]:
    if answer["type"] == "choice":
        return {"answer_type": AnswerType.CHOICE, "choices": tuple(answer["choices"])}
    return {"answer_type": AnswerType.TEXT if answer["type"] == "text" else AnswerType.NUMBER}


def truth_of(answer: dict) -> str:
    return f"{answer['value']} {answer.get('unit', '')}".strip()


def show_progress(event: Event) -> None:
    """A listener gets every stage of a goal; here one line per cell is enough."""
    if event.stage == "execute":
        print(f"  {event.step}. {event.purpose}")


def print_answer(result: QueryResult, truth: str) -> None:
    answer = result.answer.text if result.answer else f"no answer: {result.error_code.name}: {result.error_message}"
    print(f"  → {answer}" + (f"   (truth: {truth})" if truth else ""))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SpatialClawError as error:
        sys.exit(f"{error.code.name}: {error}")
