"""GoalSetup: brings together what one goal needs (kernel, conversation, trace), runs it, and writes its record."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import lru_cache
from typing import Any

from spatialclaw_ros.agent.answers import AnswerContext
from spatialclaw_ros.agent.conversation import (
    MAX_EARLIER,
    Conversation,
    Scene,
    first_cell_parts,
    system_prompt,
    task_text,
)
from spatialclaw_ros.agent.goal import effective_type
from spatialclaw_ros.agent.kernel_runner import KernelRunner
from spatialclaw_ros.agent.key_frames import Encoder, KeyFrame, choose_key_frames, encode_key_frames
from spatialclaw_ros.agent.loop import GoalRun
from spatialclaw_ros.agent.prompt_text import listed, neutralise, render
from spatialclaw_ros.agent.records import Answer, Event, EvidenceFrame, Listener, Query, QueryResult
from spatialclaw_ros.agent.reference_frames import SnapshotFrames
from spatialclaw_ros.agent.requests import GoalContext, MaskListener, Requests
from spatialclaw_ros.agent.session import Past
from spatialclaw_ros.agent.sessions import Opening, Sessions
from spatialclaw_ros.agent.trace import TraceWriter, open_trace
from spatialclaw_ros.agent.turns import Turn
from spatialclaw_ros.backbones.chat import Backbone, Picture
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import ErrorCode, SpatialClawError
from spatialclaw_ros.frames.compressed import read_header
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.limits import CancelToken, Deadline

_log = logging.getLogger(__name__)

TRACE_PICTURES = 8
"""Key frames that a trace keeps when the backbone sees none."""

MAX_WHY = 500
"""Characters of the reason why a kernel was lost."""


class GoalSetup:
    """One goal's parts. The kernel is prepared on another thread while the first request is put together and sent."""

    def __init__(
        self, config: AgentConfig, backbone: Backbone, encoder: Encoder, requests: Requests, sessions: Sessions
    ) -> None:
        self._config = config
        self._backbone = backbone
        self._encoder = encoder
        self._requests = requests
        self._sessions = sessions

    @staticmethod
    def load_prompts() -> None:
        """Read the workbench's reference and the prompt files before the first goal needs them."""
        workbench_reference()

    def run(
        self,
        query: Query,
        snapshot: Snapshot,
        listener: Listener | None,
        turn: Turn,
        on_masks: MaskListener | None,
        started: float,
        deadline: Deadline,
    ) -> QueryResult:
        """Run a goal that was checked, in its turn. started: steady time at which it was accepted."""
        cancel = turn.cancel
        time_limit = query.time_limit or self._config.loop.time_limit
        work = CancelToken()
        unlink = cancel.on_cancel(lambda: work.cancel(cancel.reason))
        frames = {frame.index: frame for frame in snapshot}
        context = GoalContext(frames, cancel, deadline, on_masks)
        runner, trace, result = None, None, None
        try:
            runner = self._runner(query, snapshot, context, work)
            trace = open_trace(self._config.trace)
            if trace is not None:
                trace.goal(query, backbone=self._backbone.name, model=self._config.backbone.model)
            goal = self._goal_run(query, snapshot, runner, deadline, time_limit, cancel, work, listener, trace)
            code, message, answer = self._outcome(goal, turn)
            if answer is not None:
                runner.remember(query.question, answer.text)
            goal.hand_over_trace()
            result = _result(query, goal, code, message, answer, runner.sandbox_level, trace, started)
            lost = runner.tell()
            if lost:
                result = replace(result, notes=(*result.notes, lost))
            return result
        finally:
            unlink()
            work.cancel("the goal ended")
            if runner is not None:
                runner.end()
            if trace is not None:
                trace.close(result)

    def _outcome(self, goal: GoalRun, turn: Turn) -> tuple[ErrorCode, str, Answer | None]:
        try:
            return goal.run()
        except SpatialClawError as error:
            return turn.code(error.code), str(error), None

    def _runner(self, query: Query, snapshot: Snapshot, context: GoalContext, work: CancelToken) -> KernelRunner:
        references = {_reference_name(number, data): data for number, data in enumerate(query.reference_images)}
        info = {
            "reference_images": list(references),
            "target_frame": query.target_frame,
            "session_id": query.session_id,
        }
        timeout = self._config.kernel.cell_timeout
        opening = Opening(query.session_id, snapshot, info, references)
        return KernelRunner(self._sessions, self._requests, opening, context, timeout, work)

    def _goal_run(
        self,
        query: Query,
        snapshot: Snapshot,
        runner: KernelRunner,
        deadline: Deadline,
        time_limit: float,
        cancel: CancelToken,
        work: CancelToken,
        listener: Listener | None,
        trace: TraceWriter | None,
    ) -> GoalRun:
        limits, sees = self._config.loop, self._backbone.sees_pictures
        places = SnapshotFrames(snapshot)
        target = query.target_frame or snapshot.world_frame
        base = snapshot.base_frame or self._config.world.base_frame
        scene = Scene(snapshot.frames, snapshot.world_frame, base, target, snapshot.gravity_aligned, places.names())
        max_steps = query.max_steps or limits.max_steps
        key_frames = self._key_frames(snapshot, trace)
        return GoalRun(
            backbone=self._backbone,
            runner=runner,
            context=AnswerContext(
                query.question, effective_type(query), query.choices, target, places, _evidence(snapshot)
            ),
            limits=limits,
            conversation=Conversation(system_prompt(workbench_reference(), scene, sees)),
            opening=task_text(query, scene, max_steps, runner.past.earlier) + _of_lost_kernel(runner.past),
            first_parts=first_cell_parts(key_frames, _references(query) if sees else (), snapshot[0].stamp),
            max_steps=max_steps,
            deadline=deadline,
            time_limit=time_limit,
            cancel=cancel,
            work=work,
            emit=_safe(listener),
            trace=trace,
        )

    def _key_frames(self, snapshot: Snapshot, trace: TraceWriter | None) -> list[KeyFrame]:
        """The pictures for the first request; for a backbone that sees none, a few for the trace."""
        frames, encoder = snapshot.frames, self._encoder
        if not self._backbone.sees_pictures:
            if trace is not None:
                few = choose_key_frames(frames, TRACE_PICTURES)
                trace.key_frames(lambda: encode_key_frames(frames, few, encoder))
            return []
        shown = encode_key_frames(frames, choose_key_frames(frames, self._config.loop.max_pictures), encoder)
        if trace is not None:
            trace.key_frames(lambda: shown)
        return shown


