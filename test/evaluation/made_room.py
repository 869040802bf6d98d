"""What the room tests share: the size of their room, and a made one with its files read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spatialclaw_ros.evaluation.questions import Question
from spatialclaw_ros.evaluation.rooms_recording import RoomRecording, RoomSettings

SMALL = {"width": 320, "height": 240, "frames": 32}


@dataclass(frozen=True)
class MadeRoom:
    """A recording with its files read."""

    settings: RoomSettings
    recording: RoomRecording
    truth: dict[str, Any]
    questions: list[Question]
