"""How much one socket may ask, hold and wait."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from feira.platform.domain.ids import UserId

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
    messages_per_s: float = 50.0
    messages_burst: float = 200.0
    user_messages_per_s: float = 100.0
    """Of all sockets and posts of one user on this node together, however many tabs are open."""
    user_messages_burst: float = 400.0
    pending_messages_max: int = 64
    """Read but not yet carried out; beyond, the client's bytes wait in the kernel."""

    queue_bytes_max: int = 1024 * 1024
    queue_messages_slow: int = 1_024
    slow_for_s: float = 5.0
    write_within_s: float = 10.0
    """How long the client may take none of what was written to it."""

    recheck_every_s: float = 60.0
    """Rights that are lost are told at once; all sockets' are asked anew this often in case that was forgotten."""

    connect_within_s: float = 5.0
    ping_every_s: float = 25.0
    pong_within_s: float = 8.0
    close_within_s: float = 2.0
    """How long the client has to answer a close frame."""


DEFAULT_LIMITS: Final = SocketLimits()


class TokenBucket:
    """Refills at `rate` a second up to `burst`."""

    __slots__ = ("_burst", "_rate", "_refilled_at", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._refilled_at = time.monotonic()

    def take(self) -> bool:
        """Take one token, or refuse."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def is_full(self, now: float) -> bool:
        """Whether it is as good as a new one."""
        return self._tokens + (now - self._refilled_at) * self._rate >= self._burst

    @property
    def retry_after_s(self) -> float:
        return max(0.05, (1 - self._tokens) / self._rate)


class UserRates:
    """A bucket for every user who said something lately: one for all that they are connected by."""

    def __init__(self, limits: SocketLimits) -> None:
        self._limits = limits
        self._buckets: dict[UserId, TokenBucket] = {}

    def of(self, user: UserId) -> TokenBucket:
        bucket = self._buckets.get(user)
        if bucket is None:
            limits = self._limits
            bucket = TokenBucket(limits.user_messages_per_s, limits.user_messages_burst)
            self._buckets[user] = bucket
        return bucket

    def tick(self, now: float) -> None:
        """From time to time: forget buckets that are full, which changes nothing for anybody."""
        full = [user for user, bucket in self._buckets.items() if bucket.is_full(now)]
        for user in full:
            del self._buckets[user]
