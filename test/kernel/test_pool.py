"""KernelPool: a kernel that cannot start is an error that says why, whatever the reason was; nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from spatialclaw_ros.errors import KernelError
from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.pool import KernelPool
from spatialclaw_ros.limits import CancelToken, Deadline


@pytest.fixture
def pool() -> Iterator[KernelPool]:
    store = FrameStore("spatialclaw-pooltest")
    made = KernelPool(KernelConfig(), lambda *_: {}, store)
    made.level = "none"  # as after start(), without its threads
    yield made
    made.close()
    store.close()


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    "error", [zmq.ZMQError(24), RuntimeError("can't start new thread"), MemoryError(), OSError(24, "Too many files")]
)
def test_any_failure_to_start_a_kernel_reaches_whoever_waits(pool: KernelPool, error: Exception) -> None:
    pool._start_kernel = raising(error)  # type: ignore[method-assign]
    with pytest.raises(KernelError, match=type(error).__name__):
        pool.acquire(CancelToken(), Deadline(10.0))


def test_the_next_goal_gets_a_kernel_after_a_failure_that_passed(pool: KernelPool) -> None:
    spare = SimpleNamespace(alive=True, close=lambda: None)
    pool._start_kernel = raising(zmq.ZMQError(24))  # type: ignore[method-assign]
    with pytest.raises(KernelError):
        pool.acquire(CancelToken(), Deadline(10.0))
    pool._start_kernel = lambda: spare  # type: ignore[method-assign,return-value,assignment]
    assert pool.acquire(CancelToken(), Deadline(10.0)) is spare


def test_a_machine_without_threads_is_an_error_that_says_so(pool: KernelPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", raising(RuntimeError("can't start new thread")))
    with pytest.raises(KernelError, match="can't start new thread"):
        pool.acquire(CancelToken(), Deadline(10.0))
