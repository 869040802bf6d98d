"""QueryClient: asks a running agent node from a process of its own; used by the command line, the demo and tests."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from typing import Any

from spatialclaw_ros.agent.records import Event, Listener, Query, QueryResult
from spatialclaw_ros.errors import ErrorCode, SpatialClawError
from spatialclaw_ros.ros.environment import prepare_environment

FEEDBACK_DEPTH = 100
"""Feedback messages that may wait; of rclpy's default of 10, two quick goals lose some."""


class NodeUnreachable(SpatialClawError):
    """No agent node answers under that name."""

    code = ErrorCode.NOT_ACTIVE


class PendingAnswer:
    """A goal under way: `result()` waits for it, `cancel()` ends it."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.events: list[Event] = []
        self.message: Any = None
        """The action's result message, once it is there."""
        self.listener_error = ""
        self._done = threading.Event()
        self._accepted = threading.Event()
        self._result: QueryResult | None = None
        self._error: Exception | None = None
        self._handle: Any = None

    def is_done(self) -> bool:
        return self._done.is_set()

    def wait_accepted(self, seconds: float = 10.0) -> None:
        """Wait until the node has taken the goal. Raises: NodeUnreachable."""
        if not self._accepted.wait(seconds):
            raise NodeUnreachable(f"the node did not accept the goal within {seconds:g} s")

    def result(self, seconds: float | None = None) -> QueryResult:
        """The result, which always comes with a code. Raises: NodeUnreachable where none came within `seconds`."""
        if not self._done.wait(seconds):
            raise NodeUnreachable(f"no result came within {seconds:g} s")
        if self._error is not None:
            raise NodeUnreachable(f"the goal got lost: {self._error}")
        assert self._result is not None
        return self._result

    def cancel(self, seconds: float = 10.0) -> bool:
        """Ask the node to cancel, and wait for its word; True where it accepted. Raises: NodeUnreachable."""
        self.wait_accepted(seconds)
        answered = threading.Event()
        future = self._handle.cancel_goal_async()
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(seconds):
            raise NodeUnreachable(f"the node did not answer the cancel within {seconds:g} s")
        return bool(future.result().goals_canceling)

    def _finish(self, result: QueryResult | None, error: Exception | None = None) -> None:
        if result is not None and self.listener_error:
            result = dataclasses.replace(result, notes=(*result.notes, self.listener_error))
        self._result, self._error = result, error
        self._done.set()


class QueryClient:
    """Sends questions to the action `<node_name>/query`. A context manager; spins on a thread of its own.

    Raises: NodeUnreachable from `wait_for_server` and `ask`.
    """

    def __init__(self, node_name: str = "/spatialclaw") -> None:
        prepare_environment()
        import rclpy
        from rclpy.action import ActionClient
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile
        from rclpy.signals import SignalHandlerOptions

        from spatialclaw_msgs.action import SpatialQuery

        self._name = f"{node_name.rstrip('/')}/query"
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("spatialclaw_client", context=self._context, enable_rosout=False)
        feedback = QoSProfile(depth=FEEDBACK_DEPTH)
        self._action: Any = ActionClient(self.node, SpatialQuery, self._name, feedback_sub_qos_profile=feedback)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._spinning = threading.Thread(target=self._spin, name="query client", daemon=True)
        self._spinning.start()

    def __enter__(self) -> QueryClient:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the graph. Goals under way go on without a client."""
        self._executor.shutdown(timeout_sec=2.0)
        self._spinning.join(2.0)
        self._action.destroy()
        self.node.destroy_node()
        self._context.try_shutdown()

    def wait_for_server(self, seconds: float) -> None:
        """Wait until the node's action is there. Raises: NodeUnreachable."""
        end = time.monotonic() + seconds
        while not self._action.server_is_ready():
            if time.monotonic() > end:
                raise NodeUnreachable(
                    f"no action server {self._name} answers within {seconds:g} s; is the agent node running, under "
                    f"that name, with the same ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE?"
                )
            time.sleep(0.02)

    def send(self, query: Query, listener: Listener | None = None) -> PendingAnswer:
        """Send a goal and return at once. listener: gets every event, on the client's thread.

        One that raises gets no further event; the result comes all the same, with a note of what it raised.
        """
        from spatialclaw_ros.ros.conversions import event_from_feedback, goal_from_query

        pending = PendingAnswer(query)

        def on_feedback(message: Any) -> None:
            event = event_from_feedback(message.feedback)
            pending.events.append(event)
            if listener is not None and not pending.listener_error:
                try:
                    listener(event)
                except Exception as error:  # a listener's defect must not end the thread that the result comes on
                    pending.listener_error = f"the listener failed with {type(error).__name__}: {error}"
                    self.node.get_logger().error(f"{pending.listener_error}; it gets no further event of this goal")

        future = self._action.send_goal_async(goal_from_query(query), feedback_callback=on_feedback)
        future.add_done_callback(lambda done: self._on_accepted(done, pending))
        return pending

    def ask(self, query: Query, listener: Listener | None = None, seconds: float | None = None) -> QueryResult:
        """Send a goal and wait for its result; a KeyboardInterrupt, or a result that does not come in time, cancels it.

        seconds: longest wait, which begins here, though the goal's own limit begins with its turn. None = that limit
        and a minute, or an hour and a minute. Raises: NodeUnreachable.
        """
        pending = self.send(query, listener)
        if seconds is None:
            seconds = query.time_limit + 60.0 if query.time_limit > 0 else 3660.0
        try:
            return pending.result(seconds)
        except (KeyboardInterrupt, NodeUnreachable):
            if not pending.is_done():
                with contextlib.suppress(NodeUnreachable):  # told already, or asked for
                    pending.cancel()
            raise

    def _on_accepted(self, done: Any, pending: PendingAnswer) -> None:
        handle = done.result()
        if not handle.accepted:
            pending._finish(None, RuntimeError("the node rejected it"))
            return
        pending._handle = handle
        pending._accepted.set()
        handle.get_result_async().add_done_callback(lambda result: self._on_result(result, pending))

    def _on_result(self, done: Any, pending: PendingAnswer) -> None:
        from spatialclaw_ros.ros.conversions import result_from_message

        try:
            pending.message = done.result().result
            pending._finish(result_from_message(pending.message, pending.query))
        except Exception as error:  # handed on to whoever waits for the result
            pending._finish(None, error)

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException, ShutdownException

        try:
            self._executor.spin()
        except (ExternalShutdownException, ShutdownException):
            return
