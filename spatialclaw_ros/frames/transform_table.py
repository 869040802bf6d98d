"""TransformTable: the paths of a robot's frames through one world frame, as plain arrays that a kernel can map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spatialclaw_ros.errors import TransformError
from spatialclaw_ros.frames.stamped_transforms import StampedTransforms, to_rows

Trajectory = tuple[np.ndarray, np.ndarray]
"""stamps (N,) int64 nanoseconds, rising; poses (N, 4, 4) float64, frame-to-world. A frame that is fixed to the world
has one sample, at stamp 0, which holds at every stamp (`is_fixed`); one sample elsewhere holds at its own stamp."""


def is_fixed(stamps: np.ndarray) -> bool:
    """Whether the stamps (N,) of a trajectory are those of a frame that stands still in the world."""
    return len(stamps) == 1 and int(stamps[0]) == 0


class TransformTable(Mapping[str, Trajectory]):
    """frame_id → (stamps (N,) int64 ns, poses (N, 4, 4) frame-to-world); one sample at stamp 0 stands still."""

    def __init__(self, world_frame: str, trajectories: Mapping[str, Trajectory]) -> None:
        self.world_frame = world_frame
        self._trajectories = dict(trajectories)
        self._series: dict[str, StampedTransforms] = {}

    def __getitem__(self, frame_id: str) -> Trajectory:
        return self._trajectories[frame_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._trajectories)

    def __len__(self) -> int:
        return len(self._trajectories)

    def pose(self, frame_id: str, stamp_ns: int) -> np.ndarray:
        """(4, 4) frame-to-world at the stamp, interpolated; the world frame itself is the identity.

        Raises: TransformError for an unknown frame, a stamp outside its path, or a gap above 1 s.
        """
        if frame_id == self.world_frame:
            return np.eye(4)
        if frame_id not in self._trajectories:
            known = ", ".join(sorted({*self._trajectories, self.world_frame})) or "none"
            raise TransformError(f"frame {frame_id!r} is not known in {self.world_frame!r}; known frames: {known}")
        stamps, poses = self._trajectories[frame_id]
        if is_fixed(stamps):
            return poses[0].copy()
        series = self._series.get(frame_id) or self._make_series(frame_id)
        matrices, inside = series.at(np.array([stamp_ns], np.int64))
        if not inside[0]:
            raise TransformError(
                f"no pose of {frame_id!r} in {self.world_frame!r} at {stamp_ns * 1e-9:.3f} s: "
                f"{series.why_not(stamp_ns)}"
            )
        return matrices[0]

    def _make_series(self, frame_id: str) -> StampedTransforms:
        stamps, poses = self._trajectories[frame_id]
        series = StampedTransforms()
        for stamp, row in zip(stamps.tolist(), to_rows(poses), strict=True):
            series.add(stamp, row)
        self._series[frame_id] = series
        return series

    def write(self, path: Path) -> dict[str, Any]:
        """Write stamps and poses as one block of 8-byte numbers; returns what `read` needs, for a JSON manifest."""
        entries: list[list[Any]] = []
        blocks: list[bytes] = []
        for frame_id, (stamps, poses) in self._trajectories.items():
            entries.append([frame_id, len(stamps)])
            blocks.append(np.ascontiguousarray(stamps, np.int64).tobytes())
            blocks.append(np.ascontiguousarray(poses, np.float64).tobytes())
        path.write_bytes(b"".join(blocks))
        return {"file": path.name, "world_frame": self.world_frame, "frames": entries}

    @classmethod
    def read(cls, folder: Path, description: Mapping[str, Any]) -> TransformTable:
        """Read what `write` wrote. Raises: TransformError where the file is shorter than described."""
        data = (folder / description["file"]).read_bytes()
        if len(data) != 8 * 17 * sum(count for _, count in description["frames"]):
            raise TransformError(f"{folder / description['file']} has {len(data)} bytes, not what its manifest says")
        trajectories, offset = {}, 0
        for frame_id, count in description["frames"]:
            stamps = np.frombuffer(data, np.int64, count, offset)
            poses = np.frombuffer(data, np.float64, 16 * count, offset + 8 * count).reshape(count, 4, 4)
            trajectories[frame_id] = (stamps, poses)
            offset += 8 * 17 * count
        return cls(description["world_frame"], trajectories)
