"""tools.Reconstruct: depth, poses and points of frames in one metric world, from the sensor's depth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.workbench.backproject import (
    depth_damage,
    fill_holes,
    measured,
    pixel_rays,
    scaled_matrix,
    transform,
)
from spatialclaw_ros.workbench.bench import Bench
from spatialclaw_ros.workbench.bev import render_bev
from spatialclaw_ros.workbench.errors import ToolError
from spatialclaw_ros.workbench.images import FrameImage, as_images, index_list
from spatialclaw_ros.workbench.world import World, estimate_world, world_to_reconstruction


class FrameSeries(Mapping):
    """One array per frame, made on first use, looked up by absolute frame index (item.frame_index)."""

    def __init__(self, name: str, indices: list[int], load: Callable[[int], np.ndarray], meaning: str) -> None:
        self._name, self._indices, self._load, self._meaning = name, indices, load, meaning
        self._loaded: dict[int, np.ndarray] = {}

    def __getitem__(self, frame_index: Any) -> np.ndarray:
        index = frame_key(frame_index)
        if index not in self._loaded:
            if index not in self._indices:
                raise KeyError(
                    f"{self._name}[{index}]: no such frame here; valid frame indices: {index_list(self._indices)}"
                )
            self._loaded[index] = self._load(index)
        return self._loaded[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __repr__(self) -> str:
        return f"{self._name}[frame_index] -> {self._meaning}; frame indices {index_list(self._indices)}"


class PointMaps(FrameSeries):
    """(H, W, 3) float32 points per frame; `confidence` has an (H, W) float32 map per frame, 1 measured, 0 filled in."""

    confidence: FrameSeries


class Reconstruction:
    """Frames in one metric world: +Y up, the floor near Y = 0, the first camera above the origin, looking to -Z (so +X
    is its right).

    All lookups take an absolute frame index: depth[fi] (H, W) float32 metres, NaN where unknown; extrinsics[fi] (4, 4)
    camera (x right, y down, z forward) to this world; intrinsics[fi] (3, 3) K; points[fi] (H, W, 3) float32 metres,
    finite everywhere; points.confidence[fi] (H, W), 0 where the depth was a hole. gravity_direction: (3,) unit vector.
    frame_indices, num_frames, is_metric (True), source ('sensor depth'), notes.
    Another first frame makes another world: compare across reconstructions in a ROS frame (to_ros_frame).
    """

    is_metric = True
    source = "sensor depth"

    def __init__(self, frames: list[Frame], world: World, world_frame: str, notes: Iterable[str], bench: Bench) -> None:
        self._frames = {frame.index: frame for frame in frames}
        self._bench = bench
        self._from_world = world_to_reconstruction(world, measured(frames[0])[2])
        self.world_frame = world_frame
        self.frame_indices = list(self._frames)
        self.gravity_direction = np.array([0.0, -1.0, 0.0])
        self.notes = tuple(notes)
        indices = self.frame_indices
        self.depth = FrameSeries("depth", indices, self._depth, "(H, W) float32 m, NaN where unknown")
        self.extrinsics = FrameSeries("extrinsics", indices, self._extrinsics, "(4, 4) camera to world")
        self.intrinsics = FrameSeries("intrinsics", indices, self._intrinsics, "(3, 3) K")
        self.points = PointMaps("points", indices, self._points, "(H, W, 3) float32 m, +Y up")
        self.points.confidence = FrameSeries(
            "points.confidence", indices, self._confidence, "(H, W) float32, 0 in holes"
        )

    @property
    def num_frames(self) -> int:
        return len(self.frame_indices)

    def to_ros_frame(self, points: Any, frame: str | None = None) -> np.ndarray:
        """Points (..., 3) of this world in a ROS frame (None = the fixed world frame), with shape kept, metres.

        A frame that moves is taken at the last frame's stamp. Raises: ToolError for an unknown frame.
        """
        in_world = transform(np.linalg.inv(self._from_world), np.asarray(points, np.float64))
        if frame in (None, "", self.world_frame):
            return in_world
        return self._bench.robot.transform(in_world, self.world_frame, frame, self._last_stamp())

    def from_ros_frame(self, points: Any, frame: str | None = None) -> np.ndarray:
        """The inverse of to_ros_frame."""
        points = np.asarray(points, np.float64)
        if frame not in (None, "", self.world_frame):
            points = self._bench.robot.transform(points, frame, self.world_frame, self._last_stamp())
        return transform(self._from_world, points)

    def camera_position(self, frame_index: int) -> np.ndarray:
        """(3,) metres: where the camera of that frame was."""
        return self.extrinsics[frame_index][:3, 3].copy()

    def render_bev(self, frames: Any = None, size: int = 512, height_range: tuple[float, float] | None = None) -> Any:
        """A top-down picture (PIL): -Z up, +X right, with cameras and a 1 m bar.

        frames: indices to draw (None = at most 12). height_range: (low, high) metres of Y to keep.
        """
        return render_bev(self, frames, size, height_range)

    def item(self, frame_index: Any) -> Frame:
        """The frame record behind an index. Raises: KeyError that lists the valid ones."""
        index = frame_key(frame_index)
        if index not in self._frames:
            raise KeyError(
                f"frame {index} is not in this reconstruction; valid frame indices: {index_list(self.frame_indices)}"
            )
        return self._frames[index]

    def _last_stamp(self) -> float:
        return max(frame.stamp for frame in self._frames.values()) / 1e9

    def _depth(self, index: int) -> np.ndarray:
        return measured(self._frames[index])[0]

    def _extrinsics(self, index: int) -> np.ndarray:
        return self._from_world @ measured(self._frames[index])[2]

    def _intrinsics(self, index: int) -> np.ndarray:
        depth, intrinsics, _ = measured(self._frames[index])
        return scaled_matrix(intrinsics, depth.shape[1], depth.shape[0])

    def _points(self, index: int) -> np.ndarray:
        raw, intrinsics, _ = measured(self._frames[index])
        depth, _ = fill_holes(raw)
        rays = pixel_rays(intrinsics, depth.shape[1], depth.shape[0])
        return transform(self.extrinsics[index], rays * depth[..., None])

    def _confidence(self, index: int) -> np.ndarray:
        depth = self.depth[index]
        return (np.isfinite(depth) & (depth > 0)).astype(np.float32)

    def __repr__(self) -> str:
        notes = f"; {'; '.join(self.notes)}" if self.notes else ""
        return (
            f"Reconstruction: {self.num_frames} frames (indices {index_list(self.frame_indices)}), metric, from "
            f"{self.source}, "
            f"world +Y up with the floor at Y=0 and camera {self.frame_indices[0]} looking to -Z, poses from "
            f"'{self.world_frame}'{notes}"
        )


class ReconstructTool:
    """3D of frames: metric, from the sensor's depth and the recorded poses."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def Reconstruct(self, frames: Any = None, frame_indices: Any = None) -> Reconstruction:
        """Put frames into one metric world.

        frames: items of InputImages, a list of them, or one (None = all). frame_indices: absolute indices, instead of
        or to choose among `frames`. Frames without sound depth, intrinsics or pose are left out with a note.
        Raises: ToolError when no frame is usable; KeyError for an unknown index.
        """
        self._bench.tool_calls += 1
        chosen = self._chosen(frames, frame_indices)
        usable, notes = _usable(chosen)
        for note in notes:
            self._bench.note(f"Reconstruct: {note}")
        return Reconstruction(
            usable, self._world(usable), self._bench.world_frame, [*notes, *self._world(usable).notes], self._bench
        )

    __call__ = Reconstruct

    def _chosen(self, frames: Any, frame_indices: Any) -> list[Frame]:
        images = self._bench.images if frames is None else as_images(frames)
        for image in images:
            if not isinstance(image, FrameImage):
                raise ToolError(
                    "Reconstruct needs frames (items of InputImages), got a "
                    f"{type(image).__name__}: a crop or an array has "
                    f"no depth and pose of its own"
                )
        records = {image.frame_index: image.frame for image in images}
        if frame_indices is not None:
            wanted = [frame_key(i) for i in np.atleast_1d(np.asarray(frame_indices, object)).tolist()]
            known = {image.frame_index: image.frame for image in self._bench.images} | records
            missing = [i for i in wanted if i not in known]
            if missing:
                raise KeyError(f"no frames with indices {missing}; valid frame indices: {index_list(known)}")
            records = {i: known[i] for i in wanted}
        if not records:
            raise ToolError("Reconstruct got no frames")
        return list(records.values())

    def _world(self, usable: list[Frame]) -> World:
        """Up and floor, estimated once per goal from all its frames, so that every reconstruction agrees on them."""
        if self._bench.world is None:
            everything = [image.frame for image in self._bench.images if not _lacks(image.frame)]
            aligned = bool(getattr(self._bench.manifest, "gravity_aligned", True))
            sound = any(not depth_damage(frame) for frame in everything)
            self._bench.world = estimate_world(everything if sound else usable, aligned)
        return self._bench.world


