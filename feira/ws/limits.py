"""How much one socket may ask."""

from __future__ import annotations

import time
from typing import Final

MESSAGES_PER_S: Final = 50.0
BURST: Final = 200.0
# Asking on and on although told to wait is a flood.
REFUSALS_MAX: Final = 200


class TokenBucket:
    """Refills at `rate` a second up to `burst`; refusals in a row are counted."""

    __slots__ = ("_burst", "_rate", "_refilled_at", "_tokens", "refusals")

    def __init__(self, rate: float = MESSAGES_PER_S, burst: float = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._refilled_at = time.monotonic()
        self.refusals = 0

    def take(self) -> bool:
        """Take one token, or refuse."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now
        if self._tokens < 1:
            self.refusals += 1
            return False
        self._tokens -= 1
        self.refusals = 0
        return True

    @property
    def retry_after_s(self) -> float:
        return max(0.05, (1 - self._tokens) / self._rate)
