"""Whatever breaks beside the agent (model, perception, kernel, broker) ends in a typed error or an answer, and the next
goal succeeds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from agent.loop_fakes import cell
from process.fault_scene import ASK, SEGMENT, Scene, innermost, kill_kernel

from spatialclaw_ros.errors import ErrorCode, PerceptionError
from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer, FakeReply, RecordedRequest
from spatialclaw_ros.kernel.process import LAUNCH
from spatialclaw_ros.perception.interfaces import Masks, Prompt, SegmentInput

pytestmark = pytest.mark.process

SLOW = FakeReply(delay=60.0)
UNREACHABLE, FAILED = ErrorCode.BACKBONE_UNREACHABLE, ErrorCode.BACKBONE_FAILED


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("faults"))
    yield made
    made.close()


@pytest.fixture
def scene(shared: Scene) -> Iterator[Scene]:
    """What every test of this file promises stands here: the next goal succeeds."""
    yield shared
    shared.assert_next_goal_succeeds()


# The model


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (FakeReply(mode="drop"), UNREACHABLE),
        (FakeReply(mode="cut"), UNREACHABLE),
        (SLOW, UNREACHABLE),
        (FakeReply("hello", mode="drip"), UNREACHABLE),
        (FakeReply(mode="rate_limited"), FAILED),
        (FakeReply(mode="server_error"), FAILED),
        (FakeReply(mode="html"), FAILED),
        (FakeReply(mode="invalid_json"), FAILED),
        (FakeReply(mode="empty"), FAILED),
        (FakeReply("hello", mode="broken_utf8"), FAILED),
        (FakeReply(mode="endless"), FAILED),
        (FakeReply(mode="unauthorized"), ErrorCode.BACKBONE_AUTHENTICATION),
    ],
    ids=lambda value: "slow" if value == SLOW else value.mode if isinstance(value, FakeReply) else value.name,
)
def test_fault_of_the_models_server_is_a_typed_error(scene: Scene, reply: FakeReply, code: ErrorCode) -> None:
    scene.model.say(reply, reply)
    result = scene.ask()
    assert (result.error_code, result.answer) == (code, None)
    assert result.error_message


@pytest.mark.parametrize("mode", ["rate_limited", "server_error", "drop"])
def test_fault_of_the_models_server_that_passes_is_not_noticed(scene: Scene, mode: Any) -> None:
    scene.model.say(FakeReply(mode=mode))
    assert scene.ask().ok


def test_server_that_drips_is_left_at_the_goals_own_limit(scene: Scene) -> None:
    scene.model.say(FakeReply("hello", mode="drip"))
    assert scene.ask(time_limit=1.0).error_code is ErrorCode.TIME_LIMIT


def test_model_that_fails_in_the_middle_of_a_cell_is_an_error_of_the_cell(scene: Scene) -> None:
    scene.model.say(ASK, FakeReply(mode="html"))
    result = scene.ask()
    assert result.ok
    assert "vlm" not in result.error_message and "BackboneError" in result.steps[0].result.error.message


def test_server_that_is_down_is_unreachable_until_it_is_back(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    try:
        port = scene.model.server.port
        scene.model.server.close()
        result = scene.ask()
        assert result.error_code is UNREACHABLE and str(port) in result.error_message
        scene.model.server = FakeOpenAIServer(scene.model._reply, port).start()
        scene.assert_next_goal_succeeds()
    finally:
        scene.close()


# Perception


def wrong_size(image: SegmentInput, _prompt: Prompt) -> Masks:
    return Masks(np.ones((1, 7, 9), bool), np.ones(1), "fake")


def wrong_type(image: SegmentInput, _prompt: Prompt) -> Masks:
    return Masks(np.ones((1, *image.color.shape[:2]), np.float64), np.ones(1), "fake")


def no_scores(image: SegmentInput, _prompt: Prompt) -> Masks:
    return Masks(np.ones((1, *image.color.shape[:2]), bool), np.full(1, np.nan), "fake")


def nothing(_image: SegmentInput, _prompt: Prompt) -> Any:
    return None


@pytest.mark.parametrize("maker", [wrong_size, wrong_type, no_scores, nothing])
def test_segmenter_that_answers_nonsense_is_an_error_of_the_cell(scene: Scene, maker: Callable[..., Any]) -> None:
    scene.segmenter._maker = maker
    scene.model.say(SEGMENT)
    result = scene.ask()
    assert result.ok
    assert "PerceptionError: the segmenter 'fake'" in result.steps[0].result.error.message


@pytest.mark.parametrize("error", [PerceptionError("out of memory"), RuntimeError("CUDA error")])
def test_segmenter_that_raises_is_an_error_of_the_cell(scene: Scene, error: Exception) -> None:
    scene.segmenter.error = error
    scene.model.say(SEGMENT)
    result = scene.ask()
    assert result.ok
    assert str(error) in result.steps[0].result.error.message


def test_segmenter_that_hangs_costs_its_cell_and_is_named_to_the_next(scene: Scene) -> None:
    scene.segmenter.block()
    scene.model.say(SEGMENT, SEGMENT)
    result = scene.ask()
    assert result.ok
    assert [step.result.status for step in result.steps] == ["timeout", "error", "ok"]
    assert "an earlier segment request does not end" in result.steps[1].result.error.message


def test_segmenter_that_hangs_does_not_hold_up_the_next_goal(scene: Scene) -> None:
    scene.segmenter.block()
    scene.model.say(SEGMENT)
    assert scene.ask().steps[0].result.status == "timeout"
    assert scene.ask(session_id="").ok  # while it still hangs


# The kernel and its broker


def test_kernel_that_is_killed_in_mid_cell_is_replaced(scene: Scene) -> None:
    scene.model.say(ASK, FakeReply("It is a wall.", delay=0.5))
    scene.model.before = lambda request: kill_kernel(scene) if "What is it?" in request.text else None
    result = scene.ask()
    assert result.ok
    assert result.steps[0].result.status == "died"
    assert "SIGKILL" in result.steps[0].result.error.message


def test_kernel_that_is_killed_between_cells_is_replaced(scene: Scene) -> None:
    scene.model.say(cell("x = 1"), cell("print(x)"))
    asked: list[RecordedRequest] = []

    def kill_before_the_second_cell(request: RecordedRequest) -> None:
        asked.append(request)
        if len(asked) == 2:
            kill_kernel(scene)

    scene.model.before = kill_before_the_second_cell
    result = scene.ask()
    assert result.ok
    assert [step.result.status for step in result.steps] == ["ok", "died", "ok"]


def test_kernels_that_are_killed_before_a_goal_are_replaced(scene: Scene) -> None:
    scene.assert_next_goal_succeeds()
    for kernel in scene.agent._pool.sessions():  # the session's and the spare
        os.kill(innermost(kernel.pid), signal.SIGKILL)
    result = scene.ask()
    assert result.ok and result.steps[0].result is not None
    told = (*result.notes, *result.steps[0].result.notes)  # it may have been noticed before the goal or by it
    assert any("kernel of this session was lost" in note for note in told)


def test_kernel_that_is_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    myself = psutil.Process()
    before = {process.pid for process in myself.children(recursive=True)}
    scene = Scene(tmp_path)
    try:
        os.kill(starting_kernel(myself, before), signal.SIGKILL)
        scene.assert_next_goal_succeeds()
    finally:
        scene.close()


def starting_kernel(host: psutil.Process, before: set[int]) -> int:
    """The process of a kernel of this host that has just begun to start."""
    for _ in range(100_000):
        for process in host.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words = process.cmdline() if process.pid not in before else []
                if LAUNCH in words and "python" in words[0]:  # not the sandbox around it
                    return process.pid
    raise AssertionError("no kernel was started")


def test_broker_socket_that_the_kernel_closes_is_opened_again(scene: Scene) -> None:
    close = "from spatialclaw_ros.workbench import broker_client\nbroker_client._client._socket.close()\n"
    ask = "vlm.ask_with_thinking(InputImages[0], 'What is it?')"
    scene.model.say(cell(f"{ask}\n{close}{ask}"), "It is a wall.", cell(f"print({ask})"), "It is a door.")
    result = scene.ask()
    assert result.ok
    assert "the node did not answer" in result.steps[0].result.error.message
    assert result.steps[1].result.stdout == "It is a door.\n"


def test_broker_socket_that_the_host_loses_is_opened_again(scene: Scene) -> None:
    lost = threading.Event()

    def lose_connections(request: RecordedRequest) -> None:
        if "What is it?" in request.text and not lost.is_set():
            lost.set()
            for kernel in scene.kernels():
                for connection in kernel._broker._connections:
                    connection.shutdown(socket.SHUT_RDWR)

    scene.model.before = lose_connections
    scene.model.say(ASK, "It is a wall.", ASK, "It is a door.")
    result = scene.ask()
    assert result.ok
    assert "the node did not answer" in result.steps[0].result.error.message
    assert result.steps[1].result.stdout == "It is a door.\n"


def test_kernel_that_breaks_its_broker_for_good_costs_itself_alone(scene: Scene) -> None:
    code = (
        "import os, socket\n"
        "for _ in range(50):\n"
        "    made = socket.socket(socket.AF_UNIX)\n"
        "    made.connect(os.environ['SPATIALCLAW_BROKER'])\n"
        "    made.sendall(b'\\xff' * 3)\n"
    )
    scene.model.say(cell(code))
    assert scene.ask().answer is not None
