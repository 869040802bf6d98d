"""truth.yaml: what is really in a generated room, and where the camera really was, exact whatever the sensor noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from spatialclaw_ros.evaluation.rooms_camera import CameraPath
from spatialclaw_ros.evaluation.rooms_objects import Room, RoomObject
from spatialclaw_ros.frames.rotations import quaternion_from

if TYPE_CHECKING:
    from spatialclaw_ros.evaluation.rooms_recording import RoomSettings

_HEADER = """\
# What is really in this room. World frame odom: metres, z up, floor at z = 0. Exact, whatever the sensor noise.
# objects: number is the value in masks/; centre is that of the object's own upright box of `size` (depth, width,
# height), turned by yaw (radians) about z. A moving object has its centre in every frame instead of one for all.
# camera.trajectory: optical frame in the world, one row a frame: x y z qx qy qz qw.
"""


def save_truth(generator: int, settings: RoomSettings, room: Room, path: CameraPath, file: Path) -> None:
    """Write truth.yaml. generator: the version of what makes rooms."""
    camera = settings.camera
    content = {
        "generator": generator,
        "seed": settings.seed,
        "noise": settings.noise,
        "frame_id": "odom",
        "room_size": _numbers(room.size),
        "objects": [_object(thing, settings.times) for thing in room.objects],
        "camera": {
            "style": path.style,
            "width": camera.width,
            "height": camera.height,
            "intrinsics": dict(
                zip(("fx", "fy", "cx", "cy"), _numbers((camera.fx, camera.fy, camera.cx, camera.cy)), strict=True)
            ),
            "rate_hz": settings.rate_hz,
            "start_stamp": settings.stamp(0.0),
            "trajectory": [
                _numbers((*pose[:3, 3], *quaternion_from(pose[:3, :3]))) for pose in map(path.camera, settings.times)
            ],
        },
    }
    file.write_text(
        _HEADER + yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120), encoding="utf-8"
    )


def _object(thing: RoomObject, times: list[float]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "number": thing.number,
        "label": thing.label,
        "name": thing.name,
        "kind": thing.kind,
        "colour": thing.colour,
    }
    if thing.motion is None:
        entry["centre"] = _numbers(thing.centre())
    else:
        entry["centres"] = [_numbers(thing.centre(t)) for t in times]
    return {**entry, "size": _numbers(thing.size), "yaw": _numbers([thing.yaw])[0], "moves": thing.motion is not None}


def _numbers(values: Any) -> list[float]:
    return [round(float(v), 5) + 0.0 for v in np.asarray(values, float)]
