"""The `~/query` action: every goal is accepted, waits its turn, can be cancelled at any time, and gets a coded result.

No executor thread ever waits: a goal's work runs on the agent's threads, and its execute coroutine awaits a Future.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.executors import Executor
from rclpy.node import Node

from spatialclaw_msgs.action import SpatialQuery
from spatialclaw_ros.agent.records import Event, Query, QueryResult
from spatialclaw_ros.agent.turns import busy_message, preempted_message
from spatialclaw_ros.config import LoopConfig
from spatialclaw_ros.errors import Busy, ErrorCode, SpatialClawError
from spatialclaw_ros.ros import action_qos
from spatialclaw_ros.ros.agent_threads import AgentThreads
from spatialclaw_ros.ros.conversions import feedback_message, query_from_goal, result_message
from spatialclaw_ros.ros.goal import Goal

RESULT_KEPT = 300
"""Seconds that a result is kept for a client that asks late."""

Work = Callable[[Goal], QueryResult]


class QueryServer:
    """Serves goals in the order of their acceptance, as many at once as `threads` allows.

    limits: gives the loop's configuration; its `concurrency` says what becomes of a goal while another runs. check:
    called at acceptance with the query; what it raises ends the goal at once with that code, since a rejection would
    carry no reason. work: answers a goal, on one of the agent's threads. finished: told every result, on the executor.
    fixed_frame: the frame of answers that name none.
    """

    def __init__(
        self,
        node: Node,
        threads: AgentThreads,
        limits: Callable[[], LoopConfig],
        check: Callable[[Query], None],
        work: Work,
        finished: Callable[[Goal, QueryResult], None],
        fixed_frame: Callable[[], str],
    ) -> None:
        self._node = node
        self._threads = threads
        self._limits = limits
        self._check = check
        self._work = work
        self._finished = finished
        self._fixed_frame = fixed_frame
        self._goals: dict[bytes, Goal] = {}
        self._server = ActionServer(
            node,
            SpatialQuery,
            "~/query",
            execute_callback=self._execute,
            goal_callback=lambda _: GoalResponse.ACCEPT,
            handle_accepted_callback=self._accept,
            cancel_callback=self._cancel,
            feedback_pub_qos_profile=action_qos.FEEDBACK,
            **action_qos.SERVICES,
            result_timeout=RESULT_KEPT,
        )

    @property
    def unfinished(self) -> int:
        """Goals accepted and not ended."""
        return len(self._goals)

    def send_feedback(self, goal: Goal, event: Event) -> None:
        """Tell the client about a stage; from the goal's thread."""
        goal.handle.publish_feedback(feedback_message(event))
        goal.feedback_count += 1

    def stop_all(self, code: ErrorCode, message: str, but: Goal | None = None) -> None:
        """End every goal, `but` this one, with this code: those that wait at once, those that run as by a cancel."""
        for goal in self._under_way(but):
            if not goal.cancel.is_set():  # else it ends already, and for another reason
                goal.stopped = (code, message)
                self._stop(goal, message)

    def destroy(self) -> None:
        """Take the action from the graph. Goals should have ended before."""
        self._server.destroy()

    def _accept(self, handle: Any) -> None:
        goal = self._goals[_key(handle)] = Goal(handle, Query(handle.request.question))
        try:
            goal.query = query_from_goal(handle.request)
            self._check(goal.query)
            self._make_way(goal)
        except SpatialClawError as error:
            self._refuse(goal, error.code, str(error))
        except Exception as error:  # accepted is accepted: a goal that never ends would be worse than a defect told
            self._node.get_logger().error(traceback.format_exc())
            self._refuse(goal, ErrorCode.INTERNAL, _defect(error))
        else:
            self._threads.submit(lambda: self._serve(goal), goal.query.session_id)

    def _make_way(self, goal: Goal) -> None:
        """What a new goal means for those under way, or they for it. Raises: Busy."""
        concurrency = self._limits().concurrency
        if concurrency == "preempt":
            self.stop_all(ErrorCode.PREEMPTED, preempted_message(goal.query.question), but=goal)
        elif concurrency == "reject" and self._under_way(but=goal):
            raise Busy(busy_message())

    def _under_way(self, but: Goal | None = None) -> list[Goal]:
        return [goal for goal in self._goals.values() if goal is not but and not goal.result.done()]

    def _refuse(self, goal: Goal, code: ErrorCode, message: str) -> None:
        goal.claim()
        self._end(goal, goal.refusal(code, message))

    def _serve(self, goal: Goal) -> None:
        """On one of the agent's threads: work on a goal unless a cancel was quicker."""
        if not goal.claim():
            return
        self._post(lambda: goal.handle.execute())
        try:
            result = self._work(goal)
        except Exception as error:
            goal.result.set_result(goal.refusal(ErrorCode.INTERNAL, _defect(error)))
            raise
        else:
            goal.result.set_result(dataclasses.replace(result, duration=goal.elapsed()))
        finally:
            self._executor().wake()

    def _cancel(self, handle: Any) -> CancelResponse:
        goal = self._goals.get(_key(handle))
        if goal is None:
            return CancelResponse.REJECT
        self._stop(goal, "cancelled by the client")
        return CancelResponse.ACCEPT

    def _stop(self, goal: Goal, reason: str) -> None:
        goal.cancel.cancel(reason)
        if goal.claim():  # it waited: nobody works on it, and nobody will
            result = goal.refusal(ErrorCode.CANCELED, f"{reason} while it waited for its turn")
            self._post(lambda: self._end(goal, result))  # after rclpy has noted the cancel

    def _end(self, goal: Goal, result: QueryResult) -> None:
        goal.result.set_result(result)
        goal.handle.execute()

    def _post(self, job: Callable[[], None]) -> None:
        """Run a job on the executor: action handles are not to be changed from two threads at once."""
        self._executor().create_task(job)

    def _executor(self) -> Executor:
        executor = self._node.executor
        assert executor is not None  # goals come through one
        return executor

    async def _execute(self, handle: Any) -> SpatialQuery.Result:
        goal = self._goals[_key(handle)]
        result = await goal.result
        assert result is not None  # only ever set to a result
        if goal.stopped is not None and result.error_code is ErrorCode.CANCELED:
            code, message = goal.stopped
            result = dataclasses.replace(result, error_code=code, error_message=message)
        try:
            self._finished(goal, result)
        finally:
            del self._goals[_key(handle)]
            if handle.is_cancel_requested and result.error_code is ErrorCode.CANCELED:
                handle.canceled()
            elif result.ok:
                handle.succeed()
            else:
                handle.abort()
        message = result_message(result, self._node.get_clock().now().to_msg(), self._fixed_frame())
        message.feedback_count = goal.feedback_count
        return message


def _defect(error: Exception) -> str:
    return f"{type(error).__name__}: {error} (see the log)"


def _key(handle: Any) -> bytes:
    return bytes(handle.goal_id.uuid)
