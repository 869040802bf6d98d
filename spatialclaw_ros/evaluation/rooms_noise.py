"""What real sensors do to a generated recording: noise that grows with depth, odometry that drifts, depth that lags."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

NOISES = ("none", "depth", "drift")
DRIFT = 0.01
"""Odometry error per metre travelled, and per radian turned."""
DEPTH_LAG = 0.030
"""Seconds by which depth is older than its stamp says, as with an unsynchronised pair of sensors."""


@dataclass(frozen=True)
class Noise:
    """kind: 'none' (exact), 'depth' (axial noise and holes at edges), 'drift' (also odometry drift and depth lag)."""

    kind: str = "none"

    @property
    def lag(self) -> float:
        """Seconds between the moment that the depth image shows and the moment that its stamp claims."""
        return DEPTH_LAG if self.kind == "drift" else 0.0

    def depth(self, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W) float32 metres with axial noise (sigma 0.0012 + 0.0019 (z - 0.4)^2 m) and no value at steps.

        Source of the formula: Nguyen, Izadi, Lovell, "Modeling Kinect Sensor Noise for Improved 3D Reconstruction and
        Tracking", 2012, axial noise for surfaces that face the sensor.
        """
        if self.kind == "none":
            return depth
        sigma = 0.0012 + 0.0019 * (depth - 0.4) ** 2
        noisy = depth + sigma * rng.standard_normal(depth.shape, dtype=np.float32)
        noisy[_at_steps(depth)] = np.nan
        return noisy.astype(np.float32)

    def odometry(self, poses: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """The poses (4, 4) base to world as drifting odometry reports them: errors of scale and heading add up."""
        if self.kind != "drift":
            return poses
        scale = 1.0 + DRIFT * (1 if rng.random() < 0.5 else -1)
        bend = DRIFT * (1 if rng.random() < 0.5 else -1)
        reported = [poses[0]]
        for before, after in pairwise(poses):
            step = np.linalg.inv(before) @ after
            step[:3, 3] *= scale
            turned = np.arctan2(step[1, 0], step[0, 0]) * bend
            cosine, sine = np.cos(turned), np.sin(turned)
            extra = np.array([[cosine, -sine, 0, 0], [sine, cosine, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
            reported.append(_about_world_z(reported[-1] @ step, extra))
        return reported


def _about_world_z(pose: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Turn a pose on the spot about the world's vertical, which odometry with an inertial unit still knows."""
    turned = pose.copy()
    turned[:3, :3] = turn[:3, :3] @ pose[:3, :3]
    return turned


def _at_steps(depth: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels beside a jump in depth of more than 5 %, where a triangulating sensor sees nothing."""
    steps = np.zeros(depth.shape, bool)
    steps[:, 1:] |= np.abs(np.diff(depth, axis=1)) > 0.05 * depth[:, 1:]
    steps[1:] |= np.abs(np.diff(depth, axis=0)) > 0.05 * depth[1:]
    return steps
