"""RateGate: which images of a stream are kept so that no more than `rate_hz` a second remain, by their stamps."""

from __future__ import annotations

_SLACK = 0.1
"""Share of a period by which an image may come early, so that a jittering camera at exactly rate_hz loses none."""


class RateGate:
    """Keeps a grid of due times, so that 30 Hz thinned to 5 Hz stays 5 Hz. rate_hz 0 keeps everything. Stamps in ns."""

    def __init__(self, rate_hz: float) -> None:
        self._period = 0 if rate_hz <= 0 else round(1e9 / rate_hz)
        self._due: float | None = None

    def is_due(self, stamp: int) -> bool:
        """Whether an image of this stamp would be kept; changes nothing."""
        return self._due is None or not self._period or stamp >= self._due - _SLACK * self._period

    def keep(self, stamp: int) -> None:
        """An image of this stamp was kept: the next is due one period after the grid's last point."""
        if self._due is None or stamp > self._due + self._period:
            self._due = stamp + self._period
        else:
            self._due += self._period
