"""Rotations and quaternions: each other's inverse, whichever component is the largest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from spatialclaw_ros.frames.rotations import quaternion_from, rotation_from

UNIT = st.floats(-1, 1)


@given(st.tuples(UNIT, UNIT, UNIT, UNIT).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_a_rotation_and_its_quaternion_give_each_other_back(xyzw: tuple[float, float, float, float]) -> None:
    expected = Rotation.from_quat(xyzw).as_matrix()
    rotation = rotation_from(np.array(xyzw))
    assert np.allclose(rotation, expected, atol=1e-12)
    quaternion = quaternion_from(rotation)
    assert np.linalg.norm(quaternion) == pytest.approx(1.0)
    assert quaternion[3] >= 0
    assert np.allclose(rotation_from(quaternion), expected, atol=1e-9)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)])
def test_half_turns_and_no_turn_are_found(axis: tuple[int, int, int]) -> None:
    quaternion = np.array([*axis, 0.0 if any(axis) else 1.0])
    assert np.abs(quaternion_from(rotation_from(quaternion))) == pytest.approx(quaternion)


def test_many_are_as_one_by_one() -> None:
    quaternions = np.random.default_rng(0).normal(size=(5, 2, 4))
    rotations = rotation_from(quaternions)
    assert rotations.shape == (5, 2, 3, 3)
    assert quaternion_from(rotations).shape == (5, 2, 4)
    assert np.array_equal(rotations[3, 1], rotation_from(quaternions[3, 1]))
    assert np.allclose(quaternion_from(rotations)[3, 1], quaternion_from(rotations[3, 1]))


def test_a_rotation_rounded_to_four_digits_stays_a_rotation_near_it() -> None:
    exact = rotation_from(np.array([0.1, -0.7, 0.3, 0.5]))
    again = rotation_from(quaternion_from(exact.round(4)))
    assert np.allclose(again @ again.T, np.eye(3), atol=1e-12)
    assert np.allclose(again, exact, atol=3e-4)
