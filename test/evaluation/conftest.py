"""A small generated room, made once for the tests that look into one."""

from __future__ import annotations

import pytest
import yaml
from evaluation.made_room import SMALL, MadeRoom

from spatialclaw_ros.evaluation.questions import load_questions
from spatialclaw_ros.evaluation.rooms_recording import RoomSettings, make_room


@pytest.fixture(scope="session")
def small_room(tmp_path_factory: pytest.TempPathFactory) -> MadeRoom:
    settings = RoomSettings(7, **SMALL)
    recording = make_room(settings, tmp_path_factory.mktemp("rooms") / "room_7")
    truth = yaml.safe_load(recording.truth.read_text(encoding="utf-8"))
    return MadeRoom(settings, recording, truth, load_questions(recording.questions))
