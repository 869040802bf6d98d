"""Arrivals: wakes every goal that waits for frames when a message came."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Arrivals:
    """Each goal that waits has an event of its own: one that clears its event takes no other's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: set[threading.Event] = set()

    def set(self) -> None:
        """A message came: wake everybody."""
        with self._lock:
            for event in self._events:
                event.set()

    @contextlib.contextmanager
    def heard(self) -> Iterator[threading.Event]:
        """An event that every `set` sets."""
        event = threading.Event()
        with self._lock:
            self._events.add(event)
        try:
            yield event
        finally:
            with self._lock:
                self._events.discard(event)
