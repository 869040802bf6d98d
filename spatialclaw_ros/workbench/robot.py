"""tools.Robot: where the robot and its cameras were, by the transforms that were recorded with the frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from spatialclaw_ros.frames.stamped_transforms import MAX_GAP_NS
from spatialclaw_ros.frames.transform_table import is_fixed
from spatialclaw_ros.workbench.backproject import transform
from spatialclaw_ros.workbench.bench import Bench
from spatialclaw_ros.workbench.errors import ToolError

END_TOLERANCE = 0.2
"""Seconds by which a stamp may lie outside a trajectory and is taken at its end, with a note."""
STAMP_ROUNDING_NS = 1000
"""Float seconds of today are rounded to a quarter of a microsecond: this near, a sample's own stamp is meant."""
SPEED_WINDOW = 0.5
"""Seconds over which a speed is measured."""

Track = tuple[np.ndarray, np.ndarray]
"""stamps (N,) int64 ns, increasing; poses (N, 4, 4), frame to world. One sample at stamp 0: it stands still."""


@dataclass(frozen=True)
class Trajectory:
    """stamps: (N,) float64 seconds; positions: (N, 3) and poses: (N, 4, 4) in the world frame; length: metres along the
    path;
    displacement: metres from first to last; np.asarray(trajectory) is positions."""

    stamps: np.ndarray
    poses: np.ndarray
    frame: str
    world_frame: str

    @property
    def positions(self) -> np.ndarray:
        return self.poses[:, :3, 3]

    @property
    def length(self) -> float:
        return float(np.linalg.norm(np.diff(self.positions, axis=0), axis=1).sum())

    @property
    def displacement(self) -> float:
        return float(np.linalg.norm(self.positions[-1] - self.positions[0]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.positions, dtype=dtype)

    def __len__(self) -> int:
        return len(self.stamps)

    def __repr__(self) -> str:
        return (
            f"Trajectory of '{self.frame}' in '{self.world_frame}': {len(self)} poses, {self.stamps[0]:.3f} to "
            f"{self.stamps[-1]:.3f} s, "
            f"length {self.length:.3f} m, displacement {self.displacement:.3f} m"
        )


class RobotTool:
    """Recorded motion, interpolated. Stamps are float seconds of ROS time, as item.stamp (None = the newest); poses and
    points are in the fixed world frame. A frame is a TF frame id or a camera's name; None = the robot's base, or the
    camera where no base was recorded."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def frames(self) -> list[str]:
        """Frame ids with a known trajectory, and the world frame."""
        return sorted({self._bench.world_frame, *self._tracks()})

    def pose(self, stamp: float | None = None, frame: str | None = None) -> np.ndarray:
        """(4, 4): the frame's pose in the world frame at a stamp. Raises: ToolError outside the recorded time, in a
        gap or for an unknown frame."""
        self._bench.tool_calls += 1
        return self._pose(self._name(frame), stamp)

    def transform(self, points: Any, source: str, target: str, stamp: float | None = None) -> np.ndarray:
        """Points (..., 3) of frame `source` in frame `target` at a stamp. Raises: ToolError as pose()."""
        self._bench.tool_calls += 1
        array = np.asarray(points, np.float64)
        if array.shape[-1:] != (3,):
            raise ToolError(f"points must be (..., 3); got shape {array.shape}")
        source_pose, target_pose = self._pose(self._name(source), stamp), self._pose(self._name(target), stamp)
        return transform(np.linalg.inv(target_pose) @ source_pose, array)

    def trajectory(self, start: float | None = None, end: float | None = None, frame: str | None = None) -> Trajectory:
        """The recorded poses between two stamps (None = open): .stamps, .positions, .poses, .length, .displacement."""
        self._bench.tool_calls += 1
        name = self._name(frame)
        stamps, poses = self._track(name)
        seconds = stamps / 1e9
        chosen = (seconds >= (-np.inf if start is None else start)) & (seconds <= (np.inf if end is None else end))
        chosen |= is_fixed(stamps)
        if not chosen.any():
            raise ToolError(
                f"'{name}' has no pose between {start} and {end} s; it is known from {seconds[0]:.3f} to "
                f"{seconds[-1]:.3f} s"
            )
        return Trajectory(seconds[chosen], poses[chosen], name, self._bench.world_frame)

    def speed(self, stamp: float | None = None, frame: str | None = None) -> float:
        """Metres per second at a stamp, over half a second around it."""
        self._bench.tool_calls += 1
        name = self._name(frame)
        stamps, _ = self._track(name)
        if is_fixed(stamps):
            return 0.0
        first, last = stamps[0] / 1e9, stamps[-1] / 1e9
        if last <= first:
            raise ToolError(f"'{name}' has one pose only: no speed")
        middle = last if stamp is None else stamp
        self._pose(name, middle)  # the error for a stamp outside the recording
        begin, finish = max(first, middle - SPEED_WINDOW / 2), min(last, middle + SPEED_WINDOW / 2)
        if finish <= begin:
            begin, finish = max(first, finish - SPEED_WINDOW), min(last, begin + SPEED_WINDOW)
        moved = self._pose(name, finish)[:3, 3] - self._pose(name, begin)[:3, 3]
        return float(np.linalg.norm(moved) / (finish - begin))

    def heading(self, stamp: float | None = None, frame: str | None = None) -> float:
        """Degrees about the world's z from its x axis, counter-clockwise, in (-180, 180]: where the frame's front
        points (x of a body frame, z of a camera). Raises: ToolError where it points straight up or down."""
        self._bench.tool_calls += 1
        name = self._name(frame)
        pose = self._pose(name, stamp)
        front = pose[:3, 2] if name in self._optical_frames() else pose[:3, 0]
        if np.hypot(front[0], front[1]) < 1e-3:
            raise ToolError(f"'{name}' points straight up or down: it has no heading")
        return float(np.degrees(np.arctan2(front[1], front[0])))

    def _optical_frames(self) -> dict[str, str]:
        """Optical frame id -> camera name."""
        return {image.frame.optical_frame or image.camera: image.camera for image in self._bench.images}

    def _name(self, frame: str | None) -> str:
        tracks = self._tracks()
        if frame is None:
            base = getattr(self._bench.manifest, "base_frame", "")
            return base if base in tracks else next(iter(self._optical_frames()), base or "base_link")
        by_camera = {camera: optical for optical, camera in self._optical_frames().items()}
        name = by_camera.get(frame, frame)
        if name != self._bench.world_frame and name not in tracks:
            raise ToolError(f"no transforms are known for frame {frame!r}; known: {', '.join(self.frames())}")
        return name

    def _tracks(self) -> Mapping[str, Track]:
        """Recorded trajectories; cameras without one get the poses of their frames."""
        tracks = dict(getattr(self._bench.manifest, "transforms", None) or {})
        for optical, camera in self._optical_frames().items():
            if optical not in tracks:
                frames = [i.frame for i in self._bench.images if i.camera == camera and i.frame.pose is not None]
                if frames:
                    tracks[optical] = (np.array([f.stamp for f in frames]), np.array([f.pose for f in frames]))
        return {name: track for name, track in tracks.items() if len(track[0])}

    def _track(self, name: str) -> Track:
        tracks = self._tracks()
        if name not in tracks:
            raise ToolError(f"no poses of {name!r} were recorded; known: {', '.join(self.frames())}")
        stamps, poses = tracks[name]
        return np.asarray(stamps), np.asarray(poses)

    def _pose(self, name: str, stamp: float | None) -> np.ndarray:
        if name == self._bench.world_frame:
            return np.eye(4)
        stamps, poses = self._track(name)
        if stamp is None or is_fixed(stamps):
            return np.array(poses[-1])
        at = self._nanoseconds(stamp, name, stamps)
        nearest = int(np.argmin(np.abs(stamps - at)))
        if abs(int(stamps[nearest]) - at) <= STAMP_ROUNDING_NS:
            return np.array(poses[nearest])
        after = int(np.searchsorted(stamps, at))
        gap = int(stamps[after] - stamps[after - 1])
        if gap > MAX_GAP_NS:
            raise ToolError(
                f"no pose of '{name}' at {at / 1e9:.3f} s: it lies in a gap of {gap / 1e9:.3f} s, from "
                f"{stamps[after - 1] / 1e9:.3f} to {stamps[after] / 1e9:.3f} s; at most 1 s is interpolated"
            )
        return interpolate(
            poses[after - 1], poses[after], (at - stamps[after - 1]) / (stamps[after] - stamps[after - 1])
        )

    def _nanoseconds(self, stamp: float, name: str, stamps: np.ndarray) -> int:
        seconds = float(stamp)
        if seconds > 1e15:  # an item.stamp_ns
            seconds /= 1e9
        first, last = stamps[0] / 1e9, stamps[-1] / 1e9
        if not first - END_TOLERANCE <= seconds <= last + END_TOLERANCE:
            raise ToolError(
                f"'{name}' is known from {first:.3f} to {last:.3f} s of ROS time, not at {seconds:.3f} s; stamps are "
                "as item.stamp"
            )
        if not first - 1e-6 <= seconds <= last + 1e-6:
            self._bench.note(
                f"Robot: {seconds:.3f} s is just outside what is known of '{name}'; its nearest pose was taken"
            )
        return int(np.clip(round(seconds * 1e9), stamps[0], stamps[-1]))


def interpolate(first: np.ndarray, second: np.ndarray, fraction: float) -> np.ndarray:
    """(4, 4) pose between two: linear in position, spherical linear in rotation."""
    result = np.eye(4)
    result[:3, 3] = (1.0 - fraction) * first[:3, 3] + fraction * second[:3, 3]
    result[:3, :3] = Slerp([0.0, 1.0], Rotation.from_matrix([first[:3, :3], second[:3, :3]]))(fraction).as_matrix()
    return result