def frame_key(frame: Any) -> int:
    """The absolute index of a frame given as an index or as an item. Raises: KeyError."""
    if isinstance(frame, FrameImage):
        return frame.frame_index
    if isinstance(frame, (int, np.integer)) and not isinstance(frame, bool):
        return int(frame)
    raise KeyError(
        f"expected a frame index (int) or an item of InputImages, got {type(frame).__name__} {str(frame)[:40]!r}"
    )


def _lacks(frame: Frame) -> str:
    """What a frame needs for 3D and does not have; "" when it is usable."""
    if frame.depth_payload is None:
        return "depth"
    if frame.intrinsics is None:
        return "intrinsics"
    return "pose" if frame.pose is None else ""


def _usable(frames: list[Frame]) -> tuple[list[Frame], list[str]]:
    """Frames that can be put into one world, and why the others cannot. Raises: ToolError when none can."""
    lacking: dict[str, list[int]] = {}
    usable = []
    for frame in frames:
        missing = _lacks(frame)
        if missing in ("", "pose") and depth_damage(frame):
            missing = "sound depth"
        if missing:
            lacking.setdefault(missing, []).append(frame.index)
        else:
            usable.append(frame)
    notes = [f"left out for want of {what}: frames {index_list(which)}" for what, which in lacking.items()]
    if not usable and len(frames) == 1 and list(lacking) == ["pose"]:
        return [replace(frames[0], pose=np.eye(4))], [
            "this frame has no pose: the world is the camera's own, level as the camera is"
        ]
    if not usable:
        detail = next(
            (detail for frame in frames for detail in (depth_damage(frame), *reversed(frame.notes)) if detail), ""
        )
        raise ToolError(
            f"no frame can be reconstructed: {'; '.join(notes)}.{' ' + detail if detail else ''} Sensor depth, "
            "camera_info and a pose are "
            f"needed; try other frames, or reason on the pictures alone (vlm.ask_with_thinking, tools.SAM3)"
        )
    return usable, notes
