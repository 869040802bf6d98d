"""Where no room is left, on the disk of the traces or in shared memory, goals end with an answer or a typed error, and
the next one succeeds once there is room.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from agent.loop_fakes import cell
from process.fault_scene import SEGMENT, Scene, fill, small_disk

from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.fakes.openai_server import RecordedRequest
from spatialclaw_ros.frames import store

pytestmark = pytest.mark.process


def test_full_disk_costs_the_trace_and_not_the_goal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with small_disk(1) as disk:
        scene = Scene(tmp_path, trace={"folder": str(disk / "traces")})
        try:
            filler = fill(disk)
            scene.model.say(cell("print('x' * 50_000)"))
            assert scene.ask().ok
            assert "No space left on device" in caplog.text
            filler.unlink()
            scene.assert_next_goal_succeeds()
            assert next((disk / "traces").glob("*/trace.jsonl"), None) is not None
        finally:
            scene.close()


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch):
    """A small folder that stands in for /dev/shm."""
    with small_disk(8) as disk:
        monkeypatch.setattr(store, "_shared_memory", lambda: disk)
        yield disk


def test_full_shared_memory_ends_a_goal_by_name_and_the_next_one_succeeds(tmp_path: Path, memory: Path) -> None:
    scene = Scene(tmp_path)
    try:
        scene.assert_next_goal_succeeds()
        filler = fill(memory)
        result = scene.ask()
        assert result.error_code is ErrorCode.KERNEL_FAILED
        assert "No space left on device" in result.error_message
        filler.unlink()
        scene.assert_next_goal_succeeds()
    finally:
        scene.close()


def test_masks_that_find_no_room_are_an_error_of_the_cell(tmp_path: Path, memory: Path) -> None:
    scene = Scene(tmp_path)
    try:
        fillers: list[Path] = []

        def fill_before_the_second_cell(request: RecordedRequest) -> None:
            if "the kernel has its frames" in request.text:
                fillers.append(fill(memory))

        scene.model.before = fill_before_the_second_cell
        scene.model.say(cell("print('the kernel has its frames')"), SEGMENT)
        result = scene.ask()
        assert result.ok
        assert "is the shared memory full" in result.steps[1].result.error.message
        fillers[0].unlink()
        scene.model.before = lambda request: None
        scene.model.say(SEGMENT)
        result = scene.ask()
        assert result.steps[0].result.stdout == "1024\n", result.steps[0].result
    finally:
        scene.close()
