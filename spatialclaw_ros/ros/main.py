"""The agent node's process: environment, executor, and an end that leaves nothing behind.

The executor is rclpy's SingleThreadedExecutor, by measurement (four cameras, 150 kB each, 30 Hz, two cores, Kilted): it
took all of 480 images with 3 to 4 % of a core, a MultiThreadedExecutor with 6 to 9 %; the experimental EventsExecutor
ran no callback at all. No callback of the node waits, so that one thread suffices.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spatialclaw_ros.errors import SpatialClawError
from spatialclaw_ros.ros.environment import prepare_environment

if TYPE_CHECKING:
    from rclpy.executors import Executor

    from spatialclaw_ros.ros.node import AgentFactory, SpatialClawNode

_log = logging.getLogger(__name__)

LAST_RESULTS = 3.0
"""Seconds that goals under way may take to end after a signal, so that their clients get a result."""

LAST_RESPONSE = 1.0
"""Seconds that the executor may take to send what is queued then."""

CLOSING = 10.0
"""Seconds that the agent may take to close its kernels."""

MOST_FAILURES = 20
"""Failures in a row, each less than CALM seconds after the one before, with which the node gives up."""

CALM = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM. Returns 0, or 1 where it could not start (a wrong parameter) or go on."""
    from spatialclaw_ros.agent.agent import SpatialAgent

    return run(SpatialAgent, arguments)


def run(make_agent: AgentFactory, arguments: Sequence[str] | None = None) -> int:
    """As `main`, with another agent."""
    prepare_environment()
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    rclpy.init(args=None if arguments is None else list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    try:
        return _serve(make_agent, stop)
    finally:
        rclpy.try_shutdown()


def _serve(make_agent: AgentFactory, stop: threading.Event) -> int:
    from rclpy.executors import SingleThreadedExecutor

    from spatialclaw_ros.ros.node import SpatialClawNode

    node = SpatialClawNode(make_agent=make_agent)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    given_up = threading.Event()
    spinning = threading.Thread(target=_spin, args=(executor, stop, given_up), name="executor")
    try:
        node.autostart()
        spinning.start()
        stop.wait()
        if given_up.is_set():
            node.stop()  # no executor is left that could
            return 1
        executor.create_task(node.stop).add_done_callback(lambda _: None)
        _let_goals_end(node, executor)
        return 0
    except SpatialClawError as error:
        print(f"{error.code.name}: {error}", file=sys.stderr)
        return 1
    finally:
        executor.shutdown(timeout_sec=LAST_RESULTS)
        if spinning.is_alive():
            spinning.join(LAST_RESULTS)
        node.finish(CLOSING)


def _spin(executor: Executor, stop: threading.Event, given_up: threading.Event) -> None:
    """Spin until the executor is shut down. A defect in a callback is logged, and the node goes on serving.

    After MOST_FAILURES in a row it sets `given_up` and `stop`: whoever started the process learns it by its exit code.
    """
    from rclpy.executors import ExternalShutdownException, ShutdownException

    failures, last = 0, 0.0
    while not stop.is_set():
        try:
            executor.spin()
        except (ExternalShutdownException, ShutdownException):
            return
        except Exception:
            _log.exception("a callback of the node failed")
            now = time.monotonic()
            failures, last = (failures + 1 if now - last < CALM else 1), now
            if failures >= MOST_FAILURES:
                _log.critical("%d failures in a row: the node gives up", failures)
                given_up.set()
                stop.set()


def _let_goals_end(node: SpatialClawNode, executor: Executor) -> None:
    end = time.monotonic() + LAST_RESULTS
    while node.server.unfinished and time.monotonic() < end:
        time.sleep(0.01)
    for _ in range(2):  # a goal that has ended hands its response to the executor's queue: let it through
        passed = threading.Event()
        executor.create_task(passed.set)
        passed.wait(LAST_RESPONSE)


if __name__ == "__main__":
    sys.exit(main())
