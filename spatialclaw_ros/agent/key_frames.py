"""Key frames: which of a session's frames the model is shown, and their encoded pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spatialclaw_ros.backbones.chat import Picture
from spatialclaw_ros.errors import ImageError
from spatialclaw_ros.frames.frame import Frame

_log = logging.getLogger(__name__)


class Encoder(Protocol):
    """Encodes a frame for the model, at best long before it is asked for (frames.pictures.PictureEncoder)."""

    def get(self, frame: Frame) -> Any: ...


@dataclass(frozen=True)
class KeyFrame:
    """A frame shown to the model. number: 1-based, as the prompt counts; position: its place in InputImages."""

    number: int
    position: int
    index: int
    camera: str
    stamp: int
    picture: Picture


def even_positions(count: int, most: int) -> list[int]:
    """At most `most` of the positions 0 .. count - 1, evenly spread, first and last among them."""
    if count <= most:
        return list(range(count))
    if most < 2:
        return [count // 2][:most]
    return [round(step * (count - 1) / (most - 1)) for step in range(most)]


def choose_key_frames(frames: Sequence[Frame], most: int) -> list[int]:
    """Positions of at most `most` frames, spread evenly over time, every camera getting its share."""
    by_camera: dict[str, list[int]] = {}
    for position, frame in enumerate(frames):
        by_camera.setdefault(frame.camera, []).append(position)
    chosen: list[int] = []
    for turn, positions in enumerate(sorted(by_camera.values(), key=len)):
        share = (most - len(chosen)) // (len(by_camera) - turn)
        chosen += [positions[place] for place in even_positions(len(positions), share)]
    return sorted(chosen)


def encode_key_frames(frames: Sequence[Frame], positions: Sequence[int], encoder: Encoder) -> list[KeyFrame]:
    """The pictures of the chosen frames; one that cannot be decoded is left out, and the log says so."""
    encoded: list[KeyFrame] = []
    for position in positions:
        frame = frames[position]
        try:
            jpeg = encoder.get(frame)
        except ImageError as error:
            _log.warning("frame %d of %s is not shown to the model: %s", frame.index, frame.camera, error)
            continue
        number = len(encoded) + 1
        label = f"#{number}"
        picture = Picture(jpeg.data, "image/jpeg", jpeg.width, jpeg.height, label)
        encoded.append(KeyFrame(number, position, frame.index, frame.camera, frame.stamp, picture))
    return encoded
