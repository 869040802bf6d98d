"""A recording (rosbag2, MCAP or SQLite) as a Snapshot, without ROS."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatialclaw_ros.errors import CameraInfoError, ImageError, NoFrames, RecordingError, TransformError
from spatialclaw_ros.frames import messages
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.camera_topics import CameraTopics, camera_info_beside, find_cameras
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.transforms import TransformBuffer

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import Connection

__all__ = ["CameraTopics", "frames_from_bag"]

_FOREVER = 1e9
"""Seconds that a recording's buffers keep: 31 years."""

_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
_TF_TYPE = "tf2_msgs/msg/TFMessage"
_ODOMETRY_TYPE = "nav_msgs/msg/Odometry"
_EXPECTED = "a rosbag2 folder (metadata.yaml beside .mcap or .db3 files), or one .mcap or .db3 file"
_SUFFIXES = (".mcap", ".db3", ".bag")
_MOST_FILES = 20
"""Files of a folder that an error names."""
_log = logging.getLogger(__name__)

Handler = Callable[[Any], None]


def frames_from_bag(
    path: str | Path,
    cameras: Mapping[str, CameraTopics] | None = None,
    rate_hz: float = 0,
    world_frame: str = "odom",
    gravity_aligned: bool = True,
    base_frame: str = "",
    max_depth_skew: float = 0.02,
) -> Snapshot:
    """Read every colour frame of a recording (at most `rate_hz` a second, 0 = all) with depth, intrinsics and pose.

    path: the folder with metadata.yaml, or a bare .mcap or .db3 file. cameras: name → topics (a camera_info that is not
    named is the one beside the colour topic); where none are given, they are found by message type, encoding and name.
    Poses come from /tf, /tf_static and odometry. Indices count from 0 in order of recording. The images lie in shared
    memory until the snapshot is released or gone.
    Raises: RecordingError where the recording is missing, cut off or lacks a topic; it names the topics that are there.
    """
    path = Path(path)
    with open_recording(path) as reader:
        chosen = _with_camera_infos(reader, cameras) if cameras else _find_cameras(reader, path)
        _check_topics(reader, path, chosen)
        buffer = FrameBuffer(seconds=_FOREVER, rate_hz=rate_hz, max_bytes=sys.maxsize, max_depth_skew=max_depth_skew)
        poses = TransformBuffer(seconds=_FOREVER)
        refused = _feed(reader, buffer, poses, chosen)
    _warn(path, refused)
    _check_whole(path, buffer)
    try:
        return buffer.snapshot([], 0, 0, poses, world_frame, base_frame, gravity_aligned)
    except NoFrames as error:
        raise RecordingError(f"{path}: {error}; refused: {dict(refused) or 'nothing'}") from error


@contextmanager
def open_recording(path: Path) -> Iterator[AnyReader]:
    """Open a recording; whatever goes wrong while it is read becomes a RecordingError that says what is there."""
    from rosbags.highlevel import AnyReader  # optional, and only recordings need it
    from rosbags.typesys import Stores, get_typestore

    if not path.exists():
        raise RecordingError(f"{path} does not exist; expected {_EXPECTED}")
    _check_is_recording(path)
    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
            yield reader
    except (RecordingError, MemoryError):
        raise
    except Exception as error:  # rosbags has no common base error, and a damaged file raises anything
        raise RecordingError(
            f"{path} cannot be read ({type(error).__name__}: {error}); it holds {_inventory(path)}. A recording that "
            f"was cut off can be repaired with `mcap recover` or `ros2 bag reindex`"
        ) from error


def _check_is_recording(path: Path) -> None:
    """Raises: RecordingError for a file or folder that never was a recording, or lacks the folder's metadata.yaml."""
    if path.is_dir() and not (path / "metadata.yaml").exists():
        parts = sorted(file.name for file in path.iterdir() if file.suffix in _SUFFIXES)
        advice = (
            f"give one of its files ({', '.join(parts[:_MOST_FILES])}), or write its metadata.yaml with "
            f"`ros2 bag reindex {path}`"
            if parts
            else f"expected {_EXPECTED}"
        )
        raise RecordingError(f"{path} is a folder without metadata.yaml; it holds {_inventory(path)}; {advice}")
    if path.is_file() and path.suffix not in _SUFFIXES:
        raise RecordingError(f"{path} is no recording by its name; expected {_EXPECTED}")


def _inventory(path: Path) -> str:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    said = [f"{file.name} ({file.stat().st_size} bytes)" for file in files[:_MOST_FILES]]
    if len(files) > _MOST_FILES:
        said.append(f"{len(files) - _MOST_FILES} more")
    return ", ".join(said) or "no file"


def _find_cameras(reader: AnyReader, path: Path) -> dict[str, CameraTopics]:
    encodings = {}
    for connection in reader.connections:
        if connection.msgtype in _IMAGE_TYPES and connection.topic not in encodings:
            for _, _, raw in reader.messages([connection]):
                message: Any = reader.deserialize(raw, connection.msgtype)
                encodings[connection.topic] = getattr(message, "format", None) or message.encoding
                break
    infos = {connection.topic for connection in reader.connections if connection.msgtype == _INFO_TYPE}
    cameras = find_cameras(encodings, sorted(infos))
    if not cameras:
        raise RecordingError(f"{path} has no colour image topic; its topics: {_topics(reader.connections)}")
    return cameras


