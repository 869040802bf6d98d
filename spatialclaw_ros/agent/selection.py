"""Which frames a query is about: those given, those of the session before, and of them the asked cameras and window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.agent.sessions import Session
from spatialclaw_ros.config import WorldConfig
from spatialclaw_ros.errors import NoFrames
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.snapshot import Snapshot


def session_snapshot(
    frames: Sequence[Frame] | Snapshot | None, session: Session | None, world: WorldConfig
) -> Snapshot:
    """The snapshot of a library call.

    frames: None or the very frames of the session's last question = its snapshot again. Other frames without an index
    are numbered on from the session's highest, so that an index keeps its meaning for variables made from it.
    Raises: NoFrames for None without a session that has some, and for an empty list.
    """
    if isinstance(frames, Snapshot):
        return frames
    last = session.snapshot if session is not None else None
    if frames is None:
        if last is None:
            raise NoFrames(
                "no frames were given, and no earlier question with this session_id has any; pass frames=[...]"
            )
        return last
    if not frames:
        raise NoFrames("frames is an empty list; pass at least one Frame (Frame.from_files, frames_from_bag)")
    if last is not None and _same(frames, last):
        return last
    first = 1 + max(session.frames, default=-1) if session is not None else 0
    ordered = sorted(frames, key=lambda frame: frame.stamp)
    numbered = [
        replace(frame, index=first + place) if frame.index < 0 else frame for place, frame in enumerate(ordered)
    ]
    return Snapshot.from_frames(numbered, _world_frame(frames, world), world.gravity_aligned)


def window(snapshot: Snapshot, query: Query) -> Snapshot:
    """The frames of the asked cameras with stamps in [start_time, end_time]; the snapshot itself where that is all."""
    kept = [
        frame
        for frame in snapshot.frames
        if (not query.cameras or frame.camera in query.cameras)
        and frame.stamp >= query.start_time
        and (not query.end_time or frame.stamp <= query.end_time)
    ]
    if len(kept) == len(snapshot):
        return snapshot
    return Snapshot(kept, snapshot.transforms, snapshot.gravity_aligned, snapshot.base_frame)


def _same(frames: Sequence[Frame], snapshot: Snapshot) -> bool:
    payloads = {id(frame.color_payload) for frame in snapshot.frames}
    return len(frames) == len(snapshot) and all(id(frame.color_payload) in payloads for frame in frames)


def _world_frame(frames: Sequence[Frame], world: WorldConfig) -> str:
    """The frame that the poses are in, if all that have one agree; else the configured one."""
    names = {frame.frame_id for frame in frames if frame.pose is not None}
    return names.pop() if len(names) == 1 else world.fixed_frame