@lru_cache(maxsize=1)
def workbench_reference() -> str:
    """The text on the kernel's tools, generated from their signatures and docstrings."""
    from spatialclaw_ros.workbench import describe

    return describe.workbench_reference()


def _of_lost_kernel(past: Past) -> str:
    """What a follow-up's model has to know where variables that it may count on are gone; else ""."""
    if past.loss is None:
        return ""
    lost = [(neutralise(question)[:500], neutralise(answer)[:500]) for question, answer in past.lost[-MAX_EARLIER:]]
    why, names = neutralise(past.loss.why)[:MAX_WHY], neutralise(listed(past.loss.names))
    return "\n\n" + render("lost_kernel", lost=lost, why=why, names=names).strip()


def _safe(listener: Listener | None) -> Listener:
    """The listener, unable to fail the goal: what it raises is logged."""

    def emit(event: Event) -> None:
        if listener is None:
            return
        try:
            listener(event)
        except Exception:  # whoever watches must not end the goal; the log has the traceback
            _log.exception("the goal's listener failed")

    return emit


def _evidence(snapshot: Snapshot) -> dict[int, EvidenceFrame]:
    return {frame.index: EvidenceFrame(frame.camera, frame.stamp, frame.index) for frame in snapshot}


def _reference_name(number: int, data: bytes) -> str:
    return f"reference_{number}.{read_header(memoryview(data)).kind}"


def _references(query: Query) -> list[Picture]:
    pictures = []
    for number, data in enumerate(query.reference_images):
        header = read_header(memoryview(data))
        pictures.append(Picture(data, f"image/{header.kind}", header.width, header.height, f"reference {number}"))
    return pictures


def _result(
    query: Query,
    goal: GoalRun,
    code: ErrorCode,
    message: str,
    answer: Answer | None,
    sandbox_level: str,
    trace: TraceWriter | None,
    started: float,
) -> QueryResult:
    facts: dict[str, Any] = {"trace_path": str(trace.folder)} if trace is not None else {}
    return QueryResult(
        query,
        code,
        message,
        answer=answer,
        is_best_effort=answer is not None and code is not ErrorCode.NONE,
        plan=goal.plan,
        steps=tuple(goal.steps),
        duration=time.monotonic() - started,
        prompt_tokens=goal.plan_tokens[0] + sum(step.prompt_tokens for step in goal.steps),
        completion_tokens=goal.plan_tokens[1] + sum(step.completion_tokens for step in goal.steps),
        sandbox_level=sandbox_level,
        **facts,
    )
