"""Waiting, on the steady clock, until the buffer has the frames of the window that a goal asks for."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from rclpy.node import Node

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import BadGoal, ErrorCode, NoFrames
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.transforms import TransformBuffer
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.ros.hearing import describe
from spatialclaw_ros.ros.subscriptions import Subscriptions

CLOCK_POLL = 0.05
"""Seconds of steady time between two looks at the ROS clock, while a window has not ended."""

ARRIVAL = 0.2
"""Seconds of ROS time after a window's end in which its last images may still arrive."""

PARTS_SHARE = 0.5
"""Most of a goal's remaining time that goes into waiting for depth, intrinsics and pose of a first frame."""

OTHER_CLOCK = 86_400.0
"""Seconds of age above which stamps are of another clock (a recording, a simulation), rather than late."""


def wait_for_frames(
    node: Node,
    config: AgentConfig,
    query: Query,
    buffer: FrameBuffer,
    transforms: TransformBuffer,
    subscriptions: Subscriptions,
    cancel: CancelToken,
    deadline: Deadline,
) -> Snapshot:
    """Pin the frames of the query's window, as soon as there is one, within `frame_timeout` and the goal's deadline.

    A window that ends in the future is waited for. A goal that had to wait goes on, within the same bounds, until one
    frame has the depth, intrinsics and pose that its camera and the robot send. Frames of an open window are no older
    than `buffer.seconds` by the node's clock.
    Raises: NoFrames naming every topic with what was seen on it; BadGoal where the window ends after the goal must;
    Canceled; TimeLimitReached where ROS time did not come to the window's end.
    """
    with subscriptions.arrived.heard() as arrived:
        wait = _Wait(node, config, query, buffer, transforms, subscriptions, cancel, deadline, arrived)
        unregister = cancel.on_cancel(arrived.set)
        try:
            waited = wait.for_end()
            return wait.for_frames(waited)
        finally:
            unregister()


@dataclass
class _Wait:
    """One goal's wait. arrived: set by every message, and by a cancel."""

    node: Node
    config: AgentConfig
    query: Query
    buffer: FrameBuffer
    transforms: TransformBuffer
    subscriptions: Subscriptions
    cancel: CancelToken
    deadline: Deadline
    arrived: threading.Event

    def for_end(self) -> bool:
        """Wait until ROS time, or the images, came to the window's end; False where they were there already."""
        ahead = self._ahead()
        if ahead <= 0:
            return False
        if ahead > self.deadline.remaining():
            raise BadGoal(
                ErrorCode.BAD_TIME_WINDOW,
                f"the time window ends {ahead:.1f} s after now, {self._now() * 1e-9:.3f} s by the node's clock, and "
                f"the goal has {self.deadline.remaining():.1f} s; ask later, or give a longer time_limit",
            )
        while self._ahead() > -ARRIVAL and not self._has_come_to_end():
            self.arrived.clear()
            self.cancel.raise_if_set()
            self.deadline.raise_if_over()
            self.arrived.wait(min(CLOCK_POLL, self.deadline.remaining()))
        return True

    def for_frames(self, waited: bool) -> Snapshot:
        """Wait for a frame; where that is a wait at all, for a whole one."""
        started, arrived = time.monotonic(), self.arrived
        end = started + self.config.frame_timeout
        while True:
            arrived.clear()
            self.cancel.raise_if_set()
            left = min(end - time.monotonic(), self.deadline.remaining())
            try:
                snapshot = self._take()
            except NoFrames as error:
                if left <= 0:
                    raise NoFrames(self._why(error, time.monotonic() - started)) from None
            else:
                if left <= 0 or not waited or any(map(self._is_whole, snapshot.frames)):
                    return snapshot
                snapshot.release()
                end = min(end, time.monotonic() + PARTS_SHARE * self.deadline.remaining())
            waited = True
            arrived.wait(max(0.0, min(end - time.monotonic(), self.deadline.remaining())))

    def _take(self) -> Snapshot:
        query, world = self.query, self.config.world
        snapshot = self.buffer.snapshot(
            query.cameras,
            query.start_time,
            query.end_time,
            self.transforms,
            world.fixed_frame,
            base_frame=world.base_frame,
            gravity_aligned=world.gravity_aligned,
        )
        old = "" if query.start_time or query.end_time else self._why_old(snapshot.frames[-1].stamp)
        if old:
            snapshot.release()
            raise NoFrames(old)
        return snapshot

    def _why_old(self, newest: int) -> str:
        """Why frames up to this stamp are no answer to a question about now; "" where they are."""
        now = self._now()
        age = (now - newest) * 1e-9
        if not now or age <= self.config.buffer.seconds:
            return ""
        why = (
            f"the newest frame, of {newest * 1e-9:.3f} s, is {age:.1f} s old by the node's clock "
            f"({now * 1e-9:.3f} s), more than buffer.seconds ({self.config.buffer.seconds:g} s)"
        )
        if not newest:
            return f"{why}; its stamp is zero: the camera's driver does not stamp its images"
        if age > OTHER_CLOCK:
            why += "; for a recording or a simulation, set use_sim_time and play the bag with --clock"
        return f"{why}; to ask about older frames, give start_time and end_time"

    def _is_whole(self, frame: Frame) -> bool:
        parts = {"depth": frame.depth_payload, "intrinsics": frame.intrinsics, "pose": frame.pose}
        return all(parts[name] is not None for name in self.subscriptions.expected_parts(frame.camera))

    def _ahead(self) -> float:
        """Seconds from now to the window's end; 0 where it is open, or no clock has been heard yet."""
        now = self._now() if self.query.end_time else 0
        return (self.query.end_time - now) * 1e-9 if now else 0.0

    def _has_come_to_end(self) -> bool:
        stats = self.buffer.stats()
        stamps = [each["last_stamp"] for name, each in stats.items() if name in (self.query.cameras or stats)]
        return bool(stamps) and min(stamps) >= self.query.end_time

    def _now(self) -> int:
        """ROS time, ns; 0 before the first /clock."""
        return int(self.node.get_clock().now().nanoseconds)

    def _why(self, error: NoFrames, seconds: float) -> str:
        limit = "frame_timeout" if seconds >= self.config.frame_timeout else "the goal's time limit"
        waited = f"waited {seconds:.1f} s ({limit})"
        records = self.subscriptions.of_cameras(self.query.cameras)
        if not records:
            return (
                f"{waited}: no camera is configured (cameras.<name>.image_topic), and no image topic has a publisher "
                f"(ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE as the camera's?)"
            )
        return f"{error}; {waited}; listening to {describe(self.node, records)}"
