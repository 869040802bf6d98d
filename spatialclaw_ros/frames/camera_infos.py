"""CameraInfoHistory: the intrinsics that one camera announced over time, found by frame id and nearest stamp."""

from __future__ import annotations

from dataclasses import dataclass

from spatialclaw_ros.frames.camera import Intrinsics


@dataclass
class _Run:
    """The same intrinsics of the same frame, announced from `first` to `last` (ns)."""

    intrinsics: Intrinsics
    optical_frame: str
    first: int
    last: int

    def distance(self, stamp: int) -> int:
        return max(self.first - stamp, stamp - self.last, 0)


class CameraInfoHistory:
    """Equal announcements in a row are one entry, so that 30 Hz of CameraInfo costs nothing. Not thread-safe."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def add(self, stamp: int, intrinsics: Intrinsics, optical_frame: str) -> None:
        for run in reversed(self._runs):
            if run.optical_frame == optical_frame:
                if run.intrinsics == intrinsics and stamp >= run.first:
                    run.last = max(run.last, stamp)
                    return
                break
        self._runs.append(_Run(intrinsics, optical_frame, stamp, stamp))

    def nearest(self, optical_frame: str, stamp: int) -> Intrinsics | None:
        """The intrinsics of that frame whose announcement is nearest in time; None where the frame has none."""
        runs = [run for run in self._runs if run.optical_frame == optical_frame]
        return min(reversed(runs), key=lambda run: run.distance(stamp)).intrinsics if runs else None

    def optical_frames(self) -> list[str]:
        return sorted({run.optical_frame for run in self._runs})

    def drop_before(self, stamp: int) -> None:
        """Forget what ended before `stamp`, but never the last of a frame: some drivers announce once."""
        latest = {run.optical_frame: run for run in self._runs}
        self._runs = [run for run in self._runs if run.last >= stamp or latest[run.optical_frame] is run]

    def keep_latest(self) -> None:
        """Forget all but the last of each frame."""
        self._runs = list({run.optical_frame: run for run in self._runs}.values())
