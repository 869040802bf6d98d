"""FakeAgent: an agent without a kernel or a model, for tests of whatever talks to an agent.

The question says what it does: "wait" works until it is cancelled or its limit is over, "crash" raises, "masks" makes a
mask of the first frame's left half, "surrogate" prints text that is not valid Unicode, "objects" answers with a box,
"depth" and "poses" tell how many frames have them, "limit" tells the goal's own time limit and whether a deadline came
with it; everything else is answered with the number of frames.
"""

from __future__ import annotations

import time

import numpy as np

from spatialclaw_ros.agent.records import (
    Answer,
    AnswerType,
    Event,
    EvidenceFrame,
    Listener,
    ObjectAnswer,
    Query,
    QueryResult,
    Stage,
)
from spatialclaw_ros.agent.requests import MaskEvent, MaskListener
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import Canceled, ErrorCode, SpatialClawError, TimeLimitReached
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.limits import CancelToken, Deadline

STAGES: tuple[Stage, ...] = ("plan", "generate", "execute", "observe", "decide")


class NoEncoder:
    """Takes pictures and does nothing with them."""

    def prefetch(self, payload: ImagePayload) -> bool:
        return False


class FakeAgent:
    """The part of SpatialAgent that the node uses. config: only the loop's time limit counts."""

    def __init__(self, config: AgentConfig | None = None) -> None:
        self.config = config or AgentConfig()
        self.store = FrameStore("spatialclaw")
        self.encoder = NoEncoder()

    def sandbox_level(self) -> str:
        """There is no kernel; "none" only where the configuration says so."""
        return "none" if self.config.kernel.sandbox == "none" else "fake"

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Remove the shared memory."""
        self.store.close()

    def run(
        self,
        query: Query,
        snapshot: Snapshot,
        listener: Listener | None = None,
        cancel: CancelToken | None = None,
        on_masks: MaskListener | None = None,
        deadline: Deadline | None = None,
    ) -> QueryResult:
        """Do what the question says, with an event for every stage. Raises: RuntimeError for "crash"."""
        started, cancel = time.monotonic(), cancel or CancelToken()
        output = "\ud800" if "surrogate" in query.question else f"{len(snapshot)} frames"
        for stage in STAGES:
            if listener is not None:
                step = 0 if stage == "plan" else 1
                listener(Event(stage, step, purpose="count the frames", code="len(InputImages)", output=output))
        if "crash" in query.question:
            raise RuntimeError("the fake agent was told to crash")
        if "masks" in query.question and on_masks is not None:
            on_masks(_left_half(snapshot))
        try:
            if "wait" in query.question:
                _wait(cancel, deadline or Deadline(query.time_limit or self.config.loop.time_limit))
        except SpatialClawError as error:
            return QueryResult(query, error.code, str(error), duration=time.monotonic() - started)
        answer = _answer(query, snapshot, deadline)
        return QueryResult(query, ErrorCode.NONE, answer=answer, duration=time.monotonic() - started)


def _wait(cancel: CancelToken, deadline: Deadline) -> None:
    """Raises: Canceled, TimeLimitReached; whichever comes first."""
    if cancel.wait(deadline.remaining()):
        raise Canceled(cancel.reason)
    raise TimeLimitReached("the goal ran out of its time (steady time)")


def _left_half(snapshot: Snapshot) -> MaskEvent:
    frame = snapshot[0]
    mask = np.zeros((1, *frame.color.shape[:2]), bool)
    mask[0, :, : frame.color.shape[1] // 2] = True
    return MaskEvent(frame, "left half", mask, np.ones(1), "fake", step=1)


def _answer(query: Query, snapshot: Snapshot, deadline: Deadline | None) -> Answer:
    frame = query.target_frame or snapshot.world_frame
    evidence = tuple(EvidenceFrame(each.camera, each.stamp, each.index) for each in snapshot)
    if "objects" in query.question:
        box = ObjectAnswer("red box", (1.0, 2.0, 0.5), (0.2, 0.3, 0.4))
        return Answer("a red box", AnswerType.OBJECTS, frame=frame, objects=(box,), evidence=evidence)
    text = f"{len(snapshot)} frames"
    if "depth" in query.question:
        text += f", {sum(each.depth_payload is not None for each in snapshot)} with depth"
    if "poses" in query.question:
        text += f", {sum(each.pose is not None for each in snapshot)} with a pose"
    if "limit" in query.question:
        text = f"limit {query.time_limit:g} s, {'a' if deadline is not None else 'no'} deadline"
    return Answer(text, AnswerType.NUMBER, float(len(snapshot)), unit="count", evidence=evidence)
