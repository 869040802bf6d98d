"""Which frames a query is about: those given, those of the session before, and of them the asked cameras and window."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.agent.session import Session
from spatialclaw_ros.config import WorldConfig
from spatialclaw_ros.errors import NoFrames, RecordingError
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.snapshot import Snapshot


def session_snapshot(
    frames: Sequence[Frame] | Snapshot | None, session: Session | None, world: WorldConfig, why_lost: str = ""
) -> Snapshot:
    """The snapshot of a library call.

    frames: None or the very frames of the session's last question = its snapshot again. Other frames without an index
    are numbered on from the session's highest, so that an index keeps its meaning for variables made from it.
    why_lost: the reason, where the session's kernel and with it its frames are gone.
    Raises: NoFrames for None without a session that has some, and for an empty list; RecordingError for what is no
    list of frames, and for two frames with one index.
    """
    if isinstance(frames, Snapshot):
        return frames
    last = session.snapshot if session is not None else None
    if frames is None:
        if last is None:
            gone = f"those of this session went with its kernel ({why_lost})" if why_lost else ""
            none = gone or "no earlier question with this session_id has any"
            raise NoFrames(f"no frames were given, and {none}; pass frames=[...]")
        return last
    _check_frames(frames)
    if not frames:
        raise NoFrames("frames is an empty list; pass at least one Frame (Frame.from_files, frames_from_bag)")
    if last is not None and _same(frames, last):
        return last
    first = 1 + max(session.frames, default=-1) if session is not None else 0
    taken = {frame.index for frame in frames}
    free = (number for number in itertools.count(first) if number not in taken)
    ordered = sorted(frames, key=lambda frame: frame.stamp)
    numbered = [replace(frame, index=next(free)) if frame.index < 0 else frame for frame in ordered]
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


def _check_frames(frames: Sequence[Frame]) -> None:
    hint = "pass a list of Frame (Frame.from_files(...)) or a Snapshot (frames_from_bag(...))"
    if isinstance(frames, (str, bytes)) or not isinstance(frames, Sequence):
        raise RecordingError(f"frames is {frames!r:.80} ({type(frames).__name__}); {hint}")
    for place, frame in enumerate(frames):
        if not isinstance(frame, Frame):
            raise RecordingError(f"frames[{place}] is {frame!r:.80} ({type(frame).__name__}); {hint}")
    counts = Counter(frame.index for frame in frames if frame.index >= 0)
    twice = sorted(index for index, count in counts.items() if count > 1)
    if twice:
        raise RecordingError(f"frames carry an index twice: {twice[:10]}; give each its own, or -1 to have it numbered")


def _same(frames: Sequence[Frame], snapshot: Snapshot) -> bool:
    payloads = {id(frame.color_payload) for frame in snapshot.frames}
    return len(frames) == len(snapshot) and all(id(frame.color_payload) in payloads for frame in frames)


def _world_frame(frames: Sequence[Frame], world: WorldConfig) -> str:
    """The frame that the poses are in, if all that have one agree; else the configured one."""
    names = {frame.frame_id for frame in frames if frame.pose is not None}
    return names.pop() if len(names) == 1 else world.fixed_frame
