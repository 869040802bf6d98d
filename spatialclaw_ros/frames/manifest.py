"""The manifest of an exported snapshot: one JSON file beside the images, which a kernel reads and maps read-only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spatialclaw_ros.errors import SpatialClawError
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.mapping import MappedPayload
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.transform_table import TransformTable

FILE_NAME = "manifest.json"
VERSION = 1


class ManifestError(SpatialClawError):
    """A manifest is missing, damaged or of another version."""


@dataclass(frozen=True)
class Manifest:
    """What a kernel gets to know of a goal's frames: see `Snapshot` for the fields. session: what the agent adds."""

    frames: list[Frame]
    world_frame: str
    gravity_aligned: bool
    transforms: TransformTable
    base_frame: str
    session: dict[str, Any] = field(default_factory=dict)


def write_manifest(folder: Path, manifest: Manifest, files: Sequence[tuple[str, str]]) -> Path:
    """Write `manifest.json` and the transforms beside images that are already in `folder`.

    files: the names of each frame's colour and depth file, "" without depth. The manifest appears whole or not at all.
    """
    cameras: dict[Intrinsics, int] = {}
    frames = [
        _frame_entry(frame, color, depth, cameras) for frame, (color, depth) in zip(manifest.frames, files, strict=True)
    ]
    temporary = folder / f"{FILE_NAME}.new"
    document = {
        "version": VERSION,
        "world_frame": manifest.world_frame,
        "gravity_aligned": manifest.gravity_aligned,
        "base_frame": manifest.base_frame,
        "session": manifest.session,
        "intrinsics": [asdict(intrinsics) for intrinsics in cameras],
        "transforms": manifest.transforms.write(folder / "transforms.bin"),
        "frames": frames,
    }
    temporary.write_text(json.dumps(document, separators=(",", ":")))
    return temporary.replace(folder / FILE_NAME)


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest (or the folder that holds one). Images are mapped, read-only, when a frame is first decoded.

    Raises: ManifestError.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    try:
        document = json.loads(path.read_bytes())
        if document["version"] != VERSION:
            raise ManifestError(f"{path} has version {document['version']}; expected {VERSION}")
        cameras = [_intrinsics(entry) for entry in document["intrinsics"]]
        frames = [_frame(entry, path.parent, document["world_frame"], cameras) for entry in document["frames"]]
        transforms = TransformTable.read(path.parent, document["transforms"])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ManifestError(f"{path} is not a readable manifest: {type(error).__name__}: {error}") from error
    return Manifest(
        frames,
        document["world_frame"],
        document["gravity_aligned"],
        transforms,
        document["base_frame"],
        document["session"],
    )


def _frame_entry(frame: Frame, color: str, depth: str, cameras: dict[Intrinsics, int]) -> dict[str, Any]:
    known = None if frame.intrinsics is None else cameras.setdefault(frame.intrinsics, len(cameras))
    return {
        "camera": frame.camera,
        "stamp": frame.stamp,
        "index": frame.index,
        "optical_frame": frame.optical_frame,
        "color": _payload_entry(frame.color_payload, color),
        "depth": None if frame.depth_payload is None else _payload_entry(frame.depth_payload, depth),
        "depth_stamp": frame.depth_stamp,
        "intrinsics": known,
        "pose": None if frame.pose is None else frame.pose.ravel().tolist(),
        "notes": frame.notes,
    }


def _payload_entry(payload: ImagePayload, file: str) -> list[Any]:
    return [payload.encoding, file, payload.width, payload.height, payload.step, payload.is_bigendian, payload.source]


def _frame(entry: dict[str, Any], folder: Path, world_frame: str, cameras: list[Intrinsics]) -> Frame:
    return Frame(
        camera=entry["camera"],
        stamp=entry["stamp"],
        color_payload=_payload(entry["color"], folder),
        depth_payload=None if entry["depth"] is None else _payload(entry["depth"], folder),
        intrinsics=None if entry["intrinsics"] is None else cameras[entry["intrinsics"]],
        pose=None if entry["pose"] is None else np.array(entry["pose"]).reshape(4, 4),
        frame_id=world_frame,
        optical_frame=entry["optical_frame"],
        index=entry["index"],
        depth_stamp=entry["depth_stamp"],
        notes=tuple(entry["notes"]),
    )


def _payload(entry: list[Any], folder: Path) -> MappedPayload:
    encoding, file, width, height, step, is_bigendian, source = entry
    return MappedPayload(encoding, f"{folder}/{file}", width, height, step, is_bigendian, source)


def _intrinsics(entry: dict[str, Any]) -> Intrinsics:
    return Intrinsics(**{**entry, "distortion": tuple(entry["distortion"])})
