"""Waiting, on the steady clock, until the buffer has a frame of the window that a goal asks for."""

from __future__ import annotations

import time

from rclpy.node import Node

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import NoFrames
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.transforms import TransformBuffer
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.ros.hearing import describe
from spatialclaw_ros.ros.subscriptions import Subscriptions


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

    Raises: NoFrames naming every topic with what was seen on it; BadGoal; Canceled; TimeLimitReached.
    """
    started, world = time.monotonic(), config.world
    unregister = cancel.on_cancel(subscriptions.arrived.set)
    try:
        while True:
            subscriptions.arrived.clear()
            cancel.raise_if_set()
            try:
                return buffer.snapshot(
                    query.cameras,
                    query.start_time,
                    query.end_time,
                    transforms,
                    world.fixed_frame,
                    base_frame=world.base_frame,
                    gravity_aligned=world.gravity_aligned,
                )
            except NoFrames as error:
                left = config.frame_timeout - (time.monotonic() - started)
                if left <= 0:
                    raise NoFrames(_why(node, config, query, subscriptions, error)) from None
            deadline.raise_if_over()
            subscriptions.arrived.wait(min(left, deadline.remaining()))
    finally:
        unregister()


def _why(node: Node, config: AgentConfig, query: Query, subscriptions: Subscriptions, error: NoFrames) -> str:
    waited = f"waited {config.frame_timeout:g} s (frame_timeout)"
    records = subscriptions.of_cameras(query.cameras)
    if not records:
        return (
            f"{waited}: no camera is configured (cameras.<name>.image_topic), and no image topic has a publisher "
            f"(ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE as the camera's?)"
        )
    return f"{error}; {waited}; listening to {describe(node, records)}"
