"""Snapshot: the frames of one goal, pinned until it ends, and their export into a kernel's folder."""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.image_files import new_file_name, write_all
from spatialclaw_ros.frames.manifest import Manifest, write_manifest
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.transform_table import TransformTable

_private_names: weakref.WeakKeyDictionary[ImagePayload, str] = weakref.WeakKeyDictionary()
"""File names given to payloads in private memory, so that a second export into one folder writes them once."""


class Snapshot(Sequence[Frame]):
    """The frames of a time window over all cameras, by stamp, each with an index that is unique in it.

    world_frame: the frame of every pose; gravity_aligned: its z axis points up (REP-103).
    transforms: the paths of the robot's frames through the world. base_frame: the robot's own frame.
    Frames stay usable after `release`; only a later export may have to copy them.
    """

    def __init__(
        self,
        frames: Iterable[Frame],
        transforms: TransformTable,
        gravity_aligned: bool = True,
        base_frame: str = "base_link",
        release: Callable[[], None] | None = None,
    ) -> None:
        self.frames = tuple(frames)
        self.transforms = transforms
        self.world_frame = transforms.world_frame
        self.gravity_aligned = gravity_aligned
        self.base_frame = base_frame
        self._finalizer = None if release is None else weakref.finalize(self, release)

    @classmethod
    def from_frames(
        cls, frames: Iterable[Frame], world_frame: str = "odom", gravity_aligned: bool = True, base_frame: str = ""
    ) -> Snapshot:
        """A snapshot of frames that a program holds itself; those with index -1 are numbered by stamp from the first
        free number, poses are taken to be in `world_frame`, and base_frame defaults to the first frame's camera.

        Raises: ValueError where two frames carry one index.
        """
        ordered = sorted(frames, key=lambda frame: frame.stamp)
        taken = [frame.index for frame in ordered if frame.index >= 0]
        if len(set(taken)) != len(taken):
            raise ValueError(f"frames carry the same index twice: {sorted(taken)}; expected unique indices, or -1")
        used = set(taken)
        free = (number for number in itertools.count() if number not in used)
        numbered = [
            replace(frame, index=frame.index if frame.index >= 0 else next(free), frame_id=world_frame)
            for frame in ordered
        ]
        base = base_frame or (numbered[0].optical_frame if numbered else "")
        return cls(numbered, transforms_of_frames(numbered, world_frame), gravity_aligned, base)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names in order of first appearance."""
        return tuple(dict.fromkeys(frame.camera for frame in self.frames))

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        return self.frames[index]

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"Snapshot({len(self)} frames of {', '.join(self.cameras) or 'no camera'}, world {self.world_frame!r})"

    def export(self, folder: Path, session: dict[str, Any] | None = None, keep_others: bool = True) -> Path:
        """Hard-link the images into `folder` (those in private memory are written) and write the manifest; returns it.

        session: anything JSON that the kernel's side should know. keep_others: leave images of earlier exports, which a
        kernel's variables may still use; otherwise they are removed.
        Raises: OSError where the folder is missing or full.
        """
        names = [(_place(f.color_payload, folder), _place(f.depth_payload, folder)) for f in self.frames]
        if not keep_others:
            _remove_others(folder, {name for pair in names for name in pair})
        manifest = Manifest(
            list(self.frames),
            self.world_frame,
            self.gravity_aligned,
            self.transforms,
            self.base_frame,
            session or {},
        )
        return write_manifest(folder, manifest, names)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def release(self) -> None:
        """Let the ring forget these frames; a second call does nothing."""
        if self._finalizer is not None:
            self._finalizer()


def transforms_of_frames(frames: Iterable[Frame], world_frame: str) -> TransformTable:
    """The paths of the cameras themselves, from the poses that their frames carry."""
    paths: dict[str, dict[int, np.ndarray]] = {}
    for frame in frames:
        if frame.pose is not None and frame.optical_frame:
            paths.setdefault(frame.optical_frame, {})[frame.stamp] = frame.pose
    return TransformTable(
        world_frame,
        {
            name: (np.array(sorted(path), np.int64), np.stack([path[s] for s in sorted(path)]))
            for name, path in paths.items()
        },
    )


def _place(payload: ImagePayload | None, folder: Path) -> str:
    """Bring a payload's bytes into the folder; returns the file's name there ("" for none)."""
    if payload is None:
        return ""
    if payload.file:
        name = os.path.basename(payload.file)
        try:
            os.link(payload.file, os.path.join(folder, name))
            return name
        except FileExistsError:
            return name
        except OSError:  # evicted after its release, or another file system: its map still holds the bytes
            return _write(payload, folder, name)
    name = _private_names.get(payload) or _private_names.setdefault(payload, new_file_name("private"))
    return _write(payload, folder, name)


def _write(payload: ImagePayload, folder: Path, name: str) -> str:
    try:
        with open(os.path.join(folder, name), "xb", buffering=0) as file:
            write_all(file.fileno(), payload.data)
    except FileExistsError:
        return name
    return name


def _remove_others(folder: Path, names: set[str]) -> None:
    for entry in os.scandir(folder):
        if entry.name[:8].isdigit() and entry.name not in names:
            os.unlink(entry.path)
