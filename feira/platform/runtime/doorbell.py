"""A doorbell on Redis: "there is something to do", and nothing else.

Ringing says nothing about what to do and may get lost with Redis; whoever waits looks by itself from time to
time. Rings coalesce on both sides: many while one is on its way are one.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from feira.platform.runtime.config import Config
from feira.platform.runtime.ending import end_tasks
from feira.platform.runtime.installation import installation_name

PUBLISH_TIMEOUT_S: Final = 2.0
RECONNECT_MIN_S: Final = 0.1
RECONNECT_MAX_S: Final = 2.0
_AWAY: Final = (RedisError, OSError, TimeoutError)

log = structlog.get_logger(__name__)


class Doorbell:
    """One channel. Its tasks start with the first `ring` and the first `wait`, and end with `close`."""

    def __init__(self, redis_url: str, channel: str) -> None:
        self._channel: Final = channel
        self._redis_url: Final = redis_url
        self._to_ring: Final = asyncio.Event()
        self._heard: Final = asyncio.Event()
        self._ringer: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Ring here and everywhere, without waiting. Needs a running loop; never raises for Redis's sake."""
        # Those who wait in this process need no Redis.
        self._heard.set()
        self._to_ring.set()
        if self._ringer is None:
            self._ringer = asyncio.create_task(self._ring_forever(), name="doorbell.ringer")

    async def wait(self, timeout_s: float) -> bool:
        """Wait for a ring since the last wait, at most `timeout_s`; say whether there was one."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen_forever(), name="doorbell.listener")
        try:
            async with asyncio.timeout(timeout_s):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True

    async def close(self) -> None:
        """End the tasks and their connections. A ring that is on its way may be dropped."""
        tasks = [task for task in (self._ringer, self._listener) if task is not None]
        for error in await end_tasks(tasks):
            raise error

    async def _ring_forever(self) -> None:
        client = Redis.from_url(self._redis_url, socket_connect_timeout=PUBLISH_TIMEOUT_S)
        try:
            while True:
                await self._to_ring.wait()
                self._to_ring.clear()
                try:
                    async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                        await client.publish(self._channel, b"")
                except _AWAY as error:
                    # Not tried again: the other side polls, and the next ring is as good.
                    log.debug(
                        "doorbell_ring_lost", channel=self._channel, error=type(error).__name__
                    )
        finally:
            await client.aclose()

    async def _listen_forever(self) -> None:
        client = Redis.from_url(self._redis_url, socket_connect_timeout=PUBLISH_TIMEOUT_S)
        pause_s = RECONNECT_MIN_S
        try:
            while True:
                try:
                    async with client.pubsub() as pubsub:
                        await pubsub.subscribe(self._channel)
                        while True:
                            await pubsub.get_message(timeout=None)
                            # Also the confirmation of a (re)subscription: something may have rung before it.
                            self._heard.set()
                            pause_s = RECONNECT_MIN_S
                except _AWAY as error:
                    log.debug("doorbell_away", channel=self._channel, error=type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, RECONNECT_MAX_S)
        finally:
            await client.aclose()


def jobs_doorbell(config: Config) -> Doorbell:
    """The doorbell that says a transaction with job rows was committed."""
    return Doorbell(config.redis_url, f"{installation_name(config.postgres_dsn)}:jobs")
