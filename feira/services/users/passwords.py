"""Password hashes: argon2id, computed in a few threads so that the event loop never waits for one.

argon2 lets go of the interpreter lock while it works. The number of threads bounds memory (19 MiB each) and
CPU; the number of waiting hashes bounds how long a login can queue.
"""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from feira.platform.domain.errors import Unavailable

T = TypeVar("T")

# OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane; about 40 ms on one of our cores.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
THREADS_MAX: Final = max(1, min(4, os.cpu_count() or 1))
WAITING_MAX: Final = 256


class HashingThreads:
    """A few threads with a queue of bounded length; they start with the first work."""

    def __init__(self, threads_max: int, waiting_max: int) -> None:
        self._executor = ThreadPoolExecutor(threads_max, thread_name_prefix="argon2")
        self._waiting_max = waiting_max
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread. A cancelled caller leaves the queue.

        Raises:
            Unavailable: `auth.busy`: too many are waiting or running.
        """
        if self._waiting >= self._waiting_max:
            raise Unavailable(
                "auth.busy",
                "Too many people are signing in right now; please try again.",
                retry_after_s=2,
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1


# The process's own, like asyncio's default executor: the interpreter joins them at its end.
_THREADS: Final = HashingThreads(THREADS_MAX, WAITING_MAX)


async def hash_password(password: str) -> str:
    """Hash a new password.

    Raises:
        Unavailable: `auth.busy`: too many hashes are waiting.
    """
    return await _THREADS.run(lambda: _HASHER.hash(_normal(password)))


async def is_password(password_hash: str | None, password: str) -> bool:
    """Say whether the password is the one behind the hash.

    Without a hash (nobody has that e-mail address) it takes as long, and is False.

    Raises:
        Unavailable: `auth.busy`.
    """
    return await _THREADS.run(lambda: _verify(password_hash, password))


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made with other cost parameters than today's."""
    return _HASHER.check_needs_rehash(password_hash)


def _verify(password_hash: str | None, password: str) -> bool:
    try:
        _HASHER.verify(password_hash or _NOBODY, _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def _normal(password: str) -> str:
    """NIST SP 800-63B, 3.1.1.2: an accented letter is the same typed on any keyboard."""
    return unicodedata.normalize("NFKC", password)


# A hash of the same cost that no password is compared with in earnest.
_NOBODY: Final = _HASHER.hash(os.urandom(16).hex())
