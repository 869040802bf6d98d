"""Waiting for frames ends by a cancel, by the goal's limit, or with frames that are whole and of the window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import BadGoal, Canceled, ErrorCode, NoFrames
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.transforms import TransformBuffer
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.ros.arrivals import Arrivals
from spatialclaw_ros.ros.frame_wait import wait_for_frames

pytestmark = pytest.mark.ros

SECOND = 10**9
NOW = 1_000 * SECOND
COLOR = ImagePayload.from_array(np.zeros((4, 6, 3), np.uint8), "rgb8")
DEPTH = ImagePayload.from_array(np.ones((4, 6), np.float32), "32FC1")


class Scene:
    """A buffer, a clock that a test sets, and a goal's wait. looks: called after each look, with its number."""

    def __init__(self, folder: Path) -> None:
        self.buffer = FrameBuffer(folder, rate_hz=0.0)
        self.transforms = TransformBuffer(30.0)
        self.now = NOW
        self.parts: set[str] = set()
        self.arrived = Arrivals()
        self.cancel = CancelToken()
        self.looks: Callable[[int], None] = lambda _: None

    def color(self, stamp: int = NOW) -> None:
        self.buffer.add_color("head", stamp, COLOR, "optical")
        self.arrived.set()

    def depth(self, stamp: int = NOW) -> None:
        self.buffer.add_depth("head", stamp, DEPTH, "optical")
        self.arrived.set()

    def wait(self, limit: float = 20.0, frame_timeout: float = 10.0, **window: int) -> Snapshot:
        clock = SimpleNamespace(now=self._look)
        node = SimpleNamespace(get_clock=lambda: clock, get_publishers_info_by_topic=lambda _: [])
        listening = SimpleNamespace(
            arrived=self.arrived, expected_parts=lambda _: self.parts, of_cameras=lambda _: [], cameras={}
        )
        config = AgentConfig.load({"frame_timeout": frame_timeout})
        query, deadline = Query("how far?", **window), Deadline(limit)
        return wait_for_frames(node, config, query, _Looking(self), self.transforms, listening, self.cancel, deadline)

    def _look(self) -> SimpleNamespace:
        return SimpleNamespace(nanoseconds=self.now)


class _Looking:
    """The scene's buffer; says when it is looked at, after the look."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._looked = 0

    def stats(self) -> dict:
        self._count()
        return self._scene.buffer.stats()

    def snapshot(self, *arguments: object, **named: object) -> Snapshot:
        try:
            return self._scene.buffer.snapshot(*arguments, **named)
        finally:
            self._count()

    def _count(self) -> None:
        self._looked += 1
        self._scene.looks(self._looked)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.buffer.close()


def at_look(scene: Scene, steps: dict[int, Callable[[], object]]) -> None:
    scene.looks = lambda number: steps.get(number, lambda: None)()


def test_a_cancel_ends_the_wait(scene: Scene) -> None:
    at_look(scene, {1: scene.cancel.cancel})
    with pytest.raises(Canceled):
        scene.wait()


def test_the_goals_own_limit_ends_the_wait_with_what_was_listened_to(scene: Scene) -> None:
    with pytest.raises(NoFrames, match=r"the goal's time limit.*no camera is configured"):
        scene.wait(limit=0.05)


def test_the_first_frame_ends_the_wait_where_nothing_else_is_sent(scene: Scene) -> None:
    at_look(scene, {1: scene.color})
    assert len(scene.wait()) == 1


def test_a_goal_that_waited_takes_the_depth_intrinsics_and_pose_that_come_after_the_picture(scene: Scene) -> None:
    def rest() -> None:
        scene.buffer.add_camera_info("head", NOW, Intrinsics(5, 5, 3, 2, 6, 4), "optical")
        scene.transforms.add("odom", "optical", NOW, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
        scene.arrived.set()

    scene.parts = {"depth", "intrinsics", "pose"}
    at_look(scene, {1: scene.color, 2: scene.depth, 3: rest})
    (frame,) = scene.wait()
    assert frame.depth_payload is not None and frame.intrinsics is not None and frame.pose is not None


@pytest.mark.parametrize(("limit", "frame_timeout"), [(20.0, 0.05), (0.2, 10.0)])
def test_a_picture_whose_depth_never_comes_is_taken_in_the_end(
    scene: Scene, limit: float, frame_timeout: float
) -> None:
    scene.parts = {"depth"}
    at_look(scene, {1: scene.color})
    assert len(scene.wait(limit, frame_timeout)) == 1


def test_a_goal_that_finds_frames_does_not_wait_for_their_parts(scene: Scene) -> None:
    scene.parts = {"depth"}
    scene.color()
    at_look(scene, {2: lambda: pytest.fail("looked twice")})
    assert len(scene.wait()) == 1


def test_a_window_that_ends_in_the_future_is_waited_for(scene: Scene) -> None:
    def later() -> None:
        scene.color(NOW + 3 * SECOND)
        scene.now = NOW + 4 * SECOND

    scene.color()
    at_look(scene, {2: later})
    snapshot = scene.wait(start_time=NOW, end_time=NOW + 3 * SECOND)
    assert [frame.stamp for frame in snapshot] == [NOW, NOW + 3 * SECOND]


def test_a_window_that_ends_after_the_goal_must_is_refused(scene: Scene) -> None:
    scene.color()
    with pytest.raises(BadGoal, match=r"ends 60\.0 s after now") as caught:
        scene.wait(start_time=NOW, end_time=NOW + 60 * SECOND)
    assert caught.value.code is ErrorCode.BAD_TIME_WINDOW


def test_frames_older_than_the_window_are_no_answer_to_a_question_about_now(scene: Scene) -> None:
    scene.color()
    scene.now = NOW + 40 * SECOND
    with pytest.raises(NoFrames):
        scene.wait(limit=0.05)
    assert len(scene.wait(start_time=NOW, end_time=NOW)) == 1


@pytest.mark.parametrize(
    ("stamp", "now", "said"),
    [(NOW, NOW + 3600 * SECOND, "3600.0 s old"), (NOW, 10**18, "--clock"), (0, 10**18, "stamp is zero")],
)
def test_the_age_of_old_frames_is_told_with_its_likely_cause(scene: Scene, stamp: int, now: int, said: str) -> None:
    from spatialclaw_ros.ros.frame_wait import _Wait

    clock = SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=now))
    node = SimpleNamespace(get_clock=lambda: clock)
    wait = _Wait(
        node,
        AgentConfig(),
        Query("?"),
        scene.buffer,
        scene.transforms,
        None,
        scene.cancel,
        Deadline(1.0),
        threading.Event(),
    )
    assert said in wait._why_old(stamp)


def test_without_a_clock_yet_frames_count_as_new(scene: Scene) -> None:
    scene.color()
    scene.now = 0
    assert len(scene.wait()) == 1
