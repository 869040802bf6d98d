"""The real recording: five questions about a kitchen, over the action, while a model behind HTTP writes the cells."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from process.kitchen_model import KitchenModel

from spatialclaw_ros.agent.records import Query
from spatialclaw_ros.evaluation.questions import load_questions
from spatialclaw_ros.evaluation.run import answer_type
from spatialclaw_ros.evaluation.score import score
from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer

pytestmark = [pytest.mark.process, pytest.mark.ros]

QUESTIONS = ("mug_distance", "controller_distance", "nearer_to_mug", "left_right", "camera_path")


@pytest.fixture(scope="module")
def model(kitchen_data: Path) -> Iterator[FakeOpenAIServer]:
    with FakeOpenAIServer(
        KitchenModel(kitchen_data / "kitchen_frames", kitchen_data / "kitchen_questions.yaml")
    ) as server:
        yield server


@pytest.fixture(scope="module")
def client(kitchen_data: Path, model: FakeOpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    from spatialclaw_ros.ros.client import QueryClient

    with agent_node(model, tmp_path_factory.mktemp("kitchen") / "traces"), QueryClient("/spatialclaw") as client:
        client.wait_for_server(20.0)
        replay = [sys.executable, "-m", "spatialclaw_ros.evaluation.replay", str(kitchen_data / "kitchen_bag")]
        subprocess.run([*replay, "--rate", "10", "--wait", "20"], check=True, timeout=60)
        yield client


@contextlib.contextmanager
def agent_node(model: FakeOpenAIServer, traces: Path) -> Iterator[None]:
    """The agent node in a process of its own, with the openai backbone, the grabcut segmenter and every frame kept."""
    settings = {
        "use_sim_time": "true",
        "buffer.seconds": "60.0",
        "buffer.rate_hz": "0.0",
        "world.gravity_aligned": "false",
        "backbone.name": "openai",
        "backbone.base_url": model.url,
        "backbone.model": "stand-in",
        "perception.segmenter": "grabcut",
        "trace.folder": str(traces),
    }
    arguments = [part for name, value in settings.items() for part in ("-p", f"{name}:={value}")]
    node = subprocess.Popen([sys.executable, "-m", "spatialclaw_ros.ros.main", "--ros-args", *arguments])
    try:
        yield
    finally:
        node.terminate()
        code = node.wait(20.0)
    assert code == 0


@pytest.mark.parametrize("name", QUESTIONS)
def test_kitchen_question_is_answered_within_its_tolerance(client, kitchen_data: Path, name: str) -> None:
    questions = {question.id: question for question in load_questions(kitchen_data / "kitchen_questions.yaml")}
    question = questions[name]
    query = Query(question.question, answer_type(question.answer), choices=question.answer.choices, time_limit=60.0)
    stages: list[str] = []

    result = client.ask(query, lambda event: stages.append(event.stage))

    verdict = score(question, result)
    assert verdict.right, f"{verdict.detail}; {result.error_message}"
    assert result.sandbox_level in ("bwrap", "landlock")
    assert {"plan", "generate", "execute", "observe", "decide"} <= set(stages)


def test_every_question_of_the_file_is_asked(kitchen_data: Path) -> None:
    assert {question.id for question in load_questions(kitchen_data / "kitchen_questions.yaml")} == set(QUESTIONS)


def test_masks_came_from_pictures_that_the_model_was_shown(client, model: FakeOpenAIServer) -> None:
    client.ask(Query("How far is the red game controller from the floral mug, in metres?", time_limit=60.0))

    grounded = [request for request in model.requests if "<request>" not in str(request.json)]
    assert grounded
    assert all(request.pictures >= 1 for request in grounded)
