"""StampedTransforms: one edge of the transform tree over time, interpolated at any stamp inside its samples."""

from __future__ import annotations

import numpy as np

from spatialclaw_ros.frames.rotations import quaternion_from, rotation_from

MAX_GAP_NS = 1_000_000_000
"""Two samples further apart than this are not interpolated between: what the robot did meanwhile is unknown."""


class StampedTransforms:
    """Samples (stamp, translation, quaternion xyzw) of child-to-parent, by stamp; appending is amortised O(1)."""

    def __init__(self) -> None:
        self._stamps = np.zeros(64, np.int64)
        self._rows = np.zeros((64, 7))
        self._begin = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def stamps(self) -> np.ndarray:
        """(N,) int64 nanoseconds, rising; a view."""
        return self._stamps[self._begin : self._end]

    @property
    def rows(self) -> np.ndarray:
        """(N, 7) float64: translation in metres and unit quaternion xyzw; a view."""
        return self._rows[self._begin : self._end]

    def add(self, stamp: int, row: np.ndarray) -> None:
        """Insert a sample of 7 numbers in order of stamp; one with the same stamp is replaced."""
        if len(self) and stamp <= self.stamps[-1]:
            position = int(np.searchsorted(self.stamps, stamp))
            if self.stamps[position] == stamp:
                self.rows[position] = row
                return
        else:
            position = len(self)
        if self._end == len(self._stamps):
            self._make_room()
        at = self._begin + position
        self._stamps[at + 1 : self._end + 1] = self._stamps[at : self._end]
        self._rows[at + 1 : self._end + 1] = self._rows[at : self._end]
        self._stamps[at] = stamp
        self._rows[at] = row
        self._end += 1

    def drop_before(self, stamp: int) -> None:
        """Forget samples older than `stamp`."""
        self._begin += int(np.searchsorted(self.stamps, stamp))

    def _make_room(self) -> None:
        """Move the samples to the front of a buffer at least twice as long as they are."""
        stamps, rows = self.stamps, self.rows
        self._stamps = np.zeros(max(64, 2 * len(stamps)), np.int64)
        self._rows = np.zeros((len(self._stamps), 7))
        self._stamps[: len(stamps)] = stamps
        self._rows[: len(rows)] = rows
        self._begin, self._end = 0, len(stamps)

    def at(self, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Interpolate at stamps (M,) int64 ns: linear in translation, spherical in rotation, as tf2 does.

        Returns: (M, 4, 4) child-to-parent and (M,) bool, False where the stamp is outside the samples or in a gap.
        """
        known, count = self.stamps, len(self)
        after = np.minimum(np.searchsorted(known, stamps), count - 1)
        exact = known[after] == stamps
        before = np.where(exact, after, np.maximum(after - 1, 0))
        span = known[after] - known[before]
        inside = (stamps >= known[before]) & (stamps <= known[after]) & (span <= MAX_GAP_NS)
        weight = np.where(span > 0, (stamps - known[before]) / np.maximum(span, 1), 0.0)
        return interpolate(self.rows[before], self.rows[after], weight), inside

    def why_not(self, stamp: int) -> str:
        """In words, why `at` has nothing at `stamp`."""
        known = self.stamps
        if stamp < known[0]:
            return f"it is {_seconds(known[0] - stamp)} before the oldest sample"
        if stamp > known[-1]:
            return f"it is {_seconds(stamp - known[-1])} after the newest sample, and nothing is extrapolated"
        after = int(np.searchsorted(known, stamp))
        return f"it lies in a gap of {_seconds(known[after] - known[after - 1])}; at most 1 s is interpolated"


def interpolate(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Transforms between rows (M, 7) of translation and unit quaternion xyzw, weight (M,) in [0, 1].

    Returns: (M, 4, 4). Source: K. Shoemake, Animating rotation with quaternion curves (1985), spherical interpolation.
    """
    cosine = np.einsum("ij,ij->i", first[:, 3:], second[:, 3:])
    sign = np.where(cosine < 0, -1.0, 1.0)  # q and -q are one rotation: take the shorter way
    angle = np.arccos(np.clip(cosine * sign, -1.0, 1.0))
    sine = np.sin(angle)
    near = sine < 1e-9
    sine = np.where(near, 1.0, sine)
    share_first = np.where(near, 1.0 - weight, np.sin((1.0 - weight) * angle) / sine)
    share_second = np.where(near, weight, np.sin(weight * angle) / sine) * sign
    quaternion = share_first[:, None] * first[:, 3:] + share_second[:, None] * second[:, 3:]
    translation = first[:, :3] + weight[:, None] * (second[:, :3] - first[:, :3])
    return to_matrices(translation, quaternion)


def to_matrices(translation: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """(M, 4, 4) of translations (M, 3) and quaternions xyzw (M, 4), which are normalised first."""
    matrices = np.zeros((len(translation), 4, 4))
    matrices[:, :3, :3] = rotation_from(quaternion)
    matrices[:, :3, 3] = translation
    matrices[:, 3, 3] = 1.0
    return matrices


def to_rows(matrices: np.ndarray) -> np.ndarray:
    """(M, 7) translation and unit quaternion xyzw of transforms (M, 4, 4)."""
    return np.concatenate([matrices[:, :3, 3], quaternion_from(matrices[:, :3, :3])], axis=1)


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds * 1e-9:.3f} s"
