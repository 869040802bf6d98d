"""SnapshotFrames: where the named frames of a session are, for answers with a place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spatialclaw_ros.errors import TransformError
from spatialclaw_ros.frames.snapshot import Snapshot, transforms_of_frames

MAX_EXTRAPOLATION = 1_000_000_000
"""ns by which a stamp may lie outside of a frame's known path; the path's end stands in for it then."""


class SnapshotFrames:
    """Frames by name: the world frame, those of the snapshot's transforms, and the cameras' optical frames."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.world_frame = snapshot.world_frame
        cameras = transforms_of_frames(snapshot.frames, snapshot.world_frame)
        self._tables = {name: table for table in (cameras, snapshot.transforms) for name in table}

    def names(self) -> Sequence[str]:
        """Every known frame, the world frame first."""
        return [self.world_frame, *sorted(name for name in self._tables if name != self.world_frame)]

    def transform(self, source: str, target: str, stamp: int = 0) -> np.ndarray:
        """(4, 4) float64 source-to-target at `stamp` ns, 0 = the latest. Raises: TransformError."""
        if source == target:
            return np.eye(4)
        return np.linalg.inv(self._to_world(target, stamp)) @ self._to_world(source, stamp)

    def _to_world(self, name: str, stamp: int) -> np.ndarray:
        if name == self.world_frame:
            return np.eye(4)
        if name not in self._tables:
            raise TransformError(f"frame {name!r} is not known; known: {', '.join(self.names())}")
        stamps, _ = self._tables[name][name]
        first, last = int(stamps[0]), int(stamps[-1])
        wanted = min(max(stamp or last, first), last)
        if stamp and abs(stamp - wanted) > MAX_EXTRAPOLATION:
            wanted = stamp  # too far off: the table says why
        return self._tables[name].pose(name, wanted)
