"""Replay a rosbag2 recording (MCAP or SQLite) into ROS: its bytes as they are, /clock, latched static transforms."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spatialclaw_ros.errors import RecordingError, SpatialClawError
from spatialclaw_ros.frames.bag import open_recording
from spatialclaw_ros.ros.environment import prepare_environment

CLOCK_PERIOD = 0.01
"""Seconds between two /clock messages: 100 Hz, whatever the rate."""

SETTLED = 0.5
"""Seconds without a new subscriber after which everybody who wants to listen does."""

_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_DELIVERY = 2.0
"""Seconds that the last messages may take to be acknowledged."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0 when everything was played, 1 when the recording cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m spatialclaw_ros.evaluation.replay", description=__doc__)
    parser.add_argument("bag", type=Path, help="a rosbag2 folder, or an .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, help="times real time (%(default)s)")
    parser.add_argument("--loop", action="store_true", help="begin anew at the end, until interrupted")
    parser.add_argument("--hold", action="store_true", help="keep /clock and the static transforms until interrupted")
    parser.add_argument("--wait", type=float, default=10.0, help="longest wait for a subscriber, s (%(default)s)")
    options = parser.parse_args(arguments)
    if not options.rate > 0:
        parser.error(f"--rate is {options.rate:g}; expected above 0")
    try:
        replay(options.bag, options.rate, options.loop, options.hold, options.wait)
    except SpatialClawError as error:
        print(f"{error.code.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def replay(bag: Path, rate: float = 1.0, loop: bool = False, hold: bool = False, wait: float = 10.0) -> None:
    """Publish every message of a recording at its time, `rate` times real time.

    wait: seconds to wait for a first subscriber of an image topic; then it starts all the same.
    Raises: RecordingError; KeyboardInterrupt on SIGINT and SIGTERM.
    """
    import signal

    prepare_environment()
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        with open_recording(bag) as reader:
            player = Player(rclpy.create_node("replay"), reader, rate)
            if not player.wait_for_subscribers(wait):
                print(f"nobody subscribed to an image topic within {wait:g} s; playing all the same", file=sys.stderr)
            player.play()
            while loop:
                player.play()
            if hold:
                player.hold()
    finally:
        rclpy.try_shutdown()


class Player:
    """Publishes one recording. reader: an open rosbags AnyReader; rate: times real time."""

    def __init__(self, node: Any, reader: Any, rate: float) -> None:
        from rclpy.qos import QoSProfile
        from rosgraph_msgs.msg import Clock

        self._node = node
        self._reader = reader
        self._rate = rate
        self._make_clock = Clock
        self._clock = node.create_publisher(Clock, "/clock", QoSProfile(depth=1))
        self._publishers = self._make_publishers()
        self._next_clock = 0.0
        self._begin()

    def wait_for_subscribers(self, seconds: float) -> bool:
        """Wait, with /clock at the recording's start, until an image topic has a subscriber and no more come."""
        end, settled = time.monotonic() + seconds, 0.0
        last: list[int] = []
        images = [
            c.topic for c in self._reader.connections if c.msgtype in _IMAGE_TYPES and c.topic in self._publishers
        ]
        while time.monotonic() < end:
            counts = [publisher.get_subscription_count() for publisher in self._publishers.values()]
            if counts != last:
                last, settled = counts, time.monotonic() + SETTLED
            listened = any(self._publishers[topic].get_subscription_count() for topic in images) or not images
            if listened and time.monotonic() >= settled:
                return True
            self._publish_clock(self._reader.start_time)
            time.sleep(0.02)
        return not images

    def play(self) -> None:
        """Publish everything once, from the start. Raises: RecordingError where no topic can be published."""
        self._begin()
        chosen = [connection for connection in self._reader.connections if connection.topic in self._publishers]
        for connection, stamp, raw in self._reader.messages(chosen):
            self._run_clock_until(stamp)
            self._publishers[connection.topic].publish(bytes(raw))
        self._publish_clock(self._reader.end_time)
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(_duration(_DELIVERY))

    def hold(self) -> None:
        """Let /clock go on until a KeyboardInterrupt."""
        while True:
            self._run_clock_until(self._reader.end_time + (1 << 62))

    def _begin(self) -> None:
        self._started = time.monotonic()

    def _run_clock_until(self, stamp: int) -> None:
        """Publish /clock, at least once, until the recording's time is `stamp` (ns)."""
        while True:
            now = time.monotonic()
            reached = self._reader.start_time + int((now - self._started) * 1e9 * self._rate)
            if reached >= stamp or now >= self._next_clock:
                self._publish_clock(min(reached, stamp))
                self._next_clock = now + CLOCK_PERIOD
            if reached >= stamp:
                return
            left = (stamp - reached) / 1e9 / self._rate
            time.sleep(min(left, max(0.0, self._next_clock - now)))

    def _publish_clock(self, stamp: int) -> None:
        message = self._make_clock()
        message.clock.sec, message.clock.nanosec = divmod(stamp, 1_000_000_000)
        self._clock.publish(message)

    def _make_publishers(self) -> dict[str, Any]:
        from rclpy.qos import DurabilityPolicy, QoSProfile

        publishers = {}
        for topic, kind in sorted({(c.topic, c.msgtype) for c in self._reader.connections if c.topic != "/clock"}):
            message = _message_class(kind)
            if message is None:
                print(f"{topic} is left out: its type {kind} is not installed", file=sys.stderr)
                continue
            latched = topic.endswith("/tf_static")
            durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
            publishers[topic] = self._node.create_publisher(
                message, topic, QoSProfile(depth=100, durability=durability)
            )
        if not publishers:
            known = ", ".join(f"{c.topic} ({c.msgtype})" for c in self._reader.connections) or "none"
            raise RecordingError(f"no topic of the recording can be published; its topics: {known}")
        return publishers


def _message_class(kind: str) -> Any:
    """The Python class of "package/msg/Name", None where it is not installed."""
    package, _, name = kind.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def _duration(seconds: float) -> Any:
    from rclpy.duration import Duration

    return Duration(seconds=seconds)


if __name__ == "__main__":
    sys.exit(main())
