"""QueryClient: asks a running agent node from a process of its own; used by the command line, the demo and tests."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
import uuid
import weakref
from typing import Any

from spatialclaw_ros.agent.records import Event, Listener, Query, QueryResult
from spatialclaw_ros.errors import ErrorCode, SpatialClawError
from spatialclaw_ros.ros.environment import prepare_environment

FEEDBACK_GRACE = 1.0
"""Seconds that a result waits for feedback that was sent before it and is still on its way."""


class NodeUnreachable(SpatialClawError):
    """No agent node answers under that name."""

    code = ErrorCode.NOT_ACTIVE


class PendingAnswer:
    """A goal under way: `result()` waits for it, `cancel()` ends it. `events` is whole once it is done."""

    def __init__(self, query: Query, listener: Listener | None = None) -> None:
        self.query = query
        self.events: list[Event] = []
        self.message: Any = None
        """The action's result message, once it is there."""
        self.listener_error = ""
        self._listener = listener
        self._done = threading.Event()
        self._finishing = threading.Lock()
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

    @property
    def _missing(self) -> int:
        """Feedback messages that the node sent and that are not here."""
        return 0 if self.message is None else max(0, self.message.feedback_count - len(self.events))

    def _heard(self, event: Event) -> None:
        self.events.append(event)
        if self._listener is not None and not self.listener_error:
            try:
                self._listener(event)
            except Exception as error:  # a listener's defect must not end the thread that the result comes on
                self.listener_error = f"the listener failed with {type(error).__name__}: {error}"

    def _finish(self, result: QueryResult | None, error: Exception | None = None) -> None:
        notes = [self.listener_error] if self.listener_error else []
        if self._missing:
            notes.append(f"{self._missing} of {self.message.feedback_count} feedback messages did not arrive")
        if result is not None:
            result = dataclasses.replace(result, notes=(*result.notes, *notes))
        with self._finishing:
            if not self._done.is_set():
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
        from rclpy.signals import SignalHandlerOptions

        from spatialclaw_msgs.action import SpatialQuery
        from spatialclaw_ros.ros import action_qos

        self._name = f"{node_name.rstrip('/')}/query"
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("spatialclaw_client", context=self._context, enable_rosout=False)
        self._action: Any = ActionClient(self.node, SpatialQuery, self._name, **action_qos.SERVICES)
        # rclpy forgets a goal's feedback callback when its result is there, and the result overtakes feedback.
        self._pending: weakref.WeakValueDictionary[bytes, PendingAnswer] = weakref.WeakValueDictionary()
        self._feedback = self.node.create_subscription(
            SpatialQuery.Impl.FeedbackMessage,
            f"{self._name}/_action/feedback",
            self._on_feedback,
            action_qos.FEEDBACK,
        )
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
        from unique_identifier_msgs.msg import UUID

        from spatialclaw_ros.ros.conversions import goal_from_query

        pending = PendingAnswer(query, listener)
        goal_id = uuid.uuid4().bytes
        self._pending[goal_id] = pending
        future = self._action.send_goal_async(goal_from_query(query), goal_uuid=UUID(uuid=list(goal_id)))
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

    def _on_feedback(self, message: Any) -> None:
        from spatialclaw_ros.ros.conversions import event_from_feedback

        pending = self._pending.get(bytes(message.goal_id.uuid))
        if pending is None or pending.is_done():
            return
        unheard = not pending.listener_error
        pending._heard(event_from_feedback(message.feedback))
        if unheard and pending.listener_error:
            self.node.get_logger().error(f"{pending.listener_error}; it gets no further event of this goal")
        if pending.message is not None and not pending._missing:
            self._conclude(pending)

    def _on_result(self, done: Any, pending: PendingAnswer) -> None:
        try:
            pending.message = done.result().result
        except Exception as error:  # handed on to whoever waits for the result
            pending._finish(None, error)
            return
        if pending._missing:
            waiting = threading.Timer(FEEDBACK_GRACE, self._conclude, (pending,))
            waiting.daemon = True
            waiting.start()
        else:
            self._conclude(pending)

    def _conclude(self, pending: PendingAnswer) -> None:
        """The result is there, and all its feedback is, or the time to wait for that is over; the first call counts."""
        from spatialclaw_ros.ros.conversions import result_from_message

        try:
            pending._finish(result_from_message(pending.message, pending.query))
        except Exception as error:  # handed on to whoever waits for the result
            pending._finish(None, error)

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException, ShutdownException

        try:
            self._executor.spin()
        except (ExternalShutdownException, ShutdownException):
            return
