"""The bag writer's numbers: millimetres, twists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from spatialclaw_ros.evaluation.bag import BagWriter, StampedPose, depth_in_millimetres
from spatialclaw_ros.frames.camera import Intrinsics


def test_unknown_and_far_depth_is_zero_millimetres() -> None:
    depth = np.array([[1.2344, np.nan, 0.0, 70.0, np.inf, -1.0]], np.float32)
    assert depth_in_millimetres(depth).tolist() == [[1234, 0, 0, 0, 0, 0]]


def test_odometry_carries_the_velocity_in_the_base_frame(tmp_path: Path) -> None:
    """A base that faces +y and drives forward at 0.5 m/s while it turns left at 0.2 rad/s."""
    writer = BagWriter(tmp_path / "bag", Intrinsics(100, 100, 80, 60, 160, 120))
    poses = []
    for k in range(3):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("z", np.pi / 2 + 0.2 * (k - 1)).as_matrix()
        pose[1, 3] = 0.5 * k
        poses.append(StampedPose(10**18 + k * 10**9, pose))
    writer.add_odometry(poses)
    writer.close()
    with AnyReader([tmp_path / "bag"], default_typestore=get_typestore(Stores.ROS2_KILTED)) as reader:
        odometry = [
            reader.deserialize(data, connection.msgtype)
            for connection, _, data in reader.messages()
            if connection.topic == "/odom"
        ]
    twist = odometry[1].twist.twist
    assert (odometry[1].header.frame_id, odometry[1].child_frame_id) == ("odom", "base_link")
    assert twist.linear.x == pytest.approx(0.5, abs=0.02)
    assert twist.angular.z == pytest.approx(0.2, abs=1e-6)
