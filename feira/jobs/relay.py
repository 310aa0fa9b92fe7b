"""Hands committed, due job rows to the arq queue.

Any number of relays work side by side. A row becomes `queued` before its message is sent, so a crash between
the two costs a lease, never the job; a message sent twice is claimed once.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from arq.connections import ArqRedis

from feira.jobs.metrics import RELAYED
from feira.jobs.queue import REDIS_AWAY, close_queue, enqueue, open_queue
from feira.platform.domain.jobs import PATIENCE_S, known_kinds
from feira.platform.runtime.doorbell import Doorbell
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.sql.jobs import QueuedAttempt, declare_limits, next_run_in_s, queue_due, unqueue

BATCH_MAX: Final = 100
# Beyond, rows wait where their order is kept and a lost Redis costs nothing. Counted in Postgres: what killed workers leave
# in Redis takes no room.
QUEUED_MAX: Final = 200
QUEUED_LEASE_S: Final = 15.0
FULL_PAUSE_S: Final = 0.1

log = structlog.get_logger(__name__)


class Relay:
    """The relay of one worker process."""

    def __init__(
        self, market: Market, doorbell: Doorbell, *, queued_lease_s: float = QUEUED_LEASE_S
    ) -> None:
        self._market: Final = market
        self._doorbell: Final = doorbell
        self._queued_lease_s: Final = queued_lease_s
        kinds = known_kinds()
        self._patience_s: Final = {name: PATIENCE_S[kind.priority] for name, kind in kinds.items()}
        self._limits: Final = {name: kind.concurrency_max for name, kind in kinds.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`: at each ring, when the next row is due, and every `job_relay_poll_s` anyway.

        Raises:
            RedisError | OSError | TimeoutError | Unavailable: see `relay_once`; the supervisor comes back.
        """
        queue = open_queue(self._market.config)
        try:
            await self.declare()
            while not stop.is_set():
                await self._wait(stop, await self._relay_all(queue, stop))
        finally:
            await close_queue(queue)

    async def relay_once(self, queue: ArqRedis) -> int:
        """Hand over up to one batch and return how many rows it took; 0 also when the queue is full.

        Raises:
            RedisError | OSError | TimeoutError: Redis is away; the rows are ready again, uncounted.
            Unavailable: Postgres is away; what was taken comes back when its lease ends.
        """
        # Asked first: rows that cannot be handed over need not be touched.
        await queue.ping()
        async with self._market.database.connection() as con:
            attempts = await queue_due(
                con,
                limit=BATCH_MAX,
                lease_s=self._queued_lease_s,
                queued_max=QUEUED_MAX,
                patience_s=self._patience_s,
            )
        if attempts:
            failpoint("relay.queued")
            await self._send(queue, attempts)
            failpoint("relay.sent")
        return len(attempts)

    async def declare(self) -> None:
        """Write down how many of each of this version's kinds may be under way at once."""
        async with self._market.database.connection() as con:
            await declare_limits(con, self._limits)

    async def _send(self, queue: ArqRedis, attempts: list[QueuedAttempt]) -> None:
        try:
            await enqueue(queue, attempts)
        except REDIS_AWAY:
            # Some messages may be there after all: they find their rows ready and claim nothing, or queued again
            # under the same number and claim that.
            async with self._market.database.connection() as con:
                await unqueue(con, [(attempt.id, attempt.attempt) for attempt in attempts])
            raise
        RELAYED.inc(len(attempts))

    async def _relay_all(self, queue: ArqRedis, stop: asyncio.Event) -> float:
        """Relay what is due; return the seconds after which to look again without being rung."""
        poll_s = self._market.config.job_relay_poll_s
        while not stop.is_set() and await self.relay_once(queue):
            pass
        async with self._market.database.connection() as con:
            next_s = await next_run_in_s(con)
        if next_s is None or next_s > poll_s:
            return poll_s
        # Overdue and not taken: the queue is full, or another relay is at it.
        return next_s if next_s > 0 else min(FULL_PAUSE_S, poll_s)

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        stopping = asyncio.create_task(stop.wait(), name="jobs.relay.stop")
        ring = asyncio.create_task(self._doorbell.wait(seconds), name="jobs.relay.ring")
        try:
            await asyncio.wait({stopping, ring}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopping, ring):
                task.cancel()
            await asyncio.gather(stopping, ring, return_exceptions=True)
