"""CameraRing: the kept frames of one camera by stamp, and depth that waits for its colour picture."""

from __future__ import annotations

import bisect
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from spatialclaw_ros.frames.camera_infos import CameraInfoHistory
from spatialclaw_ros.frames.image_errors import DepthSizeError
from spatialclaw_ros.frames.image_files import StoredImage
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.rate import RateGate

Stream = Literal["color", "depth"]
"""Streams whose stamps tell the time; a camera info's may be constant."""
StoreDepth = Callable[["KeptFrame", "WaitingDepth"], "StoredImage | None"]
"""Copies the depth image of a kept frame into shared memory, never evicting that frame; None without room."""

MAX_WAITING = 8
"""Depth images that wait, as the caller's own memory, for their colour picture: a quarter of a second at 30 Hz."""


@dataclass(frozen=True)
class WaitingDepth:
    stamp: int
    payload: ImagePayload
    optical_frame: str
    width: int
    height: int


@dataclass(eq=False)
class KeptFrame:
    """A colour image of the ring with its depth. poses: camera-to-world by world frame, once found."""

    index: int
    stamp: int
    color: StoredImage
    optical_frame: str
    depth: StoredImage | None = None
    depth_stamp: int = 0
    depth_frame: str = ""
    depth_problem: str = ""
    poses: dict[str, np.ndarray] = field(default_factory=dict)

    def images(self) -> list[StoredImage]:
        return [self.color] if self.depth is None else [self.color, self.depth]

    def is_pinned(self) -> bool:
        return any(image.pins for image in self.images())


class CameraRing:
    """The state of one camera; FrameBuffer holds its lock around every call. Stamps and skews are nanoseconds."""

    def __init__(self, name: str, rate_hz: float, max_depth_skew: int) -> None:
        self.name = name
        self.frames: list[KeptFrame] = []
        self.infos = CameraInfoHistory()
        self.depth_infos = CameraInfoHistory()
        self.last: dict[Stream, int] = {}
        self.received: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.evicted: Counter[str] = Counter()
        self._rate_hz = rate_hz
        self._max_depth_skew = max_depth_skew
        self._waiting: deque[WaitingDepth] = deque()
        self.gate = RateGate(rate_hz)

    def forget(self) -> list[KeptFrame]:
        """Start anew after a jump in time; returns the frames that were kept, for their files to be dropped."""
        frames, self.frames = self.frames, []
        self._waiting.clear()
        self.last.clear()
        self.infos.keep_latest()
        self.depth_infos.keep_latest()
        self.gate = RateGate(self._rate_hz)
        return frames

    def add(self, frame: KeptFrame, store: StoreDepth) -> StoredImage | None:
        """Insert a frame by stamp and give it the nearest depth that waits; returns a depth image it had to let go."""
        bisect.insort(self.frames, frame, key=lambda kept: kept.stamp)
        self.kept["color"] += 1
        near = [d for d in self._waiting if abs(d.stamp - frame.stamp) <= self._max_depth_skew]
        if near:
            best = min(near, key=lambda depth: abs(depth.stamp - frame.stamp))
            self._waiting.remove(best)
            return self._attach(frame, best, store)
        return None

    def offer(self, depth: WaitingDepth, store: StoreDepth) -> StoredImage | None:
        """Give a depth image to the kept frame it is nearest to, else let it wait; returns one that it replaced."""
        frame = self._nearest(depth.stamp)
        if frame is not None and self._is_better(depth, frame):
            return self._attach(frame, depth, store)
        self._waiting.append(depth)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.dropped["depth without colour"] += 1
        return None

    def has_stamp(self, stamp: int) -> bool:
        """Whether a frame of exactly this stamp is kept."""
        nearest = self._nearest(stamp)
        return nearest is not None and nearest.stamp == stamp

    def remove(self, frame: KeptFrame, reason: str) -> None:
        self.frames.remove(frame)
        self.evicted[reason] += 1

    def _nearest(self, stamp: int) -> KeptFrame | None:
        at = bisect.bisect_left(self.frames, stamp, key=lambda kept: kept.stamp)
        return min(self.frames[max(0, at - 1) : at + 1], key=lambda kept: abs(kept.stamp - stamp), default=None)

    def _is_better(self, depth: WaitingDepth, frame: KeptFrame) -> bool:
        skew = abs(depth.stamp - frame.stamp)
        return skew <= self._max_depth_skew and (frame.depth is None or skew < abs(frame.depth_stamp - frame.stamp))

    def _attach(self, frame: KeptFrame, depth: WaitingDepth, store: StoreDepth) -> StoredImage | None:
        color = frame.color.payload
        if (depth.width, depth.height) != (color.width, color.height):
            error = DepthSizeError((depth.width, depth.height), (color.width, color.height), depth.payload.source)
            frame.depth_problem = str(error)
            self.dropped[DepthSizeError.__name__] += 1
            return None
        image = store(frame, depth)
        if image is None:
            frame.depth_problem = "no room in shared memory for its depth image"
            return None
        replaced, frame.depth = frame.depth, image
        frame.depth_stamp, frame.depth_frame, frame.depth_problem = depth.stamp, depth.optical_frame, ""
        self.kept["depth"] += replaced is None
        return replaced
