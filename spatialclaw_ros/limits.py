"""Bounds on waiting: a cancel that any thread can raise, and deadlines on the steady clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from spatialclaw_ros.errors import Canceled, TimeLimitReached


class CancelToken:
    """Set once, from any thread; wakes whoever registered a callback."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self.reason = ""

    def cancel(self, reason: str = "cancelled by the client") -> None:
        """Set the token and run every registered callback once, on this thread. Further calls do nothing."""
        with self._lock:
            if self._event.is_set():
                return
            self.reason = reason
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; True as soon as the token is set."""
        return self._event.wait(seconds)

    def raise_if_set(self) -> None:
        """Raises: Canceled."""
        if self._event.is_set():
            raise Canceled(self.reason)

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Run `callback` when the token is set (at once if it is already). Returns a function that unregisters it."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return lambda: self._remove(callback)
        callback()
        return lambda: None

    def _remove(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


class Deadline:
    """A point on the steady clock. ROS time may stop or jump; limits must not."""

    def __init__(self, seconds: float, what: str = "the goal") -> None:
        self._end = time.monotonic() + float(seconds)  # NumPy's numbers are none to a lock
        self._seconds = seconds
        self._what = what

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._end - time.monotonic())

    def raise_if_over(self) -> None:
        """Raises: TimeLimitReached."""
        if self.remaining() <= 0.0:
            raise TimeLimitReached(f"{self._what} ran out of its {self._seconds:g} s (steady time)")
