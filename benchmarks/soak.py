"""Goals with random faults, for minutes: run `python benchmarks/soak.py`; prints what was held before and after.

Each goal meets a fault, or none, drawn by a seed: of the model's server (in its own process), of the segmenter, of the
kernel, of the broker, of the goal itself. Every goal has to end as its fault may end, goals without one with an answer.
At the end the process has to hold as many processes, descriptors, shared-memory files and threads as after goal 20, and
its memory within 5 %. Ends with status 1 where one of these does not hold.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.records import Event, QueryResult
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer, FakeReply, RecordedRequest
from spatialclaw_ros.fakes.segmenter import FakeSegmenter
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.kernel import process_tree
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.perception.interfaces import Masks, Prompt, SegmentInput

SESSIONS = ("first", "second")
WAIT = 30.0
M_ARENA_MAX = -8
"""glibc's malloc.h"""
ANSWER = "ReturnAnswer(float(np.nanmedian(InputImages[0].depth)), unit='m')"
SEGMENT = "SAM3.segment_image_by_text(InputImages[0], 'wall')"
ASK = "vlm.ask_with_thinking(InputImages[0], 'What is it?')"
BROKER = "from spatialclaw_ros.workbench import broker_client as b\n"
SERVER_FAULTS = (
    "drop",
    "cut",
    "rate_limited",
    "server_error",
    "html",
    "invalid_json",
    "empty",
    "broken_utf8",
    "endless",
    "drip",
)
CELL_FAULTS = {
    "error": "1 / 0",
    "flood of text": "for n in range(20_000): print('x' * 1000)",
    "flood of requests": f"for n in range(80): {ASK}",
    "bad request": f"{BROKER}b.call('shell', {{'command': 'ls'}})",
    "broker closed": f"{BROKER}{ASK}\nb._client._socket.close()\n{ASK}",
    "too much memory": "x = [np.ones(1 << 24) for _ in range(8)]\nwhile True: pass",
    "too long": "while True: pass",
    "deaf": "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
    "exit": "import os\nos._exit(3)",
    "thread left behind": "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()",
    "killed": SEGMENT,
    "segmenter raises": SEGMENT,
    "segmenter answers nonsense": SEGMENT,
    "segmenter hangs": SEGMENT,
    "canceled": "while True: pass",
    "short of time": "while True: pass",
}
PLAIN = "none"
FAULTS = (PLAIN,) * 10 + SERVER_FAULTS + tuple(CELL_FAULTS)
ENDINGS = {
    **{name: {ErrorCode.BACKBONE_UNREACHABLE, ErrorCode.BACKBONE_FAILED} for name in SERVER_FAULTS},
    "canceled": {ErrorCode.CANCELED},
    "short of time": {ErrorCode.TIME_LIMIT},
}
"""Error codes with which a goal of that fault ends; any other fault costs a cell, and the goal is answered."""


@dataclass(frozen=True)
class Usage:
    """What this process holds. memory: resident MiB, after garbage collection and giving free memory back."""

    processes: int
    descriptors: int
    shared_files: int
    threads: int
    memory: float


@dataclass
class Report:
    """before: after the first goals; problems: goals that ended as they must not."""

    before: Usage | None = None
    after: Usage | None = None
    endings: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def differences(self, memory_share: float) -> list[str]:
        """What is not as it was. memory_share: of growth that is allowed."""
        assert self.before is not None and self.after is not None
        before, after = asdict(self.before), asdict(self.after)
        found = [
            f"{name}: {before[name]} before, {after[name]} after"
            for name in before
            if name != "memory" and before[name] != after[name]
        ]
        if self.after.memory > self.before.memory * (1 + memory_share):
            found.append(f"memory: {self.before.memory:.1f} MiB before, {self.after.memory:.1f} MiB after")
        return found


