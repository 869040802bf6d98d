"""A cancel takes effect whatever stage runs, and the next question is answered; with a real kernel and real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from agent.asking import Asked
from agent.loop_fakes import cell

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer, FakeReply, RecordedRequest
from spatialclaw_ros.fakes.segmenter import FakeSegmenter
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.perception.interfaces import Masks, Prompt, SegmentInput

pytestmark = pytest.mark.process

SOON = 2.0
"""Seconds within which a cancelled goal has ended; benchmarks/cancel.py measures what it takes."""

LOOKS = "SAM3.segment_image_by_text(InputImages[0], 'wall')\n"
RUNS = LOOKS + "while True: pass"
STUCK = f"""
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
try:
    {LOOKS}
finally:
    while True: pass
"""


class Scene:
    """An agent on a stand-in model over HTTP; replies: what it says next. looked: a cell's segmentation has begun.

    free: cleared, the segmenter waits, and does not look at its cancel token.
    """

    def __init__(self) -> None:
        self.replies: list[Any] = []
        self.looked, self.free = threading.Event(), threading.Event()
        self.server = FakeOpenAIServer(lambda _: self.replies.pop(0))
        backbone = {"name": "openai", "base_url": self.server.url, "model": "stand-in", "stream": True}
        settings = {"backbone": backbone, "kernel": {"interrupt_grace": 3.0}, "trace": {"keep": 0}}
        self.agent = SpatialAgent(AgentConfig.load(settings), segmenter=FakeSegmenter(maker=self._segment))

    def ask(self, *replies: str | FakeReply, **query: Any) -> Asked:
        self.replies = list(replies)
        self.server.requests.clear()
        self.looked.clear()
        return Asked(self.agent, **query)

    def request(self, number: int) -> RecordedRequest:
        """The goal's request of that number, from 1, once it has come."""
        return self.server.wait_for_requests(number)[number - 1]

    def _segment(self, image: SegmentInput, prompt: Prompt) -> Masks:
        self.looked.set()
        self.free.wait(30.0)
        return FakeSegmenter(boxes={"wall": [(8, 8, 40, 40)]}).segment(image, prompt, CancelToken())


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    made = Scene()
    with made.server, made.agent:
        yield made
        made.free.set()


def in_planning(scene: Scene) -> Asked:
    asked = scene.ask(FakeReply("a plan", delay=30.0))
    scene.request(1)
    return asked


def in_a_reply_that_drips(scene: Scene) -> Asked:
    asked = scene.ask("a plan", FakeReply(cell("ReturnAnswer(1)"), mode="drip"))
    assert scene.request(2).begun.wait(20)
    return asked


def in_a_cell(scene: Scene) -> Asked:
    asked = scene.ask("a plan", cell(RUNS))
    assert scene.looked.wait(20)
    return asked


def in_a_cell_that_ignores_interrupts(scene: Scene) -> Asked:
    asked = scene.ask("a plan", cell(STUCK))
    assert scene.looked.wait(20)
    return asked


def in_a_perception_call(scene: Scene) -> Asked:
    scene.free.clear()
    asked = scene.ask("a plan", cell(LOOKS))
    assert scene.looked.wait(20)
    return asked


@pytest.mark.parametrize(
    "stage",
    [in_planning, in_a_reply_that_drips, in_a_cell, in_a_cell_that_ignores_interrupts, in_a_perception_call],
    ids=lambda stage: stage.__name__,
)
def test_a_cancel_takes_effect_and_the_next_question_is_answered(scene: Scene, stage: Callable[[Scene], Asked]) -> None:
    scene.free.set()
    asked = stage(scene)
    asked.cancel.cancel("no longer needed")
    result = asked.result(SOON)
    assert (result.error_code, result.error_message) == (ErrorCode.CANCELED, "no longer needed")
    assert len(scene.server.requests) <= 2  # it was cancelled where the test says, and not a step later
    assert scene.ask("a plan", cell("ReturnAnswer(1)")).result().ok


def test_a_cancelled_cell_that_stops_leaves_its_session_the_variables(scene: Scene) -> None:
    scene.free.set()
    asked = scene.ask("a plan", cell("d = 2.0\n" + RUNS), session_id="kept")
    assert scene.looked.wait(20)
    asked.cancel.cancel()
    assert asked.result(SOON).error_code is ErrorCode.CANCELED
    result = scene.ask("a plan", cell("ReturnAnswer(d)"), session_id="kept").result()
    assert result.ok and result.notes == ()


def test_a_session_whose_cancelled_cell_does_not_stop_is_waited_for_and_told_that_its_kernel_is_lost(
    scene: Scene,
) -> None:
    scene.free.set()
    asked = scene.ask("a plan", cell("d = 2.0\n" + STUCK), session_id="lost")
    assert scene.looked.wait(20)
    asked.cancel.cancel("no longer needed")
    assert asked.result(SOON).error_code is ErrorCode.CANCELED
    result = scene.ask("a plan", cell("ReturnAnswer('d' in globals())"), session_id="lost").result()
    assert result.ok and result.answer.boolean is False
    (note,) = result.notes
    assert "no longer needed; it did not stop within 3 s" in note


def test_a_cancel_takes_effect_while_no_kernel_is_ready(scene: Scene) -> None:
    pool = scene.agent._pool
    spare = pool.acquire(CancelToken(), Deadline(20.0))  # the next one takes half a second and more to start
    asked = scene.ask("a plan", cell("ReturnAnswer(1)"))
    assert asked.executing.wait(20)
    asked.cancel.cancel()
    result = asked.result(SOON)
    spare.close()
    assert result.error_code is ErrorCode.CANCELED and result.sandbox_level == ""
    assert scene.ask("a plan", cell("ReturnAnswer(1)")).result().ok
