"""Starting child processes from one thread that lives as long as this process.

PR_SET_PDEATHSIG (bubblewrap's --die-with-parent, and a Landlock kernel's own) fires when the parent *thread* ends: a
kernel started from a goal's or a pool's thread would be killed with that thread.
"""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from concurrent import futures
from concurrent.futures import Future
from typing import Any


class _Spawner:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self._orders: queue.SimpleQueue[tuple[Future, list[str], dict[str, Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="kernel-spawner", daemon=True).start()

    def popen(self, words: list[str], options: dict[str, Any]) -> Future:
        future: Future = Future()
        self._orders.put((future, words, options))
        return future

    def _run(self) -> None:
        while True:
            future, words, options = self._orders.get()
            try:
                future.set_result(subprocess.Popen(words, **options))
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                future.set_exception(error)


_lock = threading.Lock()
_spawner: _Spawner | None = None


def popen(words: list[str], timeout: float = 10.0, **options: Any) -> subprocess.Popen:
    """subprocess.Popen on the long-lived thread. Raises: OSError, TimeoutError."""
    global _spawner
    with _lock:
        if _spawner is None or _spawner.pid != os.getpid():  # a forked host has no such thread yet
            _spawner = _Spawner()
        future = _spawner.popen(words, options)
    try:
        return future.result(timeout)
    except futures.TimeoutError as error:  # not yet the built-in TimeoutError in Python 3.10
        raise TimeoutError(f"{words[0]} was not started within {timeout:g} s") from error
