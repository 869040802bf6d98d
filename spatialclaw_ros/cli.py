"""The `spatialclaw` command: demo, ask, check."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from spatialclaw_ros import __version__
from spatialclaw_ros.agent.records import AnswerType, Query, QueryResult
from spatialclaw_ros.errors import SpatialClawError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0 done, 1 no (or no right) answer, 2 wrong use."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except SpatialClawError as error:
        Console(stderr=True).print(f"[bold red]{error.code.name}[/]: {escape(str(error))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="spatialclaw", description="Ask a robot's cameras spatial questions.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="replay a generated room and ask the agent node three questions")
    demo.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="folder for the recording and report (%(default)s)"
    )
    demo.add_argument("--seed", type=int, default=7, help="which room to generate (%(default)s)")
    demo.set_defaults(run=_demo)

    ask = commands.add_parser("ask", help="ask one question of a recording or of a running agent node")
    ask.add_argument("question")
    source = ask.add_mutually_exclusive_group()
    source.add_argument("--bag", type=Path, help="a rosbag2 folder or file; needs no ROS")
    source.add_argument("--live", action="store_true", help="send the goal to a running agent node (the default)")
    ask.add_argument("--node", default="/spatialclaw", help="the agent node's name, with --live (%(default)s)")
    ask.add_argument("--wait", type=float, default=10.0, help="seconds to wait for that node (%(default)s)")
    ask.add_argument("--config", type=Path, help="a configuration file, with --bag")
    ask.add_argument("--backbone", choices=("rules", "openai"), help="which model writes the cells, with --bag")
    ask.add_argument("--base-url", help="the openai backbone's address, e.g. http://localhost:8000/v1")
    ask.add_argument("--model", help="the model's name at that address")
    ask.add_argument("--api-key-env", help="the environment variable that holds its key")
    types = [answer_type.name.lower() for answer_type in AnswerType]
    ask.add_argument("--type", choices=types, default="any", help="what the answer has to be (%(default)s)")
    ask.add_argument("--choice", action="append", default=[], metavar="TEXT", help="one choice; repeat for each")
    ask.add_argument("--target-frame", default="", help="the frame of points and objects in the answer")
    ask.add_argument("--max-steps", type=int, default=0, help="most cells to run (0: as configured)")
    ask.add_argument("--time-limit", type=float, default=0.0, help="seconds (0: as configured)")
    ask.add_argument("--report", type=Path, help="write an HTML report of the goal to this file")
    ask.add_argument("--json", action="store_true", help="print the result as JSON instead of a live view")
    ask.set_defaults(run=_ask, wrong_use=ask.error)

    check = commands.add_parser("check", help="tell what works here, with the fix for what does not")
    check.add_argument("--config", type=Path, help="the configuration whose backbone and segmenter to check")
    check.add_argument(
        "--sandbox", action="store_true", help="instead, let cells try to get out at each isolation level (20 to 60 s)"
    )
    check.set_defaults(run=_check)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from spatialclaw_ros.demo import run_demo

    return run_demo(options.out, options.seed, Console())


def _check(options: argparse.Namespace) -> int:
    if options.sandbox:
        from spatialclaw_ros.check_sandbox import check_sandbox

        return 0 if check_sandbox(options.config, Console()) else 1
    from spatialclaw_ros.check import print_checks, run_checks

    return 0 if print_checks(run_checks(options.config)) else 1


def _ask(options: argparse.Namespace) -> int:
    answer_type = AnswerType.CHOICE if options.choice and options.type == "any" else AnswerType[options.type.upper()]
    query = Query(
        question=options.question,
        answer_type=answer_type,
        choices=tuple(options.choice),
        target_frame=options.target_frame,
        max_steps=options.max_steps,
        time_limit=options.time_limit,
    )
    result = _ask_recording(options, query) if options.bag else _ask_node(options, query)
    if options.json:
        print(json.dumps(result_as_json(result), indent=2))
    if options.report:
        from spatialclaw_ros.evaluation.report import write_report

        path = write_report([result], options.report)
        Console(stderr=True).print(f"report: {path}", soft_wrap=True)
    return 0 if result.ok else 1


def _ask_recording(options: argparse.Namespace, query: Query) -> QueryResult:
    from spatialclaw_ros.agent.agent import SpatialAgent
    from spatialclaw_ros.agent.recording import recorded_frames
    from spatialclaw_ros.config import AgentConfig

    config = AgentConfig.load(options.config)
    changes = {
        "name": options.backbone,
        "base_url": options.base_url,
        "model": options.model,
        "api_key_env": options.api_key_env,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    config = dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, **given))
    with recorded_frames(options.bag, config) as snapshot, SpatialAgent(config) as agent:
        return _watch(options, query, lambda listener: agent.run(query, snapshot, listener))


def _ask_node(options: argparse.Namespace, query: Query) -> QueryResult:
    if options.backbone or options.base_url or options.model or options.config or options.api_key_env:
        options.wrong_use(
            "--backbone, --base-url, --model, --api-key-env and --config belong to --bag; a running node has its own"
        )
    try:
        from spatialclaw_ros.ros.client import QueryClient
    except ImportError as error:
        raise SpatialClawError(
            f"asking a running node needs ROS 2 ({error}); source your distribution, or ask a recording with --bag PATH"
        ) from error
    with QueryClient(options.node) as client:
        client.wait_for_server(options.wait)
        return _watch(options, query, lambda listener: client.ask(query, listener))


def _watch(options: argparse.Namespace, query: Query, ask: Any) -> QueryResult:
    from spatialclaw_ros.live import LiveView, print_result

    if options.json:
        return ask(None)
    console = Console()
    with LiveView(console, query.question) as view:
        result = ask(view)
    print_result(console, result)
    return result


def result_as_json(result: QueryResult) -> dict[str, Any]:
    """A result as plain JSON values: what a script wants, without the steps' pictures. Unknown numbers become null."""
    answer = None
    if result.answer is not None:
        answer = dataclasses.asdict(result.answer)
        answer["type"] = result.answer.type.name.lower()
        for key in ("number", "number_stddev", "confidence"):
            value = answer[key]
            answer[key] = None if not math.isfinite(value) or (key != "number" and value < 0) else value
    return {
        "question": result.query.question,
        "error_code": result.error_code.name,
        "error_message": result.error_message,
        "answer": answer,
        "is_best_effort": result.is_best_effort,
        "steps": len(result.steps),
        "duration": result.duration,
        "prompt_tokens": result.prompt_tokens,
        "completion_tokens": result.completion_tokens,
        "sandbox_level": result.sandbox_level,
        "trace_path": result.trace_path,
        "notes": list(result.notes),
    }


if __name__ == "__main__":
    sys.exit(main())
