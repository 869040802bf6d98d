"""The demo: a generated room is replayed to the agent node, and three questions are asked over its action."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spatialclaw_ros.agent.records import Query, QueryResult
from spatialclaw_ros.errors import SpatialClawError
from spatialclaw_ros.evaluation.questions import Question, load_questions
from spatialclaw_ros.evaluation.report import ReportItem, write_report
from spatialclaw_ros.evaluation.rooms_recording import RoomRecording, RoomSettings, make_room
from spatialclaw_ros.evaluation.run import answer_type
from spatialclaw_ros.evaluation.score import Verdict, score, truth_text
from spatialclaw_ros.live import LiveView, print_result
from spatialclaw_ros.ros.domain import PrivateDomain

FAMILIES = ("distance", "count", "left_right")
"""One question of each: a measurement, a count over all views, a relation seen from one frame."""

REPLAY_RATE = 4.0
READY_TIMEOUT = 30.0
REPLAY_TIMEOUT = 60.0
GOAL_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0
"""Seconds of steady time."""


@dataclass(frozen=True)
class AgentNode:
    """The agent node's process, and the file of what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """What goes wrong inside names this log, and whether the node has ended."""
        try:
            yield
        except SpatialClawError as error:
            code = self.process.poll()
            ended = "" if code is None else f"the agent node ended with exit code {code}; "
            error.args = (f"{ended}{error}; see {self.log}",)
            raise


@dataclass(frozen=True)
class Asked:
    """One question of the demo and what came back."""

    question: Question
    result: QueryResult
    verdict: Verdict


def run_demo(out: Path, seed: int, console: Console) -> int:
    """Generate, replay, ask, compare, report. Returns 0 only when every answer is right.

    out: the folder for the recording, the node's log and traces, and report.html.
    Raises: SpatialClawError when a part does not come up, naming the logs to read.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with PrivateDomain() as domain:
        console.print(f"ROS_DOMAIN_ID {domain.domain_id}, discovery on this machine only", style="dim")
        with _agent_node(out) as node:
            recording = _make_recording(out, seed, console)
            questions = _pick(load_questions(recording.questions))
            with node.blamed():
                _replay(recording, out, console)
                asked = _ask(questions, node, console)
    report = write_report(
        [ReportItem(each.result, truth_text(each.question.answer), each.verdict.right) for each in asked],
        out / "report.html",
        title=f"Demo: room {seed}",
    )
    return _print_verdicts(asked, report, console)


def _make_recording(out: Path, seed: int, console: Console) -> RoomRecording:
    folder = out / f"room_{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    with console.status(f"Generating room {seed} and recording it"):
        recording = make_room(RoomSettings(seed), folder)
    console.print(f"Room {seed} recorded in {time.monotonic() - started:.1f} s: {escape(str(folder))}", soft_wrap=True)
    return recording


def _pick(questions: Sequence[Question]) -> list[Question]:
    return [next(question for question in questions if question.family == family) for family in FAMILIES]


@contextlib.contextmanager
def _agent_node(out: Path) -> Iterator[AgentNode]:
    """The agent node in a process of its own, ended with SIGTERM."""
    traces = out / "traces"
    shutil.rmtree(traces, ignore_errors=True)
    settings = {
        "use_sim_time": "true",
        "buffer.seconds": "60.0",
        "buffer.rate_hz": "0.0",  # every frame: questions name frames by number
        "backbone.name": "rules",
        "trace.folder": str(traces),
    }
    arguments = [part for name, value in settings.items() for part in ("-p", f"{name}:={value}")]
    command = [sys.executable, "-m", "spatialclaw_ros.ros.main", "--ros-args", *arguments]
    log = out / "agent_node.log"
    with log.open("wb") as file:
        node = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield AgentNode(node, log)
        finally:
            node.terminate()
            try:
                node.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait()


def _replay(recording: RoomRecording, out: Path, console: Console) -> None:
    command = [sys.executable, "-m", "spatialclaw_ros.evaluation.replay", str(recording.folder)]
    command += ["--rate", str(REPLAY_RATE)]
    log = out / "replay.log"
    with console.status(f"Replaying it with /clock at {REPLAY_RATE:g} times real time"), log.open("wb") as file:
        try:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, timeout=REPLAY_TIMEOUT
            ).returncode
        except subprocess.TimeoutExpired:
            raise SpatialClawError(f"the replay did not end within {REPLAY_TIMEOUT:g} s; see {log}") from None
    if code:
        raise SpatialClawError(f"the replay failed with exit code {code}; see {log}")
    console.print("Replayed to the agent node")


def _ask(questions: Sequence[Question], node: AgentNode, console: Console) -> list[Asked]:
    from spatialclaw_ros.ros.client import QueryClient

    asked = []
    with QueryClient("/spatialclaw") as client:
        client.wait_for_server(READY_TIMEOUT)
        for question in questions:
            if node.process.poll() is not None:
                raise SpatialClawError("no further question can be asked")
            truth = question.answer
            query = Query(question.question, answer_type(truth), choices=truth.choices, time_limit=GOAL_TIMEOUT)
            console.print()
            with LiveView(console, question.question) as view:
                result = client.ask(query, view)
            print_result(console, result)
            asked.append(Asked(question, result, score(question, result)))
    return asked


def _print_verdicts(asked: Sequence[Asked], report: Path, console: Console) -> int:
    table = Table(title="What was asked, answered and true")
    for heading in ("question", "answer", "truth", "verdict"):
        table.add_column(heading)
    for each in asked:
        answer = each.result.answer.text if each.result.answer else each.result.error_code.name
        verdict = "[green]right[/]" if each.verdict.right else "[bold red]wrong[/]"
        table.add_row(escape(each.question.question), escape(answer), escape(truth_text(each.question.answer)), verdict)
    console.print()
    console.print(table)
    console.print(f"Report: {escape(str(report))}", soft_wrap=True)
    wrong = [each for each in asked if not each.verdict.right]
    for each in wrong:
        console.print(
            f"[bold red]wrong[/]: {escape(each.question.question)} {escape(each.verdict.detail)}", soft_wrap=True
        )
    return 1 if wrong else 0
