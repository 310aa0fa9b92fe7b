"""The worker: relay, arq, sweeper and schedule in one process, each restarted alone when it falls.

arq polls Redis and starts `perform`; everything that matters is decided in Postgres. Attempts are tasks of
ours, not arq's: when arq ends because Redis is away (after about two seconds), running attempts go on.

Stopping: claim nothing more, let what runs finish within `drain_s`, give the rest back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import structlog
from arq.worker import Worker as ArqWorker
from arq.worker import func

from feira.jobs.attempts import LEASE_MARGIN_S, Attempts
from feira.jobs.queue import PERFORM, REDIS_AWAY, close_queue, open_queue, pack, queue_name, unpack
from feira.jobs.relay import QUEUED_LEASE_S, Relay
from feira.jobs.run import Handlers
from feira.jobs.schedule import SCHEDULES, Schedule, Ticker
from feira.jobs.supervision import keep_running
from feira.jobs.sweeper import EVERY_S, Sweeper
from feira.platform.domain.errors import Conflict, Unavailable
from feira.platform.domain.ids import JobId
from feira.platform.runtime.doorbell import Doorbell
from feira.platform.runtime.ending import end_tasks
from feira.services.market import Market
from feira.sql.jobs import unqueue

JOBS_AT_ONCE_MAX: Final = 8
POLL_DELAY_S: Final = 0.05
# Releasing what was cancelled, and arq's farewell to Redis.
FAREWELL_S: Final = 5.0

log = structlog.get_logger(__name__)


async def run_worker(
    market: Market,
    doorbell: Doorbell,
    stop: asyncio.Event,
    *,
    handlers: Handlers | None = None,
    schedules: Sequence[Schedule] = SCHEDULES,
    jobs_at_once_max: int = JOBS_AT_ONCE_MAX,
    sweep_every_s: float = EVERY_S,
    queued_lease_s: float = QUEUED_LEASE_S,
    lease_margin_s: float = LEASE_MARGIN_S,
) -> None:
    """Work until `stop` is set, then drain for up to `config.drain_s` and return.

    Starts without Redis and without Postgres being there, and goes on by itself when they come (back).
    """
    if handlers is None:
        from feira.jobs.handlers import HANDLERS

        handlers = HANDLERS
    attempts = Attempts(market, handlers, doorbell, lease_margin_s=lease_margin_s)
    hands = Hands(market, attempts, jobs_at_once_max=jobs_at_once_max)
    loops = {
        "relay": Relay(market, doorbell, queued_lease_s=queued_lease_s).run,
        "arq": hands.run,
        "sweeper": Sweeper(market, doorbell, every_s=sweep_every_s).run,
        "schedule": Ticker(market, schedules).run,
    }
    # A line or two a job at level info; ours say more.
    logging.getLogger("arq").setLevel(logging.WARNING)
    log.info("worker_started", kinds=len(handlers), schedules=len(schedules))
    try:
        async with asyncio.TaskGroup() as group:
            for name, body in loops.items():
                group.create_task(keep_running(name, body, stop), name=f"jobs.{name}")
        # Drained already, unless Redis was away in the end.
        await hands.drain()
    finally:
        await hands.release()
    log.info("worker_stopped")


class Hands:
    """The arq side of a worker process, and the attempts it started."""

    def __init__(self, market: Market, attempts: Attempts, *, jobs_at_once_max: int) -> None:
        self._market: Final = market
        self._attempts: Final = attempts
        self._jobs_at_once_max: Final = jobs_at_once_max
        self._running: Final[set[asyncio.Task[None]]] = set()
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Poll the queue until `stop`, then let what runs finish within `drain_s`.

        Raises:
            RedisError | OSError | TimeoutError: Redis is away; attempts go on.
        """
        queue = open_queue(self._market.config)
        arq = ArqWorker(
            [func(self._perform, name=PERFORM)],
            queue_name=queue_name(self._market.config),
            redis_pool=queue,
            handle_signals=False,
            max_jobs=self._jobs_at_once_max,
            # Above every kind's own; also when a message that died with its worker is cleared away. Rows have
            # leases and backoffs: arq repeats nothing.
            job_timeout=self._attempts.longest_s + self._market.config.drain_s + FAREWELL_S,
            max_tries=1,
            retry_jobs=False,
            keep_result=0,
            poll_delay=POLL_DELAY_S,
            log_results=False,
            job_serializer=pack,
            job_deserializer=unpack,
        )
        polling = asyncio.create_task(arq.main(), name="jobs.arq.poll")
        stopping = asyncio.create_task(stop.wait(), name="jobs.arq.stop")
        try:
            await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if polling.done():
                polling.result()
            self._stopping = True
            # A burst of no jobs: arq starts nothing more, awaits its tasks, and returns.
            arq.allow_pick_jobs, arq.burst, arq.max_burst_jobs = False, True, 0
            await self.drain()
            await self.release()
            # Attempts that are over take their messages off the queue.
            await asyncio.wait({polling}, timeout=FAREWELL_S)
        finally:
            # Cancels arq's part of an attempt only; the attempt itself goes on.
            await _end([polling, stopping, *arq.tasks.values()])
            await close_queue(queue)

    async def drain(self) -> None:
        """Let what runs finish within `drain_s`."""
        drain_s = self._market.config.drain_s
        if self._running:
            log.info("worker_drains", running=len(self._running), drain_s=drain_s)
            await asyncio.wait(set(self._running), timeout=drain_s)

    async def release(self) -> None:
        """Cancel what still runs; each attempt gives its job back."""
        running = list(self._running)
        if running:
            log.warning("worker_releases_jobs", count=len(running))
            await _end(running)

    async def _perform(self, ctx: dict[Any, Any], job_id: str, attempt: int) -> None:
        del ctx
        job = JobId(UUID(job_id))
        if self._stopping:
            await self._give_back(job, attempt)
            return
        task = asyncio.create_task(
            self._attempts.perform(job, attempt), name=f"job:{job_id}:{attempt}"
        )
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # Not `await task`: arq being cancelled must not cancel the attempt, nor the other way round.
        await asyncio.wait({task})

    async def _give_back(self, job: JobId, attempt: int) -> None:
        try:
            async with self._market.database.connection() as con:
                await unqueue(con, [(job, attempt)])
        except (Unavailable, Conflict) as error:
            # Its lease runs out, then.
            log.warning("job_not_given_back", job=str(job), attempt=attempt, error=error.code)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for them; what they fell over is logged, not raised."""
    for error in await end_tasks(tasks):
        if isinstance(error, REDIS_AWAY):
            log.debug("job_task_lost_redis", error=str(error))
        else:
            log.error("job_task_fell", exc_info=error)
