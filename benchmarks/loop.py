"""What the loop costs beside the model: run `python benchmarks/loop.py`; prints a table of medians.

A goal about 32 frames of 640x480 with depth, against a stand-in model on loopback (its own process) that replies at
once. The frames are a generated room's, or those of --bag; they go through the ring and the encoder as the node feeds
them, so that pictures are encoded on arrival.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from stand_in import Seen, StandIn

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import PerceptionError, TransformError
from spatialclaw_ros.frames.bag import frames_from_bag
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.pool import KernelPool
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken, Deadline

FRAMES = 32
PLAIN = "Purpose: look\nNext goal: go on\n```python\nprint(InputImages[{k}].stamp)\n```"
DEPTH = "Purpose: look\nNext goal: go on\n```python\nprint(float(np.nanmedian(InputImages[{k}].depth)))\n```"
SHOWING = "Purpose: look\nNext goal: go on\n```python\nshow(InputImages[{k}])\n```"
CELLS = {"prints": PLAIN, "reads depth": DEPTH, "shows a frame": SHOWING}
ANSWER = "Purpose: answer\n```python\nReturnAnswer(1.0, unit='m')\n```"


class KnownPoses:
    """The poses that the recording's frames carry."""

    def __init__(self, frames: list[Frame]) -> None:
        self._poses = {frame.stamp: frame.pose for frame in frames}

    def pose(self, optical_frame: str, world_frame: str, stamp_ns: int) -> np.ndarray:
        pose = self._poses.get(stamp_ns)
        if pose is None:
            raise TransformError(f"no pose of {optical_frame} in {world_frame} at {stamp_ns}")
        return pose


def measure_goal(frames: list[Frame], replies: list[str]) -> tuple[list[Seen], int, dict[str, float]]:
    """Requests of one goal, when it was accepted (steady ns), and seconds and MiB of what stood around it."""
    around: dict[str, float] = {}
    with StandIn(replies) as server:
        config = AgentConfig.load(
            {
                "backbone": {"name": "openai", "base_url": server.url, "model": "stand-in"},
                "loop": {"planning": False, "max_steps": len(replies), "time_limit": 60.0},
                "trace": {"keep": 0},
            }
        )
        with SpatialAgent(config) as agent, RecordedRing(agent, frames) as buffer:
            time.sleep(2.0)  # the spare kernel's start and the encoder must not compete with what is measured
            poses = KnownPoses(frames)
            accepted = time.monotonic_ns()
            snapshot = buffer.snapshot([], 0, 0, poses, "odom")
            result = agent.run(Query("How far is the door, in metres?"), snapshot)
            if not result.ok:
                raise RuntimeError(f"{result.error_code.name}: {result.error_message}")
            around["node"] = memory(psutil.Process())
            around["kernel"] = max(memory(child) for child in psutil.Process().children(recursive=True))
            return server.seen(), accepted, around


class RecordedRing(FrameBuffer):
    """A ring that holds `frames` as raw rgb8, fed as the node feeds it: pictures are encoded on arrival."""

    def __init__(self, agent: SpatialAgent, frames: list[Frame]) -> None:
        super().__init__(agent.store.make_folder("ring"), seconds=3600.0, rate_hz=0.0)
        for frame in frames:
            if frame.intrinsics:
                self.add_camera_info(frame.camera, frame.stamp, frame.intrinsics, frame.optical_frame)
            color = ImagePayload.from_array(frame.color, "rgb8")
            kept = self.add_color(frame.camera, frame.stamp, color, frame.optical_frame)
            if kept is not None:
                agent.encoder.prefetch(kept)
            if frame.depth is not None:
                depth = ImagePayload.from_array(frame.depth, "32FC1")
                self.add_depth(frame.camera, frame.stamp, depth, frame.optical_frame)

    def __enter__(self) -> RecordedRing:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def memory(process: psutil.Process) -> float:
    """Resident memory in MiB, shared pages counted."""
    return process.memory_info().rss / 2**20


def kernel_start() -> float:
    """Seconds from a pool's start to a kernel that is ready, imports done."""
    store = FrameStore()
    pool = KernelPool(KernelConfig(), no_requests, store)
    started = time.monotonic()
    try:
        pool.start()
        pool.acquire(CancelToken(), Deadline(60.0, "the kernel's start"))
        return time.monotonic() - started
    finally:
        pool.close()
        store.close()


def no_requests(method: str, params: dict, session: KernelSession, cancel: CancelToken) -> dict:
    raise PerceptionError(f"nothing answers {method} here")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bag", type=Path, help="a recording with depth and poses; default: a generated room")
    parser.add_argument("--runs", type=int, default=5, help="goals of each kind (%(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="cells of each goal (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bag = options.bag or Path(folder) / "room"
        if options.bag is None:
            command = [sys.executable, "-m", "spatialclaw_ros.evaluation.rooms", "--seed", "1", "--out", str(bag)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
        frames = list(frames_from_bag(bag))[:FRAMES]
        print_table(frames, options.runs, options.steps)


def print_table(frames: list[Frame], runs: int, steps: int) -> None:
    height, width = frames[0].color.shape[:2]
    table = Table(title=f"{len(frames)} frames {width}x{height}, {runs} goals of {steps} cells each; medians")
    table.add_column("what")
    table.add_column("median", justify="right")
    table.add_column("range", justify="right")

    def row(what: str, values: list[float], unit: str) -> None:
        table.add_row(what, f"{statistics.median(values):.1f} {unit}", f"{min(values):.1f} to {max(values):.1f}")

    goals = {}
    for kind, cell in CELLS.items():
        replies = [cell.format(k=k % len(frames)) for k in range(steps - 1)] + [ANSWER]
        goals[kind] = [measure_goal(frames, replies) for _ in range(runs)]
    every = [goal for kind in goals.values() for goal in kind]
    row("goal accepted → first request arrives", [(g[0][0].arrived_ns - g[1]) / 1e6 for g in every], "ms")
    row("goal accepted → first request is complete", [(g[0][0].complete_ns - g[1]) / 1e6 for g in every], "ms")
    for kind, measured in goals.items():
        pairs = [pair for seen, _, _ in measured for pair in zip(seen, seen[1:], strict=False)]
        row(f"reply → next request arrives ({kind})", [(b.arrived_ns - a.replied_ns) / 1e6 for a, b in pairs], "ms")
        row(
            f"reply → next request is complete ({kind})", [(b.complete_ns - a.replied_ns) / 1e6 for a, b in pairs], "ms"
        )
        row(f"growth of the request a step ({kind})", [(b.size - a.size) / 1e3 for a, b in pairs], "kB")
    row("first request's size", [g[0][0].size / 1e6 for g in every], "MB")
    row("kernel ready after start", [kernel_start() for _ in range(runs)], "s")
    row("memory of the process with agent and ring", [g[2]["node"] for g in every], "MiB")
    row("memory of the kernel", [g[2]["kernel"] for g in every], "MiB")
    Console().print(table)


if __name__ == "__main__":
    main()
