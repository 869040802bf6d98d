"""What isolation costs: run `python benchmarks/kernel.py`; prints a table of medians, a column for each level.

Every level that works here is measured, and "none" beside them: a kernel's start until it is ready (and the processor
time that it takes, which a busy machine changes less), one execute round trip, a cell that prints, one that asks the
node for a mask, the takeover after a kill (from SIGKILL until the next cell of the same goal is done, by the spare that
is ready), and what the agent adds to a step beside the model and the cell.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from soak import frames

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.fakes.backbone import ScriptedBackbone
from spatialclaw_ros.fakes.segmenter import FakeSegmenter
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.kernel import isolation, process_tree
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.pool import KernelPool
from spatialclaw_ros.kernel.results import share_array
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken, Deadline

CELLS = {
    "execute round trip (pass)": "pass",
    "execute round trip (prints)": "print(1)",
    "execute round trip (asks for a mask)": "m = tools.SAM3.segment_image_by_text(InputImages[0], 'wall')",
}
STEP = "Purpose: look\nNext goal: go on\n```python\nx = 1\n```"
ANSWER = "Purpose: answer\n```python\nReturnAnswer(1.0, unit='m')\n```"
MOST_STEPS = 90
"""Of one goal."""
WAIT = 60.0
Milliseconds = dict[str, list[float]]


def measure(levels: list[str], starts: int, trips: int) -> dict[str, Milliseconds]:
    """Milliseconds of everything measured, by level. Levels take turns: a busy machine slows all of them."""
    found: dict[str, Milliseconds] = {level: defaultdict(list) for level in levels}
    with ExitStack() as stack:
        pools = {level: stack.enter_context(running_pool(level)) for level in levels}
        for _ in range(starts):
            for level, pool in pools.items():
                wait_for_spares(pools)
                wall, processor = start_of_a_kernel(pool)
                found[level]["kernel's start until it is ready"].append(wall)
                found[level]["kernel's start, processor time"].append(processor)
                found[level]["SIGKILL until the next cell is done"].append(takeover(pool))
        wait_for_spares(pools)
        kernels = {level: begun(pool) for level, pool in pools.items()}
        wait_for_spares(pools)
        for what, code in CELLS.items():
            for _ in range(trips):
                for level, kernel in kernels.items():
                    found[level][what].append(round_trip(kernel, code))
    for level in levels:
        found[level]["a step's overhead beside model and cell"] = overhead_of_steps(level, min(trips, MOST_STEPS))
    return found


@contextmanager
def running_pool(level: str) -> Iterator[KernelPool]:
    store = FrameStore()
    pool = KernelPool(KernelConfig(sandbox=level, max_requests_per_second=10_000), mask_of_everything, store)
    try:
        pool.start()
        yield pool
    finally:
        pool.close()
        store.close()


def mask_of_everything(method: str, params: dict, session: KernelSession, cancel: CancelToken) -> dict[str, Any]:
    masks = share_array(session, np.ones((1, 48, 64), np.uint8))
    return {"masks": masks, "scores": [1.0], "backend": "benchmark", "notes": []}


def start_of_a_kernel(pool: KernelPool) -> tuple[float, float]:
    """As the pool starts a spare: milliseconds until it is ready, and of processor time that its processes took."""
    started = time.monotonic()
    kernel = pool._start_kernel()
    wall = time.monotonic() - started
    used = [psutil.Process(pid).cpu_times() for pid in process_tree.descendants(kernel.pid)]
    kernel.close()
    return 1000 * wall, 1000 * sum(each.user + each.system for each in used)


def round_trip(kernel: KernelSession, code: str) -> float:
    started = time.monotonic()
    result = kernel.execute(code)
    if result.status != "ok":
        raise RuntimeError(f"{code!r} ended as {result.status}: {result.error}")
    return 1000 * (time.monotonic() - started)


def takeover(pool: KernelPool) -> float:
    kernel = begun(pool)
    wait_for_spares({"": pool})
    started = time.monotonic()
    os.kill(process_tree.descendants(kernel.pid)[-1], signal.SIGKILL)
    kernel.execute("pass")
    other = begun(pool)
    other.execute("pass")
    milliseconds = 1000 * (time.monotonic() - started)
    kernel.close()
    other.close()
    return milliseconds


def begun(pool: KernelPool) -> KernelSession:
    """A kernel that has the frames of a goal."""
    kernel = pool.acquire(CancelToken(), Deadline(WAIT))
    kernel.begin(Snapshot.from_frames(frames()), {}, CancelToken(), Deadline(WAIT))
    return kernel


def wait_for_spares(pools: dict[str, KernelPool]) -> None:
    """Until nothing starts any more that would compete with what is measured."""
    end = time.monotonic() + WAIT
    while any(pool._spare is None for pool in pools.values()):
        if time.monotonic() > end:
            raise TimeoutError(f"no spare kernel was ready within {WAIT:g} s")
        time.sleep(0.05)


def overhead_of_steps(level: str, steps: int) -> list[float]:
    """From a model's reply to the next request, without the cell itself; the first step, which waits, is left out."""
    config = AgentConfig.load(
        {
            "kernel": {"sandbox": level},
            "loop": {"planning": False, "max_steps": steps + 2},
            "trace": {"keep": 0},
        }
    )
    backbone = ScriptedBackbone([*[STEP] * (steps + 1), ANSWER])
    with SpatialAgent(config, backbone, FakeSegmenter()) as agent:
        result = agent.ask("How far is the door, in metres?", frames(), time_limit=600.0)
        if not result.ok:
            raise RuntimeError(f"{result.error_code.name}: {result.error_message}")
        return [1000 * step.seconds_overhead for step in result.steps[1:-1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=10, help="kernels started and killed at each level (%(default)s)")
    parser.add_argument("--trips", type=int, default=200, help="cells run at each level (%(default)s)")
    parser.add_argument("--levels", nargs="+", default=[], help="only these; default: all that work here, and none")
    options = parser.parse_args()
    report = isolation.probe()
    for item in report.levels:
        if not item.works:
            print(f"{item.level} does not work here: {item.reason}")
    levels = options.levels or [item.level for item in report.levels if item.works] + ["none"]
    print_table(measure(levels, options.starts, options.trips))


def print_table(measured: dict[str, Milliseconds]) -> None:
    table = Table(title="medians with the range of the middle half, ms")
    table.add_column("what")
    for level in measured:
        table.add_column(level, justify="right")
    for what in next(iter(measured.values())):
        cells = []
        for level in measured:
            low, middle, high = statistics.quantiles(measured[level][what], n=4)
            cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        table.add_row(what, *cells)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
