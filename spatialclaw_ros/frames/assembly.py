"""From kept images to Frames: camera info by frame id and nearest stamp, pose at the stamp, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from spatialclaw_ros.errors import TransformError
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.camera_ring import CameraRing, KeptFrame
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.poses import FoundPose, PoseSource, TrajectorySource, find_poses
from spatialclaw_ros.frames.snapshot import transforms_of_frames
from spatialclaw_ros.frames.transform_table import Trajectory, TransformTable

BASE_FRAMES = ("base_link", "base_footprint")
"""The robot's own frame, by REP-105 and custom, in order of preference."""

PATH_RATE_HZ = 20.0
"""Samples a second of the robot's path that a snapshot keeps; at 1 m/s two of them are 5 cm apart."""


def frame_without_pose(ring: CameraRing, image: KeptFrame, max_depth_skew: int) -> dict[str, Any]:
    """What the ring itself knows of a frame, as arguments of Frame; called under the ring's lock."""
    intrinsics, intrinsics_note = _intrinsics(ring, image)
    return {
        "camera": ring.name,
        "stamp": image.stamp,
        "color_payload": image.color.payload,
        "depth_payload": None if image.depth is None else image.depth.payload,
        "intrinsics": intrinsics,
        "optical_frame": image.optical_frame,
        "index": image.index,
        "depth_stamp": image.depth_stamp,
        "notes": tuple(note for note in (_depth_note(ring, image, max_depth_skew), intrinsics_note) if note),
    }


def with_poses(known: Sequence[tuple[KeptFrame, dict[str, Any]]], poses: PoseSource, world_frame: str) -> list[Frame]:
    """Frames with their poses, which are asked for outside the ring's lock: a pose source may be slow."""
    found = _find_poses([image for image, _ in known], poses, world_frame)
    frames = []
    for image, fields in known:
        pose = found[image]
        if pose.note:
            fields["notes"] = (*fields["notes"], pose.note)
        frames.append(Frame(**fields, pose=pose.matrix, frame_id=world_frame))
    return frames


def transform_table(frames: Sequence[Frame], poses: PoseSource, world_frame: str) -> TransformTable:
    """The paths of every frame that the pose source knows during the frames' window, else of the cameras alone."""
    paths: dict[str, Trajectory] = dict(transforms_of_frames(frames, world_frame))
    if isinstance(poses, TrajectorySource):
        for frame_id in poses.frame_ids():
            try:
                stamps, matrices = poses.trajectory(
                    frame_id, world_frame, frames[0].stamp, frames[-1].stamp, PATH_RATE_HZ
                )
            except TransformError:
                continue  # a frame of another tree has no path through this world
            if len(stamps) and frame_id != world_frame:
                paths[frame_id] = (stamps, matrices)
    return TransformTable(world_frame, paths)


def pick_base_frame(frames: Sequence[Frame], table: Iterable[str]) -> str:
    """The robot's own frame where nobody named it."""
    known = set(table)
    return next((name for name in BASE_FRAMES if name in known), frames[0].optical_frame)


def _find_poses(images: Sequence[KeptFrame], poses: PoseSource, world_frame: str) -> dict[KeptFrame, FoundPose]:
    """Poses are asked for once per kept frame, all stamps of an optical frame together."""
    found: dict[KeptFrame, FoundPose] = {}
    wanted: dict[str, list[KeptFrame]] = {}
    for image in images:
        if world_frame in image.poses:
            found[image] = FoundPose(image.poses[world_frame])
        else:
            wanted.setdefault(image.optical_frame, []).append(image)
    for optical_frame, group in wanted.items():
        answers = find_poses(poses, optical_frame, world_frame, [image.stamp for image in group])
        for image, pose in zip(group, answers, strict=True):
            found[image] = pose
            if pose.matrix is not None and not pose.note:
                image.poses[world_frame] = pose.matrix
    return found


def _intrinsics(ring: CameraRing, image: KeptFrame) -> tuple[Intrinsics | None, str]:
    intrinsics, note = ring.infos.nearest(image.optical_frame, image.stamp), ""
    if intrinsics is None:
        intrinsics = ring.depth_infos.nearest(image.optical_frame, image.stamp)
        note = "intrinsics are those of the depth's camera info: the picture's own camera announced none"
    if intrinsics is None:
        others = sorted({*ring.infos.optical_frames(), *ring.depth_infos.optical_frames()})
        heard = f"camera info came only for {', '.join(map(repr, others))}" if others else "no camera info came"
        return None, f"no intrinsics: the picture is of frame {image.optical_frame!r}, {heard}"
    size = (image.color.payload.width, image.color.payload.height)
    if (intrinsics.width, intrinsics.height) != size:
        return None, (
            f"no intrinsics: camera info is for {intrinsics.width}x{intrinsics.height}, "
            f"the picture is {size[0]}x{size[1]}"
        )
    return intrinsics, note


def _depth_note(ring: CameraRing, image: KeptFrame, max_depth_skew: int) -> str:
    if image.depth_problem:
        return f"no depth: {image.depth_problem}"
    if image.depth is None and not ring.received["depth"]:
        return f"no depth: no depth image came for camera {ring.name!r}"
    if image.depth is None:
        return f"no depth: no depth image within {max_depth_skew * 1e-6:g} ms of the picture"
    if image.depth is not None and image.depth_frame != image.optical_frame:
        return f"depth is of frame {image.depth_frame!r}, the picture of {image.optical_frame!r}: taken as registered"
    return ""
