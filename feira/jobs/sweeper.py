"""Frees jobs whose holder fell silent: leases that ran out become ready, or dead after the last attempt."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import structlog

from feira.jobs.metrics import SWEPT
from feira.jobs.supervision import pause
from feira.platform.domain.job_events import JobCancelled, JobDied
from feira.platform.domain.topics import OPS
from feira.platform.runtime.doorbell import Doorbell
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.jobs import SweptJob, sweep_expired

BATCH_MAX: Final = 100
EVERY_S: Final = 5.0

log = structlog.get_logger(__name__)


class Sweeper:
    """The sweeper of one worker process; any number of them work side by side."""

    def __init__(self, market: Market, doorbell: Doorbell, *, every_s: float = EVERY_S) -> None:
        self._market: Final = market
        self._doorbell: Final = doorbell
        self._every_s: Final = every_s

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if await self.sweep_once() < BATCH_MAX:
                # Spread, so that the workers of a fleet do not all look at once.
                await pause(stop, self._every_s * random.uniform(0.5, 1))  # noqa: S311

    async def sweep_once(self) -> int:
        """Free up to a batch of jobs and return how many."""
        swept = await self._market.database.transact(self._sweep)
        if swept:
            failpoint("sweeper.swept")
        for job in swept:
            outcome = "dead" if job.is_dead else "cancelled" if job.is_cancelled else "ready"
            SWEPT.labels(job.kind, outcome).inc()
            log.warning(
                "job_lease_ran_out",
                job=str(job.id),
                kind=job.kind,
                attempt=job.attempt,
                now=outcome,
            )
        # Also for one that ended: its place in a limited kind is free.
        if swept:
            self._doorbell.ring()
        return len(swept)

    async def _sweep(self, tx: Tx) -> list[SweptJob]:
        swept = await sweep_expired(tx.con, limit=BATCH_MAX)
        if swept:
            failpoint("sweeper.sweeping")
        for job in swept:
            if job.is_dead:
                tx.emit(
                    OPS,
                    JobDied(
                        job=job.id, job_kind=job.kind, attempt=job.attempt, error=job.last_error
                    ),
                )
            if job.is_cancelled:
                tx.emit(OPS, JobCancelled(job=job.id, job_kind=job.kind, by=job.cancel_asked_by))
        return swept
