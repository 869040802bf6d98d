"""The transform buffer: composed, interpolated, honest about gaps, and never fed nonsense."""

from __future__ import annotations

import numpy as np
import pytest

from spatialclaw_ros.errors import ErrorCode, TransformError
from spatialclaw_ros.frames.poses import TrajectorySource, check_pose
from spatialclaw_ros.frames.transforms import TransformBuffer

S = 1_000_000_000
STILL = (0.0, 0.0, 0.0, 1.0)


def _turn(degrees: float) -> tuple[float, float, float, float]:
    half = np.radians(degrees) / 2
    return (0.0, 0.0, float(np.sin(half)), float(np.cos(half)))


@pytest.fixture
def moving() -> TransformBuffer:
    """base moves 1 m/s along x of odom and turns 90 degrees a second from 10 s to 12 s; cam sits 1 m before it."""
    buffer = TransformBuffer(30.0)
    for step in range(5):
        buffer.add("odom", "base", 10 * S + step * S // 2, (0.5 * step, 0, 0), _turn(45 * step))
    buffer.add("base", "cam", 0, (1, 0, 0), STILL, static=True)
    return buffer


def test_it_is_a_trajectory_source(moving: TransformBuffer) -> None:
    assert isinstance(moving, TrajectorySource)


def test_pose_is_composed_and_interpolated_at_the_stamp(moving: TransformBuffer) -> None:
    pose = moving.pose("cam", "odom", 10 * S + S // 4)
    angle = np.radians(22.5)
    np.testing.assert_allclose(pose[:2, 3], [0.25 + np.cos(angle), np.sin(angle)], atol=1e-12)
    assert pose[0, 0] == pytest.approx(np.cos(angle))


def test_lookup_maps_source_to_target_in_both_directions(moving: TransformBuffer) -> None:
    there, back = moving.lookup("odom", "cam", 11 * S), moving.lookup("cam", "odom", 11 * S)
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-12)


def test_siblings_are_found_through_their_common_ancestor(moving: TransformBuffer) -> None:
    moving.add("base", "arm", 0, (0, 2, 0), STILL, static=True)
    np.testing.assert_allclose(moving.lookup("arm", "cam", 5 * S)[:3, 3], [1, -2, 0], atol=1e-12)


def test_interpolation_agrees_with_pytransform3d() -> None:
    """An independent oracle: small steps, where screw motion and straight line with slerp coincide."""
    manager_module = pytest.importorskip("pytransform3d.transform_manager")
    random = np.random.default_rng(3)
    stamps = np.arange(20) * 0.05
    quaternions = np.array([1.0, 0, 0, 0]) + np.cumsum(random.normal(0, 0.003, (20, 4)), axis=0)
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    places = np.cumsum(random.normal(0, 0.01, (20, 3)), axis=0)
    manager = manager_module.TemporalTransformManager()
    rows = np.hstack([places, quaternions])
    manager.add_transform("base", "odom", manager_module.NumpyTimeseriesTransform(stamps, rows))
    buffer = TransformBuffer()
    for stamp, place, (w, x, y, z) in zip(stamps, places, quaternions, strict=True):
        buffer.add("odom", "base", round(stamp * S), place, (x, y, z, w))
    for query in (0.01, 0.333, 0.71):
        expected = manager.get_transform_at_time("base", "odom", query)
        np.testing.assert_allclose(buffer.lookup("odom", "base", round(query * S)), expected, atol=1e-4)


def test_opposite_quaternions_are_one_rotation() -> None:
    buffer = TransformBuffer()
    buffer.add("odom", "base", 0, (0, 0, 0), _turn(10))
    buffer.add("odom", "base", S, (0, 0, 0), tuple(-value for value in _turn(20)))
    angle = np.degrees(np.arctan2(*buffer.lookup("odom", "base", S // 2)[1::-1, 0]))
    assert angle == pytest.approx(15)


@pytest.mark.parametrize(("stamp", "reason"), [(9 * S, "before the oldest"), (13 * S, "nothing is extrapolated")])
def test_nothing_is_extrapolated(moving: TransformBuffer, stamp: int, reason: str) -> None:
    with pytest.raises(TransformError, match=reason):
        moving.pose("cam", "odom", stamp)


def test_a_gap_above_one_second_is_named(moving: TransformBuffer) -> None:
    moving.add("odom", "base", 14 * S, (9, 0, 0), STILL)
    with pytest.raises(TransformError, match="gap of 2.000 s") as error:
        moving.pose("cam", "odom", 13 * S)
    assert "'odom' -> 'base'" in str(error.value)
    assert error.value.code is ErrorCode.BAD_TRANSFORM


def test_a_sample_on_the_edge_of_a_gap_is_used(moving: TransformBuffer) -> None:
    moving.add("odom", "base", 14 * S, (9, 0, 0), STILL)
    assert moving.pose("base", "odom", 14 * S)[0, 3] == 9


def test_unconnected_frames_are_named_with_those_that_are_known(moving: TransformBuffer) -> None:
    with pytest.raises(TransformError, match="nothing connects them; frames heard of: base, cam, odom"):
        moving.pose("cam", "map", 10 * S)


@pytest.mark.parametrize("bad", [(np.nan, 0, 0, 1), (0, 0, 0, 0), (0, 0, 0, 2), (0, 0, 0)])
def test_bad_quaternions_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(TransformError, match="quaternion"):
        TransformBuffer().add("odom", "base", 0, (0, 0, 0), bad)


@pytest.mark.parametrize("bad", [(np.nan, 0, 0), (np.inf, 0, 0), (0, 0)])
def test_bad_translations_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(TransformError):
        TransformBuffer().add_odometry("odom", "base", 0, bad, STILL)


@pytest.mark.parametrize(("parent", "child"), [("", "base"), ("odom", ""), ("odom", "odom")])
def test_frame_ids_that_cannot_be_are_refused(parent: str, child: str) -> None:
    with pytest.raises(TransformError, match="frame ids"):
        TransformBuffer().add(parent, child, 0, (0, 0, 0), STILL)


def test_a_loop_of_transforms_ends() -> None:
    buffer = TransformBuffer()
    buffer.add("a", "b", 0, (0, 0, 0), STILL, static=True)
    buffer.add("b", "a", 0, (0, 0, 0), STILL, static=True)
    with pytest.raises(TransformError):
        buffer.lookup("c", "a", 0)


def test_odometry_stands_in_where_tf_has_no_path_and_says_so() -> None:
    buffer = TransformBuffer()
    buffer.add("base", "cam", 0, (0, 0, 1), STILL, static=True)
    for k in range(3):
        buffer.add_odometry("odom", "base", k * S, (k, 0, 0), STILL)
    found = buffer.poses("cam", "odom", [S // 2])[0]
    assert "odometry" in found.note
    np.testing.assert_allclose(found.matrix[:3, 3], [0.5, 0, 1])


def test_tf_goes_before_odometry(moving: TransformBuffer) -> None:
    for k in range(30):
        moving.add_odometry("odom", "base", k * S, (77, 0, 0), STILL)
    found = moving.poses("base", "odom", [11 * S, 20 * S])
    assert found[0].matrix[0, 3] == pytest.approx(1.0) and not found[0].note
    assert found[1].matrix[0, 3] == 77 and "after the newest sample" in found[1].note


def test_samples_older_than_the_buffer_are_forgotten() -> None:
    buffer = TransformBuffer(seconds=2.0)
    for k in range(1000):
        buffer.add("odom", "base", k * S // 100, (k, 0, 0), STILL)
    assert len(buffer.trajectory("base", "odom")[0]) == 201
    with pytest.raises(TransformError, match="before the oldest"):
        buffer.pose("base", "odom", 7 * S)


def test_samples_that_come_late_are_put_in_order() -> None:
    buffer = TransformBuffer()
    for k in (0, 2, 1, 1):
        buffer.add("odom", "base", k * S // 10, (k, 0, 0), STILL)
    assert buffer.pose("base", "odom", S * 3 // 20)[0, 3] == pytest.approx(1.5)


def test_a_jump_back_in_time_forgets_all_but_static_transforms(moving: TransformBuffer) -> None:
    moving.add("odom", "base", 2 * S, (0, 0, 0), STILL)
    assert moving.pose("cam", "odom", 2 * S)[0, 3] == 1
    with pytest.raises(TransformError):
        moving.pose("cam", "odom", 11 * S)


def test_trajectory_is_windowed_and_thinned() -> None:
    buffer = TransformBuffer()
    for k in range(1001):
        buffer.add("odom", "base", k * S // 100, (k, 0, 0), STILL)
    stamps, poses = buffer.trajectory("base", "odom", 4 * S, 6 * S, rate_hz=10.0)
    assert stamps[0] <= 4 * S and stamps[-1] >= 6 * S and len(stamps) == len(poses) < 30


@pytest.mark.parametrize("bad", [np.full((4, 4), np.nan), np.eye(3), np.diag([2.0, 1, 1, 1]), np.diag([-1.0, 1, 1, 1])])
def test_a_pose_that_is_no_rigid_motion_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(TransformError):
        check_pose(bad, "camera")
