"""How soon a cancel takes effect at each stage: run `python benchmarks/cancel.py`; prints a table of medians.

From the cancel to the end of `SpatialAgent.ask`, with a real kernel, against a stand-in model over HTTP in this
process. With ROS, also from the client's cancel to its result, for a goal of a real node that waits for frames.
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.table import Table

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.records import Event, Query, QueryResult
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer, FakeReply
from spatialclaw_ros.fakes.segmenter import FakeSegmenter
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.perception.interfaces import Masks, Prompt, SegmentInput

WAIT = 30.0
SETTLE = 0.1
"""Seconds between reaching a stage and the cancel, so that what is measured is not still on its way into the stage."""

TARGET_MS = 150
WALL = FakeSegmenter(boxes={"wall": [(8, 8, 40, 40)]})
LOOKS = "SAM3.segment_image_by_text(InputImages[0], 'wall')\n"
RUNS = LOOKS + "while True: pass"
IGNORES = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + RUNS
SVD = LOOKS + "np.linalg.svd(np.random.default_rng(0).normal(size=(4000, 4000)))"


def cell(code: str) -> str:
    return f"Purpose: measure\nNext goal: go on\n```python\n{code}\n```"


class Scene:
    """An agent, its stand-in model, and a segmenter that waits while `free` is cleared."""

    def __init__(self) -> None:
        self.replies: list[str | FakeReply] = []
        self.looked, self.free = threading.Event(), threading.Event()
        self.server = FakeOpenAIServer(lambda _: self.replies.pop(0))
        backbone = {"name": "openai", "base_url": self.server.url, "model": "stand-in", "stream": True}
        settings = {"backbone": backbone, "trace": {"keep": 0}}
        self.agent = SpatialAgent(AgentConfig.load(settings), segmenter=FakeSegmenter(maker=self._segment))
        color = ImagePayload.from_array(np.full((480, 640, 3), 128, np.uint8), "rgb8")
        self.frames = [Frame("head", 10**9 * second, color, optical_frame="head") for second in range(1, 33)]

    def _segment(self, image: SegmentInput, prompt: Prompt) -> Masks:
        self.looked.set()
        self.free.wait(WAIT)
        return WALL.segment(image, prompt, CancelToken())


class Asked:
    """A question on a thread of its own; executing: its cell runs, or waits for its kernel."""

    def __init__(self, scene: Scene, *replies: str | FakeReply) -> None:
        scene.replies = list(replies)
        scene.server.requests.clear()
        scene.looked.clear()
        self._scene = scene
        self._cancel = CancelToken()
        self.executing = threading.Event()
        self._results: list[QueryResult] = []
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def cancelled(self) -> float:
        """Milliseconds from the cancel to the result."""
        time.sleep(SETTLE)
        started = time.monotonic()
        self._cancel.cancel()
        self._thread.join(WAIT)
        took = time.monotonic() - started
        if not self._results or self._results[0].error_code is not ErrorCode.CANCELED:
            raise RuntimeError(f"expected a cancelled goal; got {self._results or 'none'}")
        return 1e3 * took

    def _ask(self) -> None:
        ask = self._scene.agent.ask
        self._results.append(ask("How far?", self._scene.frames, listener=self._listen, cancel=self._cancel))

    def _listen(self, event: Event) -> None:
        if event.stage == "execute":
            self.executing.set()


def reached(event: threading.Event) -> None:
    if not event.wait(WAIT):
        raise TimeoutError(f"the stage was not reached within {WAIT:g} s")


def planning(scene: Scene) -> float:
    asked = Asked(scene, FakeReply("a plan", delay=WAIT))
    scene.server.wait_for_requests(1)
    return asked.cancelled()


def dripping(scene: Scene) -> float:
    asked = Asked(scene, "a plan", FakeReply(cell("ReturnAnswer(1)"), mode="drip"))
    reached(scene.server.wait_for_requests(2)[1].begun)
    return asked.cancelled()


def in_cell(code: str) -> Callable[[Scene], float]:
    def measure(scene: Scene) -> float:
        asked = Asked(scene, "a plan", cell(code))
        reached(scene.looked)
        return asked.cancelled()

    return measure


def perceiving(scene: Scene) -> float:
    scene.free.clear()
    try:
        return in_cell(LOOKS)(scene)
    finally:
        scene.free.set()


def starting(scene: Scene) -> float:
    pool = scene.agent._pool
    assert pool is not None
    spare = pool.acquire(CancelToken(), Deadline(WAIT))
    try:
        asked = Asked(scene, "a plan", cell(RUNS))
        reached(asked.executing)
        return asked.cancelled()
    finally:
        spare.close()


def waiting_for_a_turn(scene: Scene) -> float:
    first = Asked(scene, "a plan", cell(RUNS))
    reached(scene.looked)
    second = Asked(scene, "a plan")
    took = second.cancelled()
    first.cancelled()
    return took


STAGES: dict[str, Callable[[Scene], float]] = {
    "planning request in flight": planning,
    "reply that drips": dripping,
    "cell, in Python": in_cell(RUNS),
    "cell that ignores interrupts": in_cell(IGNORES),
    "cell stuck in C (SVD)": in_cell(SVD),
    "perception call that does not return": perceiving,
    "waiting for a kernel": starting,
    "waiting for a turn": waiting_for_a_turn,
}


@contextmanager
def node() -> Iterator[subprocess.Popen]:
    """An agent node that waits for frames, which nobody sends."""
    arguments = ["-p", "cameras.head.image_topic:=/head/image", "-p", f"frame_timeout:={WAIT}"]
    process = subprocess.Popen([sys.executable, "-m", "spatialclaw_ros.fakes.agent_node", "--ros-args", *arguments])
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT)


def waiting_for_frames(runs: int) -> list[float]:
    """Through the action: milliseconds from the client's cancel to its result."""
    from spatialclaw_ros.ros.client import QueryClient
    from spatialclaw_ros.ros.domain import PrivateDomain

    measured = []
    with PrivateDomain(), node(), QueryClient() as client:
        client.wait_for_server(WAIT)
        for _ in range(runs):
            pending = client.send(Query("how many?"))
            pending.wait_accepted(WAIT)
            time.sleep(SETTLE)
            started = time.monotonic()
            pending.cancel(WAIT)
            if pending.result(WAIT).error_code is not ErrorCode.CANCELED:
                raise RuntimeError(f"expected a cancelled goal; got {pending.result(0)}")
            measured.append(1e3 * (time.monotonic() - started))
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="cancels at each stage (%(default)s)")
    runs = parser.parse_args().runs
    scene = Scene()
    scene.free.set()
    with scene.server, scene.agent:
        measured = {stage: [measure(scene) for _ in range(runs)] for stage, measure in STAGES.items()}
    if importlib.util.find_spec("rclpy") is not None:
        measured["waiting for frames (action)"] = waiting_for_frames(runs)
    table = Table(title=f"cancel → result, {runs} runs at each stage; to reach: {TARGET_MS} ms")
    for name in ("stage", "median", "range"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage, values in measured.items():
        table.add_row(stage, f"{statistics.median(values):.1f} ms", f"{min(values):.1f} to {max(values):.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