def _with_camera_infos(reader: AnyReader, cameras: Mapping[str, CameraTopics]) -> dict[str, CameraTopics]:
    """The cameras, with the CameraInfo that lies beside a colour topic where none is named and the recording has it."""
    infos = {connection.topic for connection in reader.connections if connection.msgtype == _INFO_TYPE}
    chosen = dict(cameras)
    for name, camera in cameras.items():
        beside = camera_info_beside(camera.color)
        if not camera.camera_info and beside in infos:
            chosen[name] = replace(camera, camera_info=beside)
    return chosen


def _check_topics(reader: AnyReader, path: Path, cameras: Mapping[str, CameraTopics]) -> None:
    there = {connection.topic: connection.msgtype for connection in reader.connections}
    for name, camera in cameras.items():
        wanted = (
            (camera.color, _IMAGE_TYPES),
            (camera.depth, _IMAGE_TYPES),
            (camera.camera_info, (_INFO_TYPE,)),
            (camera.depth_camera_info, (_INFO_TYPE,)),
        )
        for topic, types in wanted:
            if topic and there.get(topic) not in types:
                found = f"is {there[topic]}" if topic in there else "is not in it"
                raise RecordingError(
                    f"{path}: topic {topic!r} of camera {name!r} {found}; expected {' or '.join(types)}. "
                    f"Its topics: {_topics(reader.connections)}"
                )


def _topics(connections: Iterable[Connection]) -> str:
    return ", ".join(f"{c.topic} ({c.msgtype}, {c.msgcount})" for c in connections) or "none"


def _feed(
    reader: AnyReader, buffer: FrameBuffer, poses: TransformBuffer, cameras: Mapping[str, CameraTopics]
) -> Counter[str]:
    """Pass on every message that matters; returns how often each topic was refused, with the first reason."""
    handlers = _handlers(buffer, cameras)
    refused: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    wanted = [c for c in reader.connections if c.topic in handlers or c.msgtype in (_TF_TYPE, _ODOMETRY_TYPE)]
    for connection, _, raw in reader.messages(wanted):
        message = reader.deserialize(raw, connection.msgtype)
        try:
            if connection.msgtype == _TF_TYPE:
                messages.add_transforms(poses, message, connection.topic.endswith("tf_static"))
            elif connection.msgtype == _ODOMETRY_TYPE:
                messages.add_odometry(poses, message)
            else:
                for handle in handlers[connection.topic]:
                    handle(message)
        except (ImageError, CameraInfoError, TransformError) as error:
            refused[reasons.setdefault(connection.topic, f"{connection.topic} ({type(error).__name__}: {error})")] += 1
    return refused


def _handlers(buffer: FrameBuffer, cameras: Mapping[str, CameraTopics]) -> dict[str, list[Handler]]:
    handlers: dict[str, list[Handler]] = {}
    for name, topics in cameras.items():
        frame = topics.optical_frame
        handlers.setdefault(topics.color, []).append(_image_handler(buffer.add_color, name, topics.color, frame))
        if topics.depth:
            handlers.setdefault(topics.depth, []).append(_image_handler(buffer.add_depth, name, topics.depth, frame))
        for info, pictures, of_depth in (
            (topics.camera_info, topics.color, False),
            (topics.depth_camera_info, topics.depth, True),
        ):
            if info:
                add = partial(buffer.add_camera_info, of_depth=of_depth)
                handlers.setdefault(info, []).append(_info_handler(add, name, info, pictures, frame))
    return handlers


def _image_handler(add: Callable[..., Any], camera: str, topic: str, frame: str) -> Handler:
    def handle(message: Any) -> None:
        stamp = messages.stamp_ns(message.header.stamp)
        add(camera, stamp, messages.image_payload(message, topic), frame or message.header.frame_id)

    return handle


def _info_handler(add: Callable[..., None], camera: str, topic: str, pictures: str, frame: str) -> Handler:
    rectified = messages.is_rectified(pictures)

    def handle(message: Any) -> None:
        intrinsics = messages.intrinsics_from_info(message, topic, rectified)
        stamp = messages.stamp_ns(message.header.stamp)
        add(camera, stamp, intrinsics, frame or message.header.frame_id)

    return handle


def _warn(path: Path, refused: Counter[str]) -> None:
    for reason, count in refused.items():
        _log.warning("%s: %d messages refused of %s", path, count, reason)


def _check_whole(path: Path, buffer: FrameBuffer) -> None:
    """Raises: RecordingError where the ring could not keep the whole recording."""
    if buffer.generation:
        raise RecordingError(f"{path}: its stamps jump back by more than 1 s: it holds several runs; split it by time")
    for name, stats in buffer.stats().items():
        if stats["evicted"] or "shared memory full" in stats["dropped"]:
            raise RecordingError(
                f"{path}: camera {name!r} does not fit into shared memory ({stats['bytes']} bytes kept); "
                f"choose a rate_hz, or give /dev/shm more room"
            )
