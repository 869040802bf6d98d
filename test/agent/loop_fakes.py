"""Stand-ins for the kernel side of the loop: a pool whose kernels answer with scripted cell results."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.records import QueryResult
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import SpatialClawError
from spatialclaw_ros.fakes.backbone import ScriptedBackbone
from spatialclaw_ros.fakes.segmenter import FakeSegmenter
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.kernel.cell import CellResult
from spatialclaw_ros.limits import CancelToken, Deadline

_ids = itertools.count()


class FakeKernel:
    """Runs nothing: every cell's result comes from the pool's script."""

    sandbox_level = "fake"

    def __init__(self, pool: FakePool) -> None:
        self.id = f"kernel-{next(_ids)}"
        self.frames_folder = pool.folder / self.id
        self.frames_folder.mkdir(parents=True)
        self.alive = True
        self.begun: list[tuple[Snapshot, dict]] = []
        self.cells: list[str] = []
        self.closed = threading.Event()
        self._pool = pool

    def begin(self, snapshot: Snapshot, info: dict, cancel: CancelToken, deadline: Deadline) -> None:
        cancel.raise_if_set()
        self.begun.append((snapshot, info))

    def execute(self, code: str, timeout: float, cancel: CancelToken) -> CellResult:
        self.cells.append(code)
        result = self._pool.script(code, self, timeout, cancel)
        self.alive = result.status != "died"
        return result

    def close(self) -> None:
        self.alive = False
        self.closed.set()


class FakePool:
    """Hands out FakeKernels. script: (code, kernel, timeout, cancel) → CellResult."""

    def __init__(self, script: Callable[..., CellResult], folder: Path) -> None:
        self.script = script
        self.folder = folder
        self.kernels: list[FakeKernel] = []
        self.failure: SpatialClawError | None = None

    def start(self) -> None: ...

    def acquire(self, cancel: CancelToken, deadline: Deadline) -> FakeKernel:
        if self.failure is not None:
            raise self.failure
        self.kernels.append(FakeKernel(self))
        return self.kernels[-1]

    def close(self) -> None: ...


class FakeEncoder:
    def get(self, frame: Frame) -> SimpleNamespace:
        return SimpleNamespace(data=b"\xff\xd8 picture of frame %d" % frame.index, width=4, height=3)


def frames(count: int = 4, camera: str = "front", start: float = 100.0, index: int = -1) -> list[Frame]:
    """Small grey frames with depth 2 m, one a second, the camera moving along the world's x axis, 0.1 m a frame."""
    made = []
    for number in range(count):
        pose = np.eye(4)
        pose[0, 3] = 0.1 * number
        made.append(
            Frame(
                camera,
                int((start + number) * 1e9),
                ImagePayload.from_array(np.full((48, 64, 3), 100 + number, np.uint8), "rgb8"),
                ImagePayload.from_array(np.full((48, 64), 2000, np.uint16), "16UC1"),
                Intrinsics(60.0, 60.0, 32.0, 24.0, 64, 48),
                pose,
                "odom",
                f"{camera}_optical",
                index + number if index >= 0 else -1,
            )
        )
    return made


def answering(value: object, **fields: object) -> CellResult:
    """A cell that called ReturnAnswer."""
    return CellResult("ok", stdout="measured", answer={"value": value, **fields}, duration=0.01)


def cell(code: str, purpose: str = "measure") -> str:
    """A reply in the asked form."""
    return f"Purpose: {purpose}\nReasoning: because\nNext goal: answer\n```python\n{code}\n```"


def agent_with(
    tmp_path: Path,
    replies: object,
    script: Callable[..., CellResult] | list[CellResult],
    **loop: object,
) -> SpatialAgent:
    """An agent on a scripted backbone and scripted cells; planning is off unless said otherwise."""
    if isinstance(script, list):
        results = iter(script)

        def script(*_: object) -> CellResult:
            return next(results)

    config = AgentConfig.load({"loop": {"planning": False, **loop}, "trace": {"folder": str(tmp_path / "traces")}})
    backbone = replies if isinstance(replies, ScriptedBackbone) else ScriptedBackbone(replies)
    agent = SpatialAgent(
        config, backbone, FakeSegmenter(), pool=FakePool(script, tmp_path / "kernels"), encoder=FakeEncoder()
    )
    return agent


def problems(result: QueryResult) -> list[str]:
    return [step.problem for step in result.steps]
