"""How much one socket may ask, hold and wait."""

from __future__ import annotations

import time
from typing import Final

import msgspec

MESSAGES_PER_S: Final = 50.0
BURST: Final = 200.0
# Asking on and on although told to wait is a flood.
REFUSALS_MAX: Final = 200


class SocketLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of every socket of a process. Times are in seconds."""

    sockets_max: int = 50_000
    tick_s: float = 1.0
    """How often times are looked at: what follows is exact to this."""

    message_bytes_max: int = 64 * 1024
    message_within_s: float = 30.0
    """How long the fragments of one message may take to arrive."""
    frames_per_s: int = 2_000
    """Of any kind, empty ones too: messages are rationed by `TokenBucket`, but may come in many frames or none."""
    pending_messages_max: int = 64
    """Read but not yet carried out; beyond, the client's bytes wait in the kernel."""

    queue_bytes_max: int = 1024 * 1024
    queue_messages_slow: int = 1_024
    slow_for_s: float = 5.0
    write_within_s: float = 10.0
    """How long the client may take none of what was written to it."""

    connect_within_s: float = 5.0
    ping_every_s: float = 25.0
    pong_within_s: float = 8.0
    close_within_s: float = 2.0
    """How long the client has to answer a close frame."""


DEFAULT_LIMITS: Final = SocketLimits()


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
