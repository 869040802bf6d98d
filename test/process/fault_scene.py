"""What the tests of faults share: an agent with real kernels, a model over HTTP that does what a test says, and the
promise that holds after every fault.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agent.loop_fakes import cell, frames

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.records import QueryResult
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer, FakeReply, RecordedRequest
from spatialclaw_ros.fakes.segmenter import FakeSegmenter
from spatialclaw_ros.kernel import process_tree
from spatialclaw_ros.kernel.session import KernelSession

QUESTION = "How far is the wall, in metres?"
ANSWER = cell("ReturnAnswer(float(np.nanmedian(InputImages[0].depth)), unit='m')")
SEGMENT = cell("mask = SAM3.segment_image_by_text(InputImages[0], 'wall')\nprint(int(mask.get_mask().sum()))")
ASK = cell("print(vlm.ask_with_thinking(InputImages[0], 'What is it?'))")


class Model:
    """A chat server that gives `replies` in order, then ANSWER for ever. before: called with each request first."""

    def __init__(self) -> None:
        self.replies: list[str | FakeReply] = []
        self.before: Callable[[RecordedRequest], None] = lambda request: None
        self.server = FakeOpenAIServer(self._reply)

    def say(self, *replies: str | FakeReply) -> None:
        self.replies = list(replies)

    def _reply(self, request: RecordedRequest) -> str | FakeReply:
        self.before(request)
        return self.replies.pop(0) if self.replies else ANSWER


class Scene:
    """One agent, its model and its segmenter, used by many tests in turn: each has to leave it able to answer."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.model = Model()
        self.model.server.start()
        self.segmenter = FakeSegmenter(boxes={"wall": [(8, 8, 40, 40)]})
        backbone = {
            "name": "openai",
            "base_url": self.model.server.url,
            "model": "stand-in",
            "timeout": 2.0,
            "max_attempts": 2,
            "max_reply_bytes": 1 << 20,
        }
        sections = {
            "loop": {"planning": False, "max_steps": 6},
            "kernel": {"cell_timeout": 2.0, "interrupt_grace": 0.5},
            "backbone": backbone,
            "trace": {"folder": str(folder / "traces")},
        }
        self.config = AgentConfig.load(sections | settings)
        self.agent = SpatialAgent(self.config, segmenter=self.segmenter)
        self.agent.start()

    def ask(self, time_limit: float = 30.0, session_id: str = "faults") -> QueryResult:
        """One goal; its kernel is kept for the next one where it lives, which saves a start each."""
        return self.agent.ask(QUESTION, frames(), time_limit=time_limit, session_id=session_id)

    def kernels(self) -> list[KernelSession]:
        """Of running goals; the spare is not among them."""
        return [kernel for kernel in self.agent._pool.sessions() if kernel.id in self.agent.requests._goals]

    def assert_next_goal_succeeds(self) -> None:
        self.model.say()
        self.model.before = lambda request: None
        self.segmenter.error, self.segmenter._maker = None, None
        self.segmenter.unblock()
        result = self.ask()
        assert (result.error_code, result.error_message) == (ErrorCode.NONE, "")
        assert result.answer is not None and result.answer.number == pytest.approx(2.0)

    def close(self) -> None:
        self.segmenter.unblock()
        self.agent.close()
        self.model.server.close()


def innermost(pid: int) -> int:
    """The process that runs the cells: below the sandbox's own, where there are any."""
    return process_tree.descendants(pid)[-1]


def kill_kernel(scene: Scene) -> None:
    """SIGKILL to the kernel of the running goal, as the out-of-memory killer would."""
    for kernel in scene.kernels():
        os.kill(innermost(kernel.pid), signal.SIGKILL)


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of that size, on a short path. Skips the test where none may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="fault-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, timeout=10.0)
    except FileNotFoundError as error:
        folder.rmdir()
        pytest.skip(f"no file system can be mounted here: {error}")
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10.0)
        folder.rmdir()


def fill(folder: Path) -> Path:
    """Take all the room that is left there; the file that holds it."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler
