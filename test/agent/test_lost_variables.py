"""Kernels that a cell loses: the model is told which variables went, why, and what is back; in real kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from agent.loop_fakes import cell, frames

from spatialclaw_ros.agent.agent import SpatialAgent
from spatialclaw_ros.agent.records import QueryResult
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.fakes.backbone import ScriptedBackbone
from spatialclaw_ros.fakes.segmenter import FakeSegmenter

pytestmark = pytest.mark.process

MADE = "d = 2.0\nmask = InputImages[0].depth > 1\ngone = 1\ndel gone"
BACK = "ReturnAnswer(len(InputImages) if 'd' not in globals() and tools.Reconstruct else -1)"
IGNORED = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
MASKED = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\nwhile True: pass"
SVD = "half = 1\nnp.linalg.svd(np.random.default_rng(0).normal(size=(4000, 4000)))"
CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
MEMORY = "import time\nhog = np.ones(100 << 20)\ntime.sleep(20)"
STUCK = "ran for 1.5 s, its limit; it did not stop within 0.3 s"


class Asking:
    """An agent that is asked with a script of its own each time; told: the last that the model was told."""

    def __init__(self, cell_timeout: float) -> None:
        self._replies: list[str] = []
        self._backbone = ScriptedBackbone(lambda *_: self._replies.pop(0))
        kernel = {"cell_timeout": cell_timeout, "interrupt_grace": 0.3, "memory_bytes": 512 << 20}
        config = AgentConfig.load({"loop": {"planning": False}, "kernel": kernel, "trace": {"keep": 0}})
        self.agent = SpatialAgent(config, self._backbone, FakeSegmenter())

    def __call__(self, *codes: str) -> QueryResult:
        self._replies = [cell(code) for code in codes]
        return self.agent.ask("How many frames?", frames(3))

    @property
    def told(self) -> str:
        return self._backbone.calls[-1].messages[-1].text


@pytest.fixture(scope="module")
def hasty() -> Iterator[Asking]:
    asking = Asking(cell_timeout=1.5)
    with asking.agent:
        yield asking


@pytest.fixture(scope="module")
def patient() -> Iterator[Asking]:
    asking = Asking(cell_timeout=30.0)
    with asking.agent:
        yield asking


@pytest.mark.parametrize("code", [IGNORED, SVD], ids=["interrupts ignored", "stuck in C"])
def test_a_cell_that_does_not_stop_loses_its_kernel_and_the_model_is_told_what_went(hasty: Asking, code: str) -> None:
    result = hasty(MADE, code, BACK)
    assert result.ok and result.answer.number == 3, result.error_message
    assert [step.result.status for step in result.steps] == ["ok", "died", "ok"]
    assert "the variables d, mask are gone" in hasty.told and STUCK in hasty.told
    assert "InputImages and the tools are back" in hasty.told


def test_a_cell_that_masks_interrupts_is_stopped_all_the_same_and_keeps_its_variables(hasty: Asking) -> None:
    result = hasty(MADE, MASKED, "ReturnAnswer(d)")
    assert result.ok and result.answer.number == 2.0, result.error_message
    assert [step.result.status for step in result.steps] == ["ok", "timeout", "ok"]


@pytest.mark.parametrize(
    ("code", "why"), [(CRASH, "SIGKILL"), (MEMORY, "MiB of memory, its limit is")], ids=["crash", "memory"]
)
def test_a_kernel_that_ends_takes_variables_with_it_that_the_model_is_told(
    patient: Asking, code: str, why: str
) -> None:
    result = patient(MADE, code, BACK)
    assert result.ok and result.answer.number == 3, result.error_message
    assert [step.result.status for step in result.steps] == ["ok", "died", "ok"]
    assert "the variables d, mask are gone" in patient.told and why in patient.told
