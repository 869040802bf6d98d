"""The camera's way through a generated room: most of a round, looking inwards, smooth like a slow hand or robot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OPTICAL_IN_LINK = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Optical axes (x right, y down, z forward) in a body frame (x forward, y left, z up), REP-103."""


@dataclass(frozen=True)
class CameraPath:
    """base_link's motion and how the camera sits on it.

    style: 'robot' (the base stays level on the floor, the camera on a mast) or 'handheld' (the base is the device).
    centre: (2,) metres; radii: (2,) metres of the ellipse; angles: start and end in radians; duration: seconds.
    mount: (4, 4) camera_link to base_link. wobble: (5, 3) amplitude, frequency in Hz and phase for
    x, y, z, roll and pitch. glance: the same three for looking aside (yaw, radians).
    """

    style: str
    centre: np.ndarray
    radii: np.ndarray
    angles: tuple[float, float]
    duration: float
    mount: np.ndarray
    wobble: np.ndarray
    glance: tuple[float, float, float]

    def base(self, seconds: float) -> np.ndarray:
        """(4, 4) base_link to world."""
        share = np.clip(seconds / self.duration, 0.0, 1.0)
        eased = share + 0.06 * np.sin(2 * np.pi * share) / (2 * np.pi)
        angle = self.angles[0] + (self.angles[1] - self.angles[0]) * eased
        swing = self.wobble[:, 0] * np.sin(2 * np.pi * self.wobble[:, 1] * seconds + self.wobble[:, 2])
        place = self.centre + self.radii * [np.cos(angle), np.sin(angle)] + swing[:2]
        amplitude, frequency, phase = self.glance
        inwards = np.arctan2(self.centre[1] - place[1], self.centre[0] - place[0])
        yaw = inwards + amplitude * np.sin(2 * np.pi * frequency * seconds + phase)
        pose = np.eye(4)
        pose[:3, :3] = rotation(yaw, swing[4], swing[3])
        pose[:3, 3] = [place[0], place[1], swing[2] if self.style == "robot" else 1.50 + swing[2]]
        return pose

    @property
    def optical_mount(self) -> np.ndarray:
        """(4, 4) camera_link's optical frame to camera_link."""
        matrix = np.eye(4)
        matrix[:3, :3] = OPTICAL_IN_LINK
        return matrix

    def camera(self, seconds: float) -> np.ndarray:
        """(4, 4) optical frame to world."""
        return self.base(seconds) @ self.mount @ self.optical_mount


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(3, 3) from REP-103's fixed-axis roll, pitch, yaw in radians; positive pitch looks down."""
    cz, sz, cy, sy, cx, sx = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return about_z @ about_y @ about_x


def make_camera_path(rng: np.random.Generator, room_size: tuple[float, float, float], duration: float) -> CameraPath:
    """Most of a round (265 to 300 degrees), 1.2 m from the walls, at eye height of a robot's mast or a raised hand."""
    style = "robot" if rng.random() < 0.5 else "handheld"
    radii = np.array([room_size[0] / 2 - 1.2, room_size[1] / 2 - 1.15])
    start, span = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(265, 300)) * (1 if rng.random() < 0.5 else -1)
    amplitude = np.array([0.04, 0.04, 0.0, 0.0, 0.0]) if style == "robot" else np.array([0.05, 0.05, 0.04, 0.02, 0.03])
    wobble = np.stack([amplitude, rng.uniform(0.12, 0.35, 5), rng.uniform(0, 2 * np.pi, 5)], axis=1)
    mount = np.eye(4)
    pitch = np.radians(rng.uniform(15, 19))
    mount[:3, :3] = rotation(0.0, pitch, 0.0)
    mount[:3, 3] = [0.10, 0.0, rng.uniform(1.45, 1.6)] if style == "robot" else [0.04, 0.02, 0.03]
    glance = (np.radians(rng.uniform(7, 12)), rng.uniform(0.10, 0.2), rng.uniform(0, 2 * np.pi))
    return CameraPath(style, np.zeros(2), radii, (start, start + span), duration, mount, wobble, glance)
