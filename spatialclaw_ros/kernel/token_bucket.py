"""TokenBucket: at most so much a second over time, with a burst, on the steady clock."""

from __future__ import annotations

import time

ROUNDING = 1e-3
"""s, longer than what is lost in rounding: whoever waited as told finds the tokens there."""


class TokenBucket:
    """rate: tokens that come back per second; burst: the most that are saved up. For one thread.

    Starts full. A bucket that lacks tokens refuses and takes none.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self._burst = burst
        self._tokens = burst
        self._filled_at = time.monotonic()

    def take(self, amount: float = 1.0) -> bool:
        """Take `amount` tokens, or none where there are fewer."""
        self._fill()
        if amount > self._tokens:
            return False
        self._tokens -= amount
        return True

    def seconds_until(self, amount: float = 1.0) -> float:
        """Time after which `amount` tokens (at most the burst) are there, if nobody takes any; 0.0 where they are."""
        self._fill()
        missing = min(amount, self._burst) - self._tokens
        return missing / self.rate + ROUNDING if missing > 0 else 0.0

    def _fill(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now
