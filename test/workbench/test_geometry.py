"""tools.Geometry and tools.Mask: plain formulas with refusals that say why."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatialclaw_ros.workbench.errors import ToolError
from spatialclaw_ros.workbench.geometry import Geometry
from spatialclaw_ros.workbench.mask_tools import Mask


def test_distance_and_angle():
    assert Geometry.euclidean_distance([0, 0, 0], (3, 4, 0)) == pytest.approx(5.0)
    assert Geometry.angle_between_vectors([1, 0, 0], [0, 2, 0]) == pytest.approx(90.0)
    assert Geometry.angle_between_vectors([1, 1e-9, 0], [1, 0, 0]) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("wrong", [[1, 2], [np.nan, 0, 0], "abc"])
def test_points_that_are_none_are_refused(wrong):
    with pytest.raises((ToolError, ValueError)):
        Geometry.euclidean_distance(wrong, [0, 0, 0])


@pytest.mark.parametrize(
    ("target", "word", "side", "azimuth"),
    [
        ([0, 0, -5], "front", None, 0.0),
        ([2, 0, 0], "right", "right", -90.0),
        ([-2, 0, 0], "left", "left", 90.0),
        ([0.1, 0, 3], "behind", "right", -178.1),
        ([-1, 0, -3], "front", "left", 18.4),
    ],
)
def test_direction_is_as_seen_by_somebody_facing_minus_z(target, word, side, azimuth):
    seen = Geometry.direction(target, [0, 0, 0], [0, -0.3, -1])
    assert seen.word == word and seen.azimuth == pytest.approx(azimuth, abs=0.1)
    assert side is None or seen.side == side


def test_direction_in_ros_axes_agrees_with_reconstruction_axes():
    seen = Geometry.direction([1, 1, 1], [0, 0, 0], [1, 0, 0], up=(0, 0, 1))
    assert seen.azimuth == pytest.approx(45.0) and seen.elevation == pytest.approx(35.26, abs=0.01)
    assert seen.depth_word == "front" and seen.distance == pytest.approx(np.sqrt(3))


def test_direction_without_meaning_is_refused():
    with pytest.raises(ToolError, match="parallel to up"):
        Geometry.direction([1, 0, 0], [0, 0, 0], [0, 1, 0])
    with pytest.raises(ToolError, match="same point"):
        Geometry.direction([1, 0, 0], [1, 0, 0], [0, 0, -1])


def test_nearest_distance_gives_metres_and_both_points():
    a = np.array([[0, 0, 0], [1, 0, 0.0]])
    b = np.array([[3, 0, 0], [1.5, 0, 0], [np.nan, 0, 0]])
    distance, point_a, point_b = Geometry.nearest_distance(a, b)
    assert distance == pytest.approx(0.5) and point_a[0] == 1 and point_b[0] == 1.5
    with pytest.raises(ToolError, match=r"\(N, 3\)"):
        Geometry.nearest_distance(a, [])


def test_projection_inverts_back_projection():
    matrix = np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_euler("xyz", [20, -30, 5], degrees=True).as_matrix(), [1, 2, 3]
    in_camera = np.array([(100 - 320) / 500 * 2.0, (50 - 240) / 510 * 2.0, 2.0])
    world = pose[:3, :3] @ in_camera + pose[:3, 3]
    assert Geometry.project_point_to_camera(world, matrix, pose) == pytest.approx([100, 50, 2.0])
    behind = Geometry.project_point_to_camera(pose[:3, 3] - pose[:3, 2], matrix, pose)
    assert np.isnan(behind[:2]).all() and behind[2] == pytest.approx(-1.0)


@pytest.mark.parametrize(("a", "b"), [([1, 2, 3], [-2, 0.5, 1]), ([1, 0, 0], [-1, 0, 0]), ([0, 0, 2], [0, 0, 1])])
def test_rotation_turns_one_direction_into_the_other(a, b):
    rotation = Geometry.rotation_matrix_from_vectors(a, b)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(rotation @ a / np.linalg.norm(a), b / np.linalg.norm(b), atol=1e-9)


def test_ground_plane_is_found_among_clutter():
    random = np.random.default_rng(3)
    floor = np.column_stack([random.uniform(-2, 2, 3000), random.normal(0.1, 0.004, 3000), random.uniform(-2, 2, 3000)])
    wall = np.column_stack([random.uniform(-2, 2, 4000), random.uniform(0, 2, 4000), np.full(4000, -2.0)])
    normal, offset, inliers = Geometry.fit_ground_plane_ransac(np.concatenate([floor, wall]))
    assert normal == pytest.approx([0, 1, 0], abs=0.01) and offset == pytest.approx(-0.1, abs=0.01)
    assert inliers[:3000].mean() > 0.95 and inliers[3000:].mean() < 0.05
    with pytest.raises(ToolError, match="no plane"):
        Geometry.fit_ground_plane_ransac(wall)


def test_normalized_coordinates_become_pixels():
    assert Geometry.normalized_to_pixel([100, 500, 1000, 250], 640, 480).tolist() == [64, 240, 640, 120]
    assert Geometry.normalized_to_pixel([500, 500], 640, 480).tolist() == [320, 240]


def _mask(*window: slice) -> np.ndarray:
    mask = np.zeros((20, 30), bool)
    mask[window] = True
    return mask


def test_mask_measures():
    mask = _mask(slice(2, 6), slice(10, 20))
    assert Mask.area(mask) == 40 and Mask.centroid(mask) == (14.5, 3.5)
    assert Mask.bounding_box(mask) == (10, 2, 20, 6) == Mask.mask_to_bbox(mask)
    other = _mask(slice(2, 6), slice(15, 25))
    assert Mask.iou(mask, other) == pytest.approx(20 / 60) and Mask.intersection(mask, other).sum() == 20
    centroids = Mask.centroids(np.stack([mask, np.zeros_like(mask)]))
    assert centroids[0].tolist() == [14.5, 3.5] and np.isnan(centroids[1]).all()


def test_empty_or_unequal_masks_are_refused():
    with pytest.raises(ToolError, match="empty"):
        Mask.centroid(np.zeros((4, 4), bool))
    with pytest.raises(ToolError, match="different shapes"):
        Mask.iou(np.zeros((4, 4), bool), np.zeros((4, 5), bool))
    with pytest.raises(ToolError, match=r"\(H, W\)"):
        Mask.area(np.zeros((2, 4, 5), bool))
