"""Waiting for a first frame ends by a cancel, by the goal's limit, or with a frame; never later."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import Canceled, NoFrames, TimeLimitReached
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.ros.frame_wait import wait_for_frames

pytestmark = pytest.mark.ros

LONG = AgentConfig.load({"frame_timeout": 600.0})


class Buffer:
    """Empty until something is put into it."""

    def __init__(self) -> None:
        self.content: str = ""
        self.looked = threading.Event()

    def snapshot(self, *_: object, **__: object) -> str:
        self.looked.set()
        if not self.content:
            raise NoFrames("the buffer holds nothing")
        return self.content


def wait(buffer: Buffer, arrived: threading.Event, cancel: CancelToken, limit: float = 600.0) -> object:
    listening = SimpleNamespace(arrived=arrived)
    return wait_for_frames(None, LONG, Query("how far?"), buffer, None, listening, cancel, Deadline(limit))


def test_a_cancel_ends_the_wait() -> None:
    buffer, cancel = Buffer(), CancelToken()
    threading.Thread(target=lambda: buffer.looked.wait(10.0) and cancel.cancel()).start()
    with pytest.raises(Canceled):
        wait(buffer, threading.Event(), cancel)


def test_the_goals_own_limit_ends_the_wait() -> None:
    with pytest.raises(TimeLimitReached):
        wait(Buffer(), threading.Event(), CancelToken(), limit=0.05)


def test_the_first_frame_ends_the_wait() -> None:
    buffer, arrived = Buffer(), threading.Event()

    def arrive() -> None:
        buffer.looked.wait(10.0)
        buffer.content = "frames"
        arrived.set()

    threading.Thread(target=arrive).start()
    assert wait(buffer, arrived, CancelToken()) == "frames"
