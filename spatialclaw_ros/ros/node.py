"""SpatialClawNode: the lifecycle node that joins subscriptions, agent, action and outputs.

unconfigured: goals are refused with a code. inactive: the agent and its kernel are ready, no topic is listened to.
active: frames are kept and goals are answered. The action and the publishers exist as long as the node does.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.goal import check_goal
from spatialclaw_ros.agent.records import Event, Query, QueryResult
from spatialclaw_ros.agent.turns import parallel_goals
from spatialclaw_ros.config import AgentConfig, BufferConfig
from spatialclaw_ros.errors import ErrorCode, SandboxUnavailable, SpatialClawError
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.limits import Deadline
from spatialclaw_ros.ros.action import QueryServer
from spatialclaw_ros.ros.agent_threads import AgentThreads
from spatialclaw_ros.ros.camera_search import CameraSearch
from spatialclaw_ros.ros.diagnostics import WITHOUT, Diagnostics, Isolation
from spatialclaw_ros.ros.frame_wait import wait_for_frames
from spatialclaw_ros.ros.goal import Goal
from spatialclaw_ros.ros.outputs import Outputs
from spatialclaw_ros.ros.parameters import declare_parameters, read_config
from spatialclaw_ros.ros.subscriptions import Subscriptions
from spatialclaw_ros.ros.transforms import Tf2Transforms, make_transforms

WATCH_PERIOD = 0.25
"""Seconds between two looks at the graph, for new cameras, topics of another type and topics that stay silent."""

SILENT_AFTER = 5.0
"""Seconds after which the silence of a topic is logged."""

JUMP_BACK = -1.0
"""Seconds by which ROS time has to jump back for the frames of before to be forgotten (a bag that loops)."""

TRANSFORM_MARGIN = 10.0
"""Seconds that transforms are kept longer than frames."""

AgentFactory = Callable[[AgentConfig], Any]


class NotActive(SpatialClawError):
    """The lifecycle node does not answer goals in its present state."""

    code = ErrorCode.NOT_ACTIVE


class SpatialClawNode(LifecycleNode):
    """Answers goals of `~/query` about what the cameras see.

    make_agent: what makes the agent from the configuration; tests pass one that needs no kernel.
    Spin it with one thread (ros/main.py says why); the agent's work has threads of its own.
    """

    def __init__(self, name: str = "spatialclaw", make_agent: AgentFactory = SpatialAgent, **node_options: Any) -> None:
        super().__init__(name, automatically_declare_parameters_from_overrides=True, **node_options)
        if not self.has_parameter("autostart"):
            self.declare_parameter("autostart", True)
        declare_parameters(self)
        self._make_agent = make_agent
        self._config = AgentConfig()
        self._problem: SpatialClawError = NotActive("the node is not configured; call its change_state service")
        self._agent: Any = None
        self._buffer: FrameBuffer | None = None
        self._transforms: Any = None
        self._listening: Subscriptions | None = None
        self._active = False
        self._said_silent: dict[str, str] = {}
        self._threads = AgentThreads()
        self._outputs = Outputs(self)
        self._isolation = Isolation()
        self._diagnostics = Diagnostics(self, lambda: self._isolation)
        self.server = QueryServer(
            self,
            self._threads,
            lambda: self._config.loop,
            self._check,
            self._work,
            self._finished,
            lambda: self._config.world.fixed_frame,
        )
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._watch_timer = self.create_timer(WATCH_PERIOD, self._watch, clock=self._steady)
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(seconds=JUMP_BACK), on_clock_change=False)
        self._jumps = self.get_clock().create_jump_callback(threshold, post_callback=self._time_jumped)

    # lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, make the agent, and start its spare kernel in the background."""
        return self._attempt("configured", self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to the topics and take goals."""
        return self._attempt("activated", self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End every goal, stop listening, forget the frames; the kernel stays ready."""
        self._stop_serving("the node was deactivated")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the agent, once its threads have ended the last goal."""
        self._problem = NotActive("the node is not configured; call its change_state service")
        self._close_agent()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As deactivate and cleanup in one."""
        self._stop_serving("the node was shut down")
        self._problem = NotActive("the node was shut down")
        self._close_agent()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition failed unforeseen: back to unconfigured."""
        return self.on_shutdown(state)

    def autostart(self) -> None:
        """Configure and activate, if the parameter says so. Raises: SpatialClawError where that fails."""
        if not self.get_parameter("autostart").value:
            return
        if self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            raise self._problem
        if self.trigger_activate() != TransitionCallbackReturn.SUCCESS:
            raise self._problem

    def stop(self) -> None:
        """End every goal with its reason; call before the executor ends, and `finish` after it."""
        self._stop_serving("the node is shutting down", ErrorCode.CANCELED)

    def finish(self, seconds: float) -> None:
        """Close the agent and everything it started, waiting at most `seconds`."""
        self._close_agent()
        if not self._threads.close(seconds):
            self.get_logger().error(f"the agent did not end within {seconds:g} s; its processes die with this one")
        self.server.destroy()
        self._jumps.unregister()
        self.destroy_node()

    def _attempt(self, what: str, transition: Callable[[], None]) -> TransitionCallbackReturn:
        """rclpy drops what a transition raises: here it is logged, and goals are told."""
        try:
            transition()
        except SpatialClawError as error:
            self.get_logger().error(f"{error.code.name}: {error}")
            self._problem = error
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.get_logger().error(traceback.format_exc())
            self._problem = NotActive(f"the node could not be {what}: {type(error).__name__}: {error}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        self._config = read_config(self)
        self._agent = self._make_agent(self._config)
        try:
            self._isolation = self._isolate()
            self._make_buffers(self._agent, self._config.buffer)
        except BaseException:
            self._close_agent()
            raise
        self._problem = NotActive("the node is inactive; activate it with its change_state service")
        self._threads.allow(parallel_goals(self._config.loop))
        self._threads.submit_alone(self._start_agent)

    def _isolate(self) -> Isolation:
        """Find out how kernels are isolated, and warn where they are not. Raises: SandboxUnavailable."""
        try:
            level = self._agent.sandbox_level()
        except SandboxUnavailable as error:
            self._isolation = Isolation(problem=str(error))
            raise
        if level == "none":
            self.get_logger().warning(WITHOUT)
        return Isolation(level)

    def _make_buffers(self, agent: Any, settings: BufferConfig) -> None:
        self._buffer = FrameBuffer(
            agent.store.make_folder("ring"),
            settings.seconds,
            settings.rate_hz,
            settings.max_bytes,
            settings.max_depth_skew,
        )
        self._transforms = make_transforms(self, settings.seconds + TRANSFORM_MARGIN)

    def _activate(self) -> None:
        assert self._buffer is not None  # lifecycle: configured before
        self._listening = Subscriptions(
            self, self._config, self._buffer, self._transforms, self._agent.encoder.prefetch
        )
        self._search = CameraSearch(self)
        self._said_silent.clear()
        self._active = True

    # goals

    def _check(self, query: Query) -> None:
        """Raises: BadGoal, NotActive, and why the configuration failed."""
        if not self._active or self._listening is None:
            raise self._problem
        check_goal(query, self._config.loop, self._listening.cameras or None)

    def _work(self, goal: Goal) -> QueryResult:
        """On one of the agent's threads: wait for frames, answer, publish what the answer looks like."""
        agent, subscriptions, buffer = self._agent, self._listening, self._buffer
        if agent is None or subscriptions is None or buffer is None:
            return goal.refusal(self._problem.code, str(self._problem))
        seconds = goal.query.time_limit or self._config.loop.time_limit
        deadline = Deadline(seconds, "the goal")
        try:
            snapshot = wait_for_frames(
                self, self._config, goal.query, buffer, self._transforms, subscriptions, goal.cancel, deadline
            )
            deadline.raise_if_over()
        except SpatialClawError as error:
            return goal.refusal(error.code, str(error))
        try:
            listener, on_masks = self._listener(goal), self._guarded(self._outputs.publish_masks)
            result = agent.run(goal.query, snapshot, listener, goal.cancel, on_masks, deadline)
            self._guarded(self._outputs.publish_scene)(result, snapshot)
            return result
        finally:
            snapshot.release()

    def _listener(self, goal: Goal) -> Callable[[Event], None]:
        def listen(event: Event) -> None:
            self.server.send_feedback(goal, event)
            self._outputs.publish_step(goal, event)

        return self._guarded(listen)

    def _guarded(self, publish: Callable[..., None]) -> Callable[..., None]:
        """What goes wrong with publishing is logged; it must not fail the goal."""

        def call(*arguments: Any) -> None:
            try:
                publish(*arguments)
            except Exception as error:
                self.get_logger().error(f"could not publish: {type(error).__name__}: {error}")

        return call

    def _finished(self, goal: Goal, result: QueryResult) -> None:
        outcome = result.answer.text if result.answer is not None else result.error_message
        self.get_logger().info(f"{result.error_code.name} after {result.duration:.1f} s: {outcome[:300]}")
        self._guarded(self._outputs.publish_answer)(goal, result, self._config.world.fixed_frame)

    # what happens by itself

    def _start_agent(self) -> None:
        agent = self._agent
        if agent is None:
            return
        try:
            agent.start()
        except SpatialClawError as error:  # the next goal tries again, and carries the code
            self.get_logger().error(f"{error.code.name}: {error}")

    def _stop_serving(self, why: str, code: ErrorCode = ErrorCode.NOT_ACTIVE) -> None:
        self._active = False
        self._problem = NotActive(why)
        self.server.stop_all(code, why)
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        if self._buffer is not None:
            self._buffer.clear()
            self._transforms.clear()

    def _close_agent(self) -> None:
        agent, buffer = self._agent, self._buffer
        self._agent = self._buffer = None
        if not self._isolation.problem:
            self._isolation = Isolation()
        if isinstance(self._transforms, Tf2Transforms):
            self._transforms.close()
        if buffer is not None:
            self._threads.submit_alone(buffer.close)
        if agent is not None:
            self._threads.submit_alone(agent.close)

    def _watch(self) -> None:
        if not self._active or self._listening is None:
            return
        for correction in self._listening.correct_types():
            self.get_logger().info(correction)
        if not self._config.cameras:
            for name, camera in self._search.look().items():
                if name not in self._listening.cameras:
                    self.get_logger().info(
                        f"found camera {name!r}: {camera.image_topic}, depth {camera.depth_topic or '-'}"
                    )
                    self._listening.add_camera(name, camera)
        self._say_what_is_silent(self._listening.silent(SILENT_AFTER))

    def _say_what_is_silent(self, silent: dict[str, str]) -> None:
        for topic, why in silent.items():
            if self._said_silent.get(topic) != why:
                self.get_logger().warning(f"{topic}: {why}")
        self._said_silent = silent

    def _time_jumped(self, jump: TimeJump) -> None:
        now = self.get_clock().now().nanoseconds
        if self._buffer is None:
            return
        newest = max((each["last_stamp"] for each in self._buffer.stats().values()), default=0)
        if newest > now - JUMP_BACK * 1e9:
            self.get_logger().info("ROS time jumped back: frames and transforms of before are forgotten")
            self._buffer.clear()
            self._transforms.clear()
