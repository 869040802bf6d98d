"""TransformBuffer: TF and odometry over time, answering where a frame was at a stamp."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from spatialclaw_ros.errors import TransformError
from spatialclaw_ros.frames.poses import FoundPose
from spatialclaw_ros.frames.transform_tree import Edge, TreePath, find_path

JUMP_BACK_NS = 1_000_000_000
"""A stamp this much older than the newest of its own stream means that time began again (a bag that loops)."""

_UNIT_TOLERANCE = (
    1e-2  # tf2 (BufferCore::setTransform) refuses a quaternion whose squared norm is further than this off 1
)


class TransformBuffer:
    """Keeps `seconds` of transforms and odometry. Thread-safe. Is a TrajectorySource.

    TF is asked first; where it has no path or no samples at the stamp, odometry (a pose of child_frame_id in frame_id)
    stands in for its edge, and the found pose says so. Nothing is extrapolated, and no gap above 1 s is bridged.
    A jump back in time by more than 1 s forgets everything but the static transforms.
    """

    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds
        self._lock = threading.RLock()
        self._tf: dict[str, Edge] = {}
        self._odometry: dict[str, Edge] = {}

    def add(
        self,
        parent: str,
        child: str,
        stamp_ns: int,
        translation: Sequence[float],
        quaternion_xyzw: Sequence[float],
        static: bool = False,
    ) -> None:
        """Add a transform child-to-parent: translation (3,) metres, unit quaternion (4,) xyzw.

        Raises: TransformError where it is not finite, not a unit quaternion, or a frame id is empty or its own parent.
        """
        self._insert(self._tf, parent, child, stamp_ns, _checked(parent, child, translation, quaternion_xyzw), static)

    def add_odometry(
        self,
        frame_id: str,
        child_frame_id: str,
        stamp_ns: int,
        translation: Sequence[float],
        quaternion_xyzw: Sequence[float],
    ) -> None:
        """Add an odometry pose of child_frame_id in frame_id. Raises: TransformError, as `add`."""
        row = _checked(frame_id, child_frame_id, translation, quaternion_xyzw)
        self._insert(self._odometry, frame_id, child_frame_id, stamp_ns, row, False)

    def clear(self) -> None:
        """Forget all but the static transforms."""
        with self._lock:
            for child in [child for child, edge in self._tf.items() if not edge.static]:
                del self._tf[child]
            self._odometry.clear()

    def frame_ids(self) -> list[str]:
        """Every frame that was named as parent or child, sorted."""
        with self._lock:
            edges = [*self._tf.values(), *self._odometry.values()]
            return sorted({name for edge in edges for name in (edge.parent, edge.child)})

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """(4, 4) float64: points in `source` to `target` at the stamp. Raises: TransformError with the reason."""
        found = self.poses(source, target, [stamp_ns])[0]
        if found.matrix is None:
            raise TransformError(found.note)
        return found.matrix

    def pose(self, optical_frame: str, world_frame: str, stamp_ns: int) -> np.ndarray:
        """(4, 4) camera-to-world at the stamp. Raises: TransformError with the reason."""
        return self.lookup(world_frame, optical_frame, stamp_ns)

    def poses(self, optical_frame: str, world_frame: str, stamps: Sequence[int]) -> list[FoundPose]:
        """The pose of one frame at many stamps, each with a note where it is odometry's or missing."""
        with self._lock:
            found = _look_along(find_path(self._tf, optical_frame, world_frame), stamps)
            if self._odometry and any(pose.matrix is None for pose in found):
                edges = {**self._tf, **self._odometry}
                others = _look_along(find_path(edges, optical_frame, world_frame), stamps)
                found = [
                    tf if tf.matrix is not None else _from_odometry(tf, other)
                    for tf, other in zip(found, others, strict=True)
                ]
            if any(pose.matrix is None and not pose.note for pose in found):
                note = self._unconnected(optical_frame, world_frame)
                found = [FoundPose(None, note) if pose.matrix is None and not pose.note else pose for pose in found]
            return found

    def trajectory(
        self, frame: str, world: str, start_ns: int = 0, end_ns: int = 0, rate_hz: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """The path of a frame, at the stamps of the fastest transform between it and the world.

        start_ns, end_ns: the window, 0 = open; one sample more on either side is kept. rate_hz: thinned to about this
        many samples a second, 0 = all.
        Returns: stamps (N,) int64 ns and poses (N, 4, 4) frame-to-world; one sample, at 0, where the two are fixed.
        Raises: TransformError where no path connects them.
        """
        with self._lock:
            path = find_path(self._tf, frame, world) or find_path({**self._tf, **self._odometry}, frame, world)
            if path is None:
                raise TransformError(self._unconnected(frame, world))
            stamps = _thinned(_windowed(path.stamps(), start_ns, end_ns), rate_hz)
            poses, known = path.at(stamps)
            return stamps[known], poses[known]

    def _insert(
        self, edges: dict[str, Edge], parent: str, child: str, stamp: int, row: np.ndarray, static: bool
    ) -> None:
        parent, child = parent.lstrip("/"), child.lstrip("/")  # tf1 wrote frames with a slash
        with self._lock:
            edge = edges.get(child)
            if edge is not None and not edge.static and not static and stamp < edge.samples.stamps[-1] - JUMP_BACK_NS:
                self.clear()
                edge = None
            if edge is None or static or edge.static or edge.parent != parent:
                edge = edges[child] = Edge(parent, child, static)
            edge.samples.add(stamp, row)
            edge.samples.drop_before(int(edge.samples.stamps[-1]) - round(self._seconds * 1e9))

    def _unconnected(self, frame: str, world: str) -> str:
        known = ", ".join(self.frame_ids()) or "none"
        return f"no transform from {world!r} to {frame!r}: nothing connects them; frames heard of: {known}"


def _look_along(path: TreePath | None, stamps: Sequence[int]) -> list[FoundPose]:
    """Poses along a path, with the reason where one is missing; neither where there is no path."""
    if path is None:
        return [FoundPose(None)] * len(stamps)
    matrices, known = path.at(np.array(stamps, np.int64))
    return [
        FoundPose(matrix) if here else FoundPose(None, path.why_not(stamp))
        for matrix, here, stamp in zip(matrices, known.tolist(), stamps, strict=True)
    ]


def _from_odometry(tf: FoundPose, odometry: FoundPose) -> FoundPose:
    if odometry.matrix is None:
        return FoundPose(None, tf.note or odometry.note)
    why = f" (TF: {tf.note})" if tf.note else ""
    return FoundPose(odometry.matrix, f"pose interpolated from odometry, not from TF{why}")


def _windowed(stamps: np.ndarray, start: int, end: int) -> np.ndarray:
    if len(stamps) < 2:
        return stamps
    first = max(0, int(np.searchsorted(stamps, start, "right")) - 1)
    last = int(np.searchsorted(stamps, end)) + 1 if end else len(stamps)
    return stamps[first:last]


def _thinned(stamps: np.ndarray, rate_hz: float) -> np.ndarray:
    if rate_hz <= 0 or len(stamps) < 3:
        return stamps
    wanted = int((stamps[-1] - stamps[0]) * 1e-9 * rate_hz) + 2
    if len(stamps) <= wanted:
        return stamps
    return stamps[np.linspace(0, len(stamps) - 1, wanted).round().astype(int)]


def _checked(parent: str, child: str, translation: Sequence[float], quaternion: Sequence[float]) -> np.ndarray:
    """(7,) translation and unit quaternion. Raises: TransformError."""
    what = f"transform {parent!r} -> {child!r}"
    row = np.array([*translation, *quaternion], np.float64)
    if row.shape != (7,) or not np.isfinite(row).all():
        raise TransformError(f"{what}: {row.tolist()}; expected 3 finite metres and 4 finite quaternion numbers (xyzw)")
    norm = float(row[3:] @ row[3:])
    if abs(norm - 1.0) > _UNIT_TOLERANCE:
        raise TransformError(f"{what}: quaternion {row[3:].tolist()} has squared norm {norm:.3g}; expected 1")
    if not parent.strip("/") or not child.strip("/") or parent.strip("/") == child.strip("/"):
        raise TransformError(f"{what}: expected two different frame ids that are not empty")
    row[3:] /= norm**0.5
    return row