class Soak:
    """One agent that is asked again and again. Use as a context manager."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._fault = PLAIN
        self._measurements = 0
        self._model = ModelProcess()
        self._segmenter = FakeSegmenter(maker=self._segment)
        config = {
            "loop": {"planning": False, "max_steps": 4, "max_sessions": len(SESSIONS)},
            "kernel": {"cell_timeout": 1.0, "interrupt_grace": 0.3, "memory_bytes": 512 << 20},
            "backbone": {
                "name": "openai",
                "base_url": self._model.url,
                "model": "stand-in",
                "timeout": 1.0,
                "max_attempts": 1,
                "max_reply_bytes": 1 << 20,
            },
            "trace": {"folder": str(folder), "keep": 5},
        }
        self._agent = SpatialAgent(AgentConfig.load(config), segmenter=self._segmenter)
        self._frames = frames()

    def __enter__(self) -> Soak:
        self._agent.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._segmenter.unblock()
        self._agent.close()
        self._model.close()

    def run(self, goals: int, compare_from: int) -> Report:
        """Ask `goals` times; what is held after `compare_from` of them is compared with the end."""
        report, started = Report(), time.monotonic()
        for number in range(1, goals + 1):
            self._fault = self._random.choice(FAULTS)
            result = self._ask(self._random.choice((*SESSIONS * 4, "")))  # "" takes a kernel of its own
            report.endings[self._fault, result.error_code.name] += 1
            if result.error_code not in ENDINGS.get(self._fault, {ErrorCode.NONE}):
                report.problems.append(
                    f"goal {number} ({self._fault}): {result.error_code.name}: {result.error_message}"
                )
            if number == compare_from:
                report.before = self.usage()
        report.after = self.usage()
        report.seconds = time.monotonic() - started
        return report

    def usage(self) -> Usage:
        """What is held once two new sessions have a kernel, the spare is ready, and all that ends has ended."""
        self._fault = PLAIN
        self._measurements += 1
        for session in SESSIONS:
            self._ask(f"{session} for measurement {self._measurements}")
        seen = [self._measured()]
        end = time.monotonic() + WAIT
        while time.monotonic() < end and (
            not self._at_rest() or len(seen) < 3 or len(set(map(_counts, seen[-3:]))) > 1
        ):
            time.sleep(0.3)
            seen.append(self._measured())
        return seen[-1]

    def _at_rest(self) -> bool:
        pool = self._agent._pool
        return pool._spare is not None and pool._spare.alive and len(pool.sessions()) == len(SESSIONS) + 1

    def _measured(self) -> Usage:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # free memory that malloc keeps is no leak, and differs from run to run
        myself = psutil.Process()
        return Usage(
            processes=len(myself.children(recursive=True)),
            descriptors=myself.num_fds(),
            shared_files=sum(1 for path in self._agent.store.folder.rglob("*") if path.is_file()),
            threads=myself.num_threads() - _pooled_threads(),
            memory=myself.memory_info().rss / 2**20,
        )

    def _ask(self, session: str) -> QueryResult:
        cancel = CancelToken()

        def listener(event: Event) -> None:
            if event.stage == "execute" and self._fault == "canceled":
                cancel.cancel()

        if self._fault == "segmenter hangs":
            self._segmenter.block()
        limit = 0.5 if self._fault == "short of time" else WAIT
        question = f"How far is the wall, in metres? Fault: {self._fault}."
        result = self._agent.ask(
            question, self._frames, session_id=session, time_limit=limit, cancel=cancel, listener=listener
        )
        self._segmenter.unblock()
        return result

    def _segment(self, image: SegmentInput, _prompt: Prompt) -> Masks:
        """The segmenter, with its own faults; and the moment at which a cell surely runs, to kill its kernel in."""
        size = image.color.shape[:2]
        if self._fault == "killed":
            for kernel in self._running_kernels():
                os.kill(process_tree.descendants(kernel.pid)[-1], signal.SIGKILL)
        if self._fault == "segmenter raises":
            raise RuntimeError("out of memory")
        if self._fault == "segmenter answers nonsense":
            return Masks(np.full((1, 3, 3), np.nan), np.array([np.nan]), "soak")
        return Masks(np.ones((1, *size), bool), np.ones(1), "soak")

    def _running_kernels(self) -> list[KernelSession]:
        return [kernel for kernel in self._agent._pool.sessions() if kernel.id in self._agent.requests._goals]


def _pooled_threads() -> int:
    """Threads of the sessions' bounded pool, which are started as they are first needed and then kept."""
    return sum(1 for thread in threading.enumerate() if thread.name.startswith("kernels_"))


def _counts(usage: Usage) -> tuple[int, ...]:
    return tuple(getattr(usage, item.name) for item in fields(usage) if item.name != "memory")


class ModelProcess:
    """The stand-in model, in a process of its own: its threads and descriptors are not the agent's."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--serve"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError("the stand-in model did not start; what it wrote is above")

    def close(self) -> None:
        self._process.communicate(timeout=WAIT)  # its input ends, and with it the process


def serve() -> None:
    """Until whoever started this process closes its input, or ends."""
    with FakeOpenAIServer(reply) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def reply(request: RecordedRequest) -> str | FakeReply:
    """By the fault that the question names: a failure, or the faulty cell first and then the answer."""
    if "What is it?" in request.text:
        return "It is a wall."
    text = "".join(str(message["content"]) for message in request.messages if message["role"] == "user")
    fault = text.partition("Fault: ")[2].partition(".")[0]
    if fault in SERVER_FAULTS:
        return FakeReply("hello", mode=fault)  # type: ignore[arg-type]  # the names are those of the modes
    is_first = not any(message["role"] == "assistant" for message in request.messages)
    code = CELL_FAULTS[fault] if is_first and fault in CELL_FAULTS else ANSWER
    return f"Purpose: soak\nReasoning: none\nNext goal: answer\n```python\n{code}\n```"


def frames(count: int = 4) -> list[Frame]:
    """Small grey frames with depth 2 m."""
    color, depth = np.full((48, 64, 3), 100, np.uint8), np.full((48, 64), 2000, np.uint16)
    intrinsics = Intrinsics(60.0, 60.0, 32.0, 24.0, 64, 48)
    return [
        Frame(
            "front",
            (100 + number) * 10**9,
            ImagePayload.from_array(color, "rgb8"),
            ImagePayload.from_array(depth, "16UC1"),
            intrinsics,
            np.eye(4),
            "odom",
            "front_optical",
        )
        for number in range(count)
    ]


def print_report(report: Report) -> None:
    table = Table(title=f"{sum(report.endings.values())} goals in {report.seconds:.0f} s")
    for heading in ("what is held", "before", "after"):
        table.add_column(heading, justify="left" if heading == "what is held" else "right")
    for item in fields(Usage):
        table.add_row(item.name, *(f"{getattr(usage, item.name):.5g}" for usage in (report.before, report.after)))
    console = Console()
    console.print(table)
    for (fault, ending), count in sorted(report.endings.items()):
        console.print(f"{count:4} {fault}: {ending}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--goals", type=int, default=500, help="(%(default)s)")
    parser.add_argument("--compare-from", type=int, default=20, help="goal after which use is measured (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--growth", type=float, default=0.05, help="share that memory may grow by (%(default)s)")
    parser.add_argument(
        "--one-arena",
        action="store_true",
        help="one malloc arena for all threads: fragments in their own ones do not count as held",
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    if options.one_arena:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    with tempfile.TemporaryDirectory() as folder, Soak(Path(folder), options.seed) as soak:
        report = soak.run(options.goals, options.compare_from)
    print_report(report)
    problems = report.problems + report.differences(options.growth)
    if problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
