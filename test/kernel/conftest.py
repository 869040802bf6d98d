"""Kernels for these tests: one pool per isolation level for the whole run, one kernel per module for what leaves it
usable.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spatialclaw_ros.errors import PerceptionError, SandboxUnavailable
from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.kernel import isolation
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.pool import KernelPool
from spatialclaw_ros.kernel.results import share_array
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken, Deadline

SECRET = "sk-test-4c1f9a77"
LEVELS = (isolation.LEVELS[0], isolation.LEVELS[-1])
"""The strongest and the weakest; what depends on the level between them is tried by test_lifetime and test_escape."""


def answer(method: str, params: dict[str, Any], session: KernelSession, cancel: CancelToken) -> dict[str, Any]:
    """The broker's handler of these tests: the model repeats the question, or does what it says; masks are full."""
    if method == "segment":
        if "box" not in params["prompt"]:
            raise PerceptionError("segment found nothing")
        masks = share_array(session, np.ones((1, 20, 50), np.uint8))
        return {"masks": masks, "scores": [1.0], "backend": "test", "notes": []}
    question = params["question"]
    if question == "wait":
        cancel.wait(30.0)
    if question == "huge":
        return {"text": "x" * (33 << 20), "reasoning": ""}
    return {"text": question, "reasoning": ""}


class Pools:
    """Pools by isolation level, started when first asked for."""

    def __init__(self) -> None:
        self._pools: dict[str, KernelPool] = {}
        self.store = FrameStore("spatialclaw-kerneltest")

    def get(self, level: str) -> KernelPool:
        if level not in self._pools:
            config = KernelConfig(
                sandbox=level, memory_bytes=768 << 20, max_scratch_bytes=64 << 20, interrupt_grace=1.0
            )
            pool = KernelPool(config, answer, self.store)
            try:
                pool.start()
            except SandboxUnavailable as error:
                pytest.skip(f"this machine does not offer {level}: {error}")
            self._pools[level] = pool
        return self._pools[level]

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self.store.close()


@pytest.fixture(scope="session")
def pools() -> Iterator[Pools]:
    os.environ["SPATIALCLAW_TEST_API_KEY"] = SECRET
    made = Pools()
    yield made
    made.close()
    del os.environ["SPATIALCLAW_TEST_API_KEY"]


def acquire(pool: KernelPool) -> KernelSession:
    return pool.acquire(CancelToken(), Deadline(60.0))


@pytest.fixture(scope="module", params=LEVELS)
def kernel(request: pytest.FixtureRequest, pools: Pools) -> Iterator[KernelSession]:
    """A kernel at each level that tests share: they must leave it alive."""
    session = acquire(pools.get(request.param))
    yield session
    session.close()


@pytest.fixture(params=LEVELS)
def fresh(request: pytest.FixtureRequest, pools: Pools) -> Iterator[KernelSession]:
    """A kernel of one's own, to be broken."""
    session = acquire(pools.get(request.param))
    yield session
    session.close()


@pytest.fixture(scope="module")
def strongest(pools: Pools) -> Iterator[KernelSession]:
    """One kernel at the strongest level that works here, for what does not depend on the level."""
    report = isolation.probe()
    if not report.level:
        pytest.skip("no isolation level works on this machine")
    session = acquire(pools.get(report.level))
    yield session
    session.close()
