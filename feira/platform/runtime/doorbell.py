"""A doorbell on Redis: "there is something to do", and nothing else.

Ringing says nothing about what to do and may get lost with Redis; whoever waits looks by itself from time to
time. Rings coalesce on both sides: many while one is on its way are one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from feira.platform.runtime.bus import Bus
from feira.platform.runtime.config import Config
from feira.platform.runtime.installation import installation_name


class Doorbell:
    """One topic of a bus of its own, which connects with the first `ring` or `wait`, and ends with `close`."""

    def __init__(self, bus: Bus, topic: str) -> None:
        self._bus: Final = bus
        self._topic: Final = topic
        self._heard: Final = asyncio.Event()
        self._is_listening = False

    def ring(self) -> None:
        """Ring here and everywhere, without waiting. Needs a running loop; never raises for Redis's sake."""
        # Those who wait in this process need no Redis.
        self._heard.set()
        self._bus.start_publishing()
        if not self._bus.waiting:
            self._bus.publish(self._topic, b"")

    async def wait(self, timeout_s: float) -> bool:
        """Wait for a ring since the last wait, at most `timeout_s`; say whether there was one."""
        if not self._is_listening:
            self._is_listening = True
            self._bus.start_receiving(self._rung, self._missed)
            await self._bus.watch([self._topic])
            # It may have rung before anybody could hear it.
            self._heard.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True

    async def close(self) -> None:
        """Disconnect, giving a ring that is on its way a moment."""
        await self._bus.close()

    def _rung(self, topic: str, payload: bytes) -> None:
        del topic, payload
        self._heard.set()

    def _missed(self, topics: Sequence[str]) -> None:
        """Something may have rung while nobody could hear it."""
        del topics
        self._heard.set()


def jobs_doorbell(config: Config) -> Doorbell:
    """The doorbell that says a transaction with job rows was committed."""
    installation = installation_name(config.postgres_dsn)
    return Doorbell(Bus(config.redis_url, f"{installation}:doorbell"), "jobs")
