"""The evaluation's command line: `rooms` for generated rooms, `recording` for a bag with a questions file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from spatialclaw_ros.errors import SpatialClawError
from spatialclaw_ros.evaluation import run
from spatialclaw_ros.evaluation.rooms_noise import NOISES
from spatialclaw_ros.evaluation.rooms_recording import RoomSettings

if TYPE_CHECKING:
    from spatialclaw_ros.agent.agent import SpatialAgent
    from spatialclaw_ros.config import AgentConfig

PROGRAM = "python -m spatialclaw_ros.evaluation"
MAX_SEEDS = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0; 1 when fewer than --floor of the answers are right; 2 for what cannot be served; 130 when stopped."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        outcomes = run.record(
            options.outcomes(options), options.out / "results.jsonl", lambda outcome: _tell(console, outcome)
        )
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped; results so far are in {options.out / 'results.jsonl'}", file=sys.stderr)
        return 130
    except (SpatialClawError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    run.print_table(console, outcomes, f"{options.command}, backbone {_config(options).backbone.name}")
    share = run.accuracy(outcomes)
    console.print(f"{100 * share:.1f} % right; results in {options.out / 'results.jsonl'}", soft_wrap=True)
    return 0 if share >= options.floor else 1


def seeds_of(text: str) -> list[int]:
    """'0:5' → 0 to 4; '1,4,7' → these; '3' → this. Raises: ArgumentTypeError."""
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            seeds = list(range(first, min(last, first + MAX_SEEDS + 1)))
        else:
            seeds = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} names no seeds; expected 0:5, 1,4,7 or 3") from error
    if not seeds or min(seeds) < 0 or len(seeds) > MAX_SEEDS:
        raise argparse.ArgumentTypeError(f"{text!r} names {len(seeds)} seeds; expected 1 to {MAX_SEEDS} of 0 or more")
    return seeds


def _of_rooms(options: argparse.Namespace) -> Iterator[run.Outcome]:
    with _agent(options) as agent:
        for seed in options.seeds:
            recording = run.room(RoomSettings(seed, options.noise), options.out)
            yield from _of_bag(options, agent, recording.folder, recording.questions)


def _of_recording(options: argparse.Namespace) -> Iterator[run.Outcome]:
    with _agent(options) as agent:
        yield from _of_bag(options, agent, options.bag, options.questions or options.bag / "questions.yaml")


def _of_bag(options: argparse.Namespace, agent: SpatialAgent, bag: Path, questions: Path) -> Iterator[run.Outcome]:
    from spatialclaw_ros.agent.recording import recorded_frames

    asked = run.questions_of(questions, options.family, options.limit)
    with recorded_frames(bag, _config(options)) as frames:
        yield from run.ask_all(agent, frames, asked, bag.name, time_limit=options.time_limit)


def _agent(options: argparse.Namespace) -> SpatialAgent:
    from spatialclaw_ros.agent.agent import SpatialAgent

    return SpatialAgent(_config(options))


def _config(options: argparse.Namespace) -> AgentConfig:
    from spatialclaw_ros.config import AgentConfig

    config = AgentConfig.load(options.config)
    given: dict[str, Any] = {"name": options.backbone, "base_url": options.base_url, "model": options.model}
    changes = {key: value for key, value in given.items() if value is not None}
    return replace(config, backbone=replace(config.backbone, **changes))


def _tell(console: Console, outcome: run.Outcome) -> None:
    mark = "[green]right[/]" if outcome.verdict.right else "[red]wrong[/]"
    console.print(
        f"{mark} {escape(outcome.recording)} {outcome.question.id}: {escape(outcome.verdict.detail)}", soft_wrap=True
    )


def _share(text: str) -> float:
    share = float(text)
    if not 0.0 <= share <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return share


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    rooms = commands.add_parser("rooms", help="generate rooms (kept in --out) and ask their questions")
    rooms.add_argument("--seeds", type=seeds_of, default=[0, 1, 2, 3, 4], help="0:5 (0 to 4, the default), or 1,4,7")
    rooms.add_argument("--noise", choices=NOISES, default="none", help="sensor noise of the rooms (default none)")
    rooms.set_defaults(outcomes=_of_rooms)
    recording = commands.add_parser("recording", help="ask the questions of a file about a bag")
    recording.add_argument("bag", type=Path, help="a rosbag2 folder")
    recording.add_argument("--questions", type=Path, help="a questions file (default BAG/questions.yaml)")
    recording.set_defaults(outcomes=_of_recording)
    for command in (rooms, recording):
        _add_common(command)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--out", type=Path, default=Path("out/evaluation"), help="folder of results.jsonl (default out/evaluation)"
    )
    command.add_argument("--config", type=Path, help="the agent's configuration, YAML")
    command.add_argument("--backbone", choices=("rules", "openai"), help="instead of the configuration's")
    command.add_argument("--base-url", help="of an OpenAI-compatible server")
    command.add_argument("--model", help="the model's name on that server")
    command.add_argument("--family", action="append", default=[], help="only this family; may be given several times")
    command.add_argument("--limit", type=int, default=0, help="at most so many questions of each family and recording")
    command.add_argument(
        "--time-limit", type=float, default=0.0, help="seconds for a question (default the configuration's)"
    )
    command.add_argument(
        "--floor", type=_share, default=0.0, help="exit status 1 below this share of right answers, 0 to 1"
    )
