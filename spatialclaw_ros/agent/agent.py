"""SpatialAgent: questions in, answers out; owns backbone, kernels, segmenter and shared memory. No ROS."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spatialclaw_ros.agent.goal import check_goal, check_pixels
from spatialclaw_ros.agent.goal_setup import GoalSetup
from spatialclaw_ros.agent.key_frames import Encoder
from spatialclaw_ros.agent.records import AnswerType, Listener, Query, QueryResult
from spatialclaw_ros.agent.reference_frames import SnapshotFrames
from spatialclaw_ros.agent.requests import MaskListener, Requests
from spatialclaw_ros.agent.selection import session_snapshot, window
from spatialclaw_ros.agent.sessions import Pool, Sessions
from spatialclaw_ros.agent.turns import Turns, parallel_goals
from spatialclaw_ros.backbones.chat import Backbone
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import ErrorCode, NoFrames, SpatialClawError
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.perception.interfaces import Segmenter

_log = logging.getLogger(__name__)

KEPT_SHARE = 4
"""One session's images of earlier questions may take this part of buffer.max_bytes beyond the buffer itself."""


class SpatialAgent:
    """Answers spatial questions about camera frames.

        with SpatialAgent.from_config("agent.yaml") as agent:
            result = agent.ask("How far is the red mug from the blue box, in metres?", frames=frames)

    config: an AgentConfig, None = the defaults. backbone, segmenter, pool, encoder: used instead of those that the
    configuration names; the agent closes them. `ask` and `run` may be called from any thread; the configuration's
    `loop.concurrency` says what happens to a question that comes while another is answered. `store` and `encoder` are
    for whoever feeds the frames, too: pictures that were encoded when their frame arrived are found by the first
    request.
    Raises: ConfigurationError.
    """

    def __init__(
        self,
        config: AgentConfig | None = None,
        backbone: Backbone | None = None,
        segmenter: Segmenter | None = None,
        pool: Pool | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        self.config = config or AgentConfig()
        self.backbone = backbone or _make_backbone(self.config)
        self.requests = Requests(self.backbone, _share_array, _vision(), segmenter)
        if segmenter is None:
            self.requests.segmenter = _make_segmenter(self.config, self.requests)
        self.store = FrameStore("spatialclaw")
        self.encoder = encoder or _make_encoder(self.config)
        self._sessions: Sessions | None = None
        self._pool = pool
        self._starting = threading.Lock()
        self._turns = Turns(self.config.loop)
        self._closed = False

    @classmethod
    def from_config(cls, source: str | Path | Mapping[str, Any] | None = None) -> SpatialAgent:
        """From a YAML file, a mapping, or None for the defaults. Raises: ConfigurationError."""
        return cls(AgentConfig.load(source))

    def __enter__(self) -> SpatialAgent:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def sandbox_level(self) -> str:
        """How this agent's kernels are isolated; the first call tries it out on this machine, in about half a second.

        Raises: SandboxUnavailable naming, per level, why it does not work and what to install.
        """
        from spatialclaw_ros.kernel.isolation import choose_level

        return choose_level(self.config.kernel)

    def start(self) -> None:
        """Start the spare kernel and load what the first question needs; a second call does nothing.

        Raises: SandboxUnavailable, KernelError.
        """
        with self._starting:
            if self._closed:
                raise SpatialClawError("the agent is closed; make a new one")
            if self._sessions is None:
                if self._pool is None:
                    self._pool = _make_pool(self.config, self.requests, self.store)
                self._pool.start()
                limits, kept_bytes = self.config.loop, self.config.buffer.max_bytes // KEPT_SHARE
                self._sessions = Sessions(
                    self._pool, limits.max_sessions, limits.session_ttl, kept_bytes, parallel_goals(limits)
                )
                GoalSetup.load_prompts()

    def close(self) -> None:
        """End every kernel and remove the shared memory. A question under way should be cancelled first."""
        with self._starting:
            if self._closed:
                return
            self._closed = True
            sessions, self._sessions = self._sessions, None
        if sessions is not None:
            sessions.close()
        if self._pool is not None:
            self._pool.close()
        close_encoder = getattr(self.encoder, "close", None)
        if close_encoder is not None:
            close_encoder()
        self.backbone.close()
        self.store.close()

    def ask(
        self,
        question: str,
        frames: Sequence[Frame] | Snapshot | None = None,
        *,
        listener: Listener | None = None,
        cancel: CancelToken | None = None,
        on_masks: MaskListener | None = None,
        **query: Any,
    ) -> QueryResult:
        """Ask about frames from files or a bag; blocks until there is an answer or a reason for none.

        frames: a list of Frame or a Snapshot; None = those of the earlier question with the same `session_id`.
        query: the other fields of Query: answer_type (an AnswerType or its name), choices, session_id, time_limit, ...
        Returns a QueryResult; what goes wrong with a goal is its error_code, not an exception.
        """
        if isinstance(query.get("answer_type"), str):
            query["answer_type"] = _answer_type(query["answer_type"])
        goal = Query(question, **query)

        def select(sessions: Sessions, cancel: CancelToken, deadline: Deadline) -> Snapshot:
            kept, past = sessions.find(goal.session_id, cancel, deadline)
            why_lost = past.loss.why if past.loss is not None and kept is None else ""
            return self.check(goal, session_snapshot(frames, kept, self.config.world, why_lost), cancel, deadline)

        def work(started: float) -> QueryResult:
            limit = self._limit(goal)
            if goal.session_id:
                return self._in_turn(goal, select, started, listener, cancel, on_masks, limit)
            snapshot = session_snapshot(frames, None, self.config.world)
            return self._run(goal, snapshot, started, listener, cancel, on_masks, limit)

        return self._guarded(goal, work)

    def run(
        self,
        query: Query,
        snapshot: Snapshot,
        listener: Listener | None = None,
        cancel: CancelToken | None = None,
        on_masks: MaskListener | None = None,
        deadline: Deadline | None = None,
    ) -> QueryResult:
        """Answer one query about a snapshot, which stays the caller's to release afterwards.

        listener: gets every Event, on this thread, in order. cancel: ends the goal soon, wherever it is.
        on_masks: gets a MaskEvent for every segmentation that a cell asks for, on another thread.
        deadline: the goal's end, where its time began before this call; None = the query's time limit from now on.
        Never raises for what goes wrong with the goal: the result's error_code and error_message say it.
        """

        def work(started: float) -> QueryResult:
            return self._run(query, snapshot, started, listener, cancel, on_masks, deadline)

        return self._guarded(query, work)

    def _guarded(self, query: Query, work: Callable[[float], QueryResult]) -> QueryResult:
        """What `work`, given the steady time of now, comes to; what it raises becomes the result's code."""
        started = time.monotonic()
        try:
            return work(started)
        except SpatialClawError as error:
            return QueryResult(query, error.code, str(error), duration=time.monotonic() - started)
        except Exception as error:  # a defect of ours must not take the node down; the log has the traceback
            _log.exception("a goal failed for an unforeseen reason")
            message = f"{type(error).__name__}: {error} (see the log)"
            return QueryResult(query, ErrorCode.INTERNAL, message, duration=time.monotonic() - started)

    def _run(
        self,
        query: Query,
        snapshot: Snapshot,
        started: float,
        listener: Listener | None,
        cancel: CancelToken | None,
        on_masks: MaskListener | None,
        deadline: Deadline | None = None,
    ) -> QueryResult:
        """A goal whose frames are known: one that cannot be served is refused before its turn. Raises as `_in_turn`."""
        limit = self._limit(query, deadline)
        selected = self.check(query, snapshot, cancel, limit)
        return self._in_turn(query, lambda *_: selected, started, listener, cancel, on_masks, limit)

    def _limit(self, query: Query, deadline: Deadline | None = None) -> Deadline:
        """The goal's deadline, once its fields are found to be what their types say. Raises: BadGoal."""
        check_goal(query, self.config.loop)
        return deadline or Deadline(query.time_limit or self.config.loop.time_limit)

    def _in_turn(
        self,
        query: Query,
        select: Callable[[Sessions, CancelToken, Deadline], Snapshot],
        started: float,
        listener: Listener | None,
        cancel: CancelToken | None,
        on_masks: MaskListener | None,
        deadline: Deadline,
    ) -> QueryResult:
        """Run a goal when its turn comes. select: gives its frames then. Raises: SpatialClawError."""
        with self._turns.take(query, cancel or CancelToken(), deadline) as turn:
            self.start()
            sessions = self._sessions
            assert sessions is not None
            selected = select(sessions, turn.cancel, deadline)
            setup = GoalSetup(self.config, self.backbone, self.encoder, self.requests, sessions)
            return setup.run(query, selected, listener, turn, on_masks, started, deadline)

    def check(
        self, query: Query, snapshot: Snapshot, cancel: CancelToken | None = None, deadline: Deadline | None = None
    ) -> Snapshot:
        """The part of the snapshot that the query is about. Decodes the reference images, up to a second each.

        Raises: BadGoal, NoFrames; between two reference images Canceled, TimeLimitReached.
        """
        cameras = {*self.config.cameras, *snapshot.cameras}
        check_goal(query, self.config.loop, cameras, SnapshotFrames(snapshot).names())
        selected = window(snapshot, query)
        if not len(selected):
            seen = f"{len(snapshot)} frames of {', '.join(snapshot.cameras) or 'no camera'}"
            if len(snapshot):
                seen += f" from {snapshot[0].stamp / 1e9:.3f} s to {snapshot[-1].stamp / 1e9:.3f} s"
            raise NoFrames(f"no frame lies in the asked window of the asked cameras; there are {seen}")
        for number, data in enumerate(query.reference_images):
            if cancel is not None:
                cancel.raise_if_set()
            if deadline is not None:
                deadline.raise_if_over()
            check_pixels(number, data)
        return selected


def _answer_type(name: str) -> AnswerType | int:
    """The type of this name; a name that there is none of becomes -1, which the goal's check refuses with its code."""
    return AnswerType.__members__.get(name.upper(), -1)


def _make_backbone(config: AgentConfig) -> Backbone:
    from spatialclaw_ros.backbones.registry import make_backbone

    return make_backbone(config.backbone)


def _make_segmenter(config: AgentConfig, requests: Requests) -> Segmenter:
    from spatialclaw_ros.perception.registry import make_segmenter

    return make_segmenter(config.perception.segmenter, requests.locate_box if requests.backbone.sees_pictures else None)


def _make_encoder(config: AgentConfig) -> Encoder:
    from spatialclaw_ros.frames.pictures import PictureEncoder

    return PictureEncoder(max_width=config.loop.picture_width, max_height=config.loop.picture_height)


def _make_pool(config: AgentConfig, requests: Requests, store: FrameStore) -> Pool:
    from spatialclaw_ros.kernel.pool import KernelPool

    return KernelPool(config.kernel, requests, store)


def _vision() -> Any:
    from spatialclaw_ros.backbones import vlm

    return vlm


def _share_array(session: Any, array: Any) -> dict[str, Any]:
    from spatialclaw_ros.kernel.results import share_array

    return share_array(session, array)
