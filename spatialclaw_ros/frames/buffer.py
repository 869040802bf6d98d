"""FrameBuffer: the shared-memory ring of what the cameras saw last, one copy per kept image."""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from spatialclaw_ros.errors import BadGoal, ErrorCode, ImageError, NoFrames
from spatialclaw_ros.frames.assembly import frame_without_pose, pick_base_frame, transform_table, with_poses
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.camera_ring import CameraRing, KeptFrame, Stream, WaitingDepth
from spatialclaw_ros.frames.decode import check_payload
from spatialclaw_ros.frames.image_files import ImageFiles, SharedMemoryFull, StoredImage
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.poses import PoseSource
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.store import FrameStore

JUMP_BACK_NS = 1_000_000_000
"""A stamp this much older than the newest of its own stream means that time began again (a bag that loops)."""


class FrameBuffer:
    """Keeps, per camera, `seconds` of images at `rate_hz` (0 = all), never above `max_bytes`; oldest go first.

    folder: where the files go, one per image; without it a FrameStore of its own is made and removed on close.
    max_depth_skew: seconds between a colour image and the depth image that belongs to it.
    Thread-safe. An image that rate_hz drops is dropped before its bytes are looked at; a depth image is copied only
    when a kept colour image claims it. Until then (a quarter of a second at most) the caller's memory is referred to,
    so it must not be written to again; messages of rclpy and rosbags are not. Indices count kept colour images over
    all cameras from 0, and begin anew when a backward jump in time clears the ring (`generation` counts those).
    """

    def __init__(
        self,
        folder: Path | None = None,
        seconds: float = 30.0,
        rate_hz: float = 5.0,
        max_bytes: int = 1 << 30,
        max_depth_skew: float = 0.02,
    ) -> None:
        self._store: FrameStore | None = None
        if folder is None:
            self._store = FrameStore()
            folder = self._store.make_folder("ring")
        self._folder = folder
        self._files = ImageFiles(folder)
        self._seconds = seconds
        self._rate_hz = rate_hz
        self._max_bytes = max_bytes
        self._max_depth_skew = round(max_depth_skew * 1e9)
        self._lock = threading.RLock()
        self._rings: dict[str, CameraRing] = {}
        self._next_index = 0
        self._unpinned: deque[StoredImage] = deque()
        self._closed = False
        self.generation = 0

    def add_color(self, camera: str, stamp_ns: int, payload: ImagePayload, optical_frame: str) -> ImagePayload | None:
        """Offer a colour image. Returns the kept payload (a read-only map of shared memory), None where it is dropped.

        Raises: ColorEncodingError, ImageLayoutError, CompressedDataError; each is counted under its name in `stats`.
        """
        with self._lock:
            ring = self._receive(camera, "color", stamp_ns)
            reason = self._reason_to_drop(ring, stamp_ns)
            if reason:
                ring.dropped[reason] += 1
                return None
            width, height = self._checked(ring, payload, depth=False)
            image = self._store_image(ring, payload, "color", width, height)
            if image is None:
                return None
            ring.gate.keep(stamp_ns)
            frame = KeptFrame(self._next_index, stamp_ns, image, optical_frame)
            self._next_index += 1
            self._drop(ring.add(frame, partial(self._store_depth, ring)))
            self._evict_old(ring)
            return image.payload

    def add_depth(self, camera: str, stamp_ns: int, payload: ImagePayload, optical_frame: str) -> None:
        """Offer a depth image: kept when it is the nearest to a kept colour image of its camera.

        Raises: DepthEncodingError, ImageLayoutError, CompressedDataError; each is counted under its name in `stats`.
        """
        with self._lock:
            ring = self._receive(camera, "depth", stamp_ns)
            if self._closed:
                return
            depth = WaitingDepth(stamp_ns, payload, optical_frame, *self._checked(ring, payload, depth=True))
            self._drop(ring.offer(depth, partial(self._store_depth, ring)))

    def add_camera_info(
        self, camera: str, stamp_ns: int, intrinsics: Intrinsics, optical_frame: str, of_depth: bool = False
    ) -> None:
        """Remember intrinsics for the pictures of `optical_frame` around this stamp.

        of_depth: they came with the depth images; they count for a picture only where its own camera announced none.
        Some drivers stamp every camera info alike (with 0, even): no jump in time is read from them.
        """
        with self._lock:
            ring = self._ring(camera)
            ring.received["depth_camera_info" if of_depth else "camera_info"] += 1
            infos = ring.depth_infos if of_depth else ring.infos
            infos.add(stamp_ns, intrinsics, optical_frame)
            infos.drop_before(stamp_ns - round(self._seconds * 1e9))

    def count_refused(self, camera: str, error: Exception) -> None:
        """Count a message that could not even be offered (a CameraInfo without focal length) under its error's name."""
        with self._lock:
            self._ring(camera).dropped[type(error).__name__] += 1

    def clear(self) -> None:
        """Forget every image; pinned ones stay for their snapshots. Indices begin anew at 0."""
        with self._lock:
            for ring in self._rings.values():
                for frame in ring.forget():
                    self._drop(*frame.images())
            self._next_index = 0
            self.generation += 1

    def close(self) -> None:
        """Remove every file; snapshots' frames stay mapped. Images offered afterwards are dropped."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.clear()
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._store is not None:
            self._store.close()

    def stats(self) -> dict[str, dict[str, Any]]:
        """Per camera: received and kept by stream, dropped and evicted by reason, frames, last stamp (ns), bytes."""
        with self._lock:
            self._settle()
            return {
                name: {
                    "received": dict(ring.received),
                    "kept": dict(ring.kept),
                    "dropped": dict(ring.dropped),
                    "evicted": dict(ring.evicted),
                    "frames": len(ring.frames),
                    "last_stamp": max(ring.last.values(), default=0),
                    "bytes": sum(image.size for frame in ring.frames for image in frame.images()),
                }
                for name, ring in self._rings.items()
            }

    @property
    def bytes(self) -> int:
        """Bytes of shared memory that the ring and its snapshots hold."""
        with self._lock:
            self._settle()
            return self._files.bytes

    def snapshot(
        self,
        cameras: Sequence[str],
        start_ns: int,
        end_ns: int,
        poses: PoseSource,
        world_frame: str,
        base_frame: str = "",
        gravity_aligned: bool = True,
    ) -> Snapshot:
        """Pin every kept frame of a window and find its pose, intrinsics and depth.

        cameras: names, empty = all. end_ns 0 = the newest frame; start_ns 0 = `seconds` before the end.
        base_frame: "" = base_link or base_footprint where known, else the first camera's optical frame.
        Raises: NoFrames, which says what the ring holds; BadGoal where the window ends before it begins.
        """
        if start_ns and end_ns and end_ns < start_ns:
            message = f"the time window ends at {end_ns * 1e-9:.3f} s, before it begins at {start_ns * 1e-9:.3f} s"
            raise BadGoal(ErrorCode.BAD_TIME_WINDOW, message)
        with self._lock:
            rings = [ring for name, ring in self._rings.items() if not cameras or name in cameras]
            newest = max((ring.frames[-1].stamp for ring in rings if ring.frames), default=0)
            end = end_ns or newest
            start = start_ns or end - round(self._seconds * 1e9)
            chosen = [(ring, frame) for ring in rings for frame in ring.frames if start <= frame.stamp <= end]
            if not chosen:
                raise NoFrames(self._why_empty(cameras, start_ns, end_ns))
            chosen.sort(key=lambda pair: pair[1].stamp)
            pinned = [image for _, frame in chosen for image in frame.images()]
            for image in pinned:
                image.pins += 1
            known = [(frame, frame_without_pose(ring, frame, self._max_depth_skew)) for ring, frame in chosen]
        try:
            frames = with_poses(known, poses, world_frame)
            table = transform_table(frames, poses, world_frame)
        except BaseException:
            self._unpin(pinned)
            raise
        base = base_frame or pick_base_frame(frames, table)
        return Snapshot(frames, table, gravity_aligned, base, release=lambda: self._unpin(pinned))

    def _ring(self, camera: str) -> CameraRing:
        if camera not in self._rings:
            self._rings[camera] = CameraRing(camera, self._rate_hz, self._max_depth_skew)
        return self._rings[camera]

    def _receive(self, camera: str, stream: Stream, stamp: int) -> CameraRing:
        """Count a message and clear the ring where its stream's time jumped back."""
        self._settle()
        ring = self._ring(camera)
        ring.received[stream] += 1
        if stamp < ring.last.get(stream, stamp) - JUMP_BACK_NS:
            self.clear()
        ring.last[stream] = max(stamp, ring.last.get(stream, stamp))
        return ring

    def _reason_to_drop(self, ring: CameraRing, stamp: int) -> str:
        if self._closed:
            return "closed"
        if ring.has_stamp(stamp):
            return "repeated stamp"
        return "" if ring.gate.is_due(stamp) else "rate"

    def _checked(self, ring: CameraRing, payload: ImagePayload, depth: bool) -> tuple[int, int]:
        try:
            return check_payload(payload, depth)
        except ImageError as error:
            ring.dropped[type(error).__name__] += 1
            raise

    def _store_depth(self, ring: CameraRing, frame: KeptFrame, depth: WaitingDepth) -> StoredImage | None:
        return self._store_image(ring, depth.payload, "depth", depth.width, depth.height, spared=frame)

    def _store_image(
        self,
        ring: CameraRing,
        payload: ImagePayload,
        kind: str,
        width: int,
        height: int,
        spared: KeptFrame | None = None,
    ) -> StoredImage | None:
        """Copy an image into shared memory, evicting the oldest for it, but never `spared`, the frame it belongs to.

        Returns: None where pinned frames, or that frame alone, leave no room.
        """
        size = payload.data.nbytes
        while self._files.bytes + size <= self._max_bytes or self._evict_oldest("bytes", size, spared):
            if self._files.bytes + size > self._max_bytes:
                continue
            try:
                return self._files.write(payload, kind, width, height)
            except SharedMemoryFull:
                if not self._evict_oldest("shared memory full", size, spared):
                    ring.dropped["shared memory full"] += 1
                    return None
        ring.dropped["bytes"] += 1
        return None

    def _evict_oldest(self, reason: str, size: int, spared: KeptFrame | None) -> bool:
        """Drop the oldest frame of all cameras that is neither pinned nor `spared`; False without one that helps."""
        if size > self._max_bytes:
            return False
        oldest: tuple[CameraRing, KeptFrame] | None = None
        for ring in self._rings.values():
            free = next((each for each in ring.frames if each is not spared and not each.is_pinned()), None)
            if free is not None and (oldest is None or free.stamp < oldest[1].stamp):
                oldest = (ring, free)
        if oldest is None:
            return False
        oldest[0].remove(oldest[1], reason)
        self._drop(*oldest[1].images())
        return True

    def _evict_old(self, ring: CameraRing) -> None:
        limit = ring.frames[-1].stamp - round(self._seconds * 1e9)
        while ring.frames[0].stamp < limit:
            frame = ring.frames[0]
            ring.remove(frame, "seconds")
            self._drop(*frame.images())

    def _drop(self, *images: StoredImage | None) -> None:
        for image in images:
            if image is not None:
                self._files.drop(image)

    def _unpin(self, images: list[StoredImage]) -> None:
        """Called by a snapshot, perhaps from the garbage collector in the middle of anything: only note it there."""
        self._unpinned.extend(images)
        if self._lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._lock.release()

    def _settle(self) -> None:
        while self._unpinned:
            self._files.unpin(self._unpinned.popleft())

    def _why_empty(self, cameras: Sequence[str], start: int, end: int) -> str:
        asked = f"{', '.join(cameras) or 'any camera'} from {start * 1e-9:.3f} s to {end * 1e-9:.3f} s (0 = open)"
        held = [
            f"{ring.name} {len(ring.frames)} frames from {ring.frames[0].stamp * 1e-9:.3f} s to "
            f"{ring.frames[-1].stamp * 1e-9:.3f} s"
            if ring.frames
            else f"{ring.name} no frame ({dict(ring.received) or 'nothing'} received, dropped {dict(ring.dropped)})"
            for ring in self._rings.values()
        ]
        return f"no frame of {asked}; the buffer holds: {'; '.join(held) or 'nothing, no image has come yet'}"
