"""A worker's surroundings on a database of its own, and ways to look at jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

import asyncpg

from feira.jobs.attempts import Attempts
from feira.jobs.handlers import HANDLERS
from feira.jobs.relay import QUEUED_LEASE_S
from feira.jobs.run import Handler, Handlers, JobRun
from feira.jobs.worker import run_worker
from feira.platform.domain.ids import JobId
from feira.platform.domain.jobs import Job
from feira.platform.runtime.config import Config
from feira.platform.runtime.doorbell import Doorbell, jobs_doorbell
from feira.services.market import Market
from feira.sql.database import Database, Tx, open_pool
from feira.sql.jobs import QueuedAttempt
from feira.sql.pulse import Pulse, asking


class Mark(Job, frozen=True, kw_only=True, tag="test.mark"):
    """Its effect is one row of `marks`."""

    attempts_max: ClassVar[int] = 3
    timeout_s: ClassVar[float] = 5.0
    name: str


class Stall(Job, frozen=True, kw_only=True, tag="test.stall"):
    attempts_max: ClassVar[int] = 2
    timeout_s: ClassVar[float] = 0.1


class Nobody(Job, frozen=True, kw_only=True, tag="test.nobody"):
    """A kind without a handler."""


@dataclass
class Room:
    """A worker's surroundings, on a database of its own."""

    market: Market
    doorbell: Doorbell
    started: list[tuple[str, int]] = field(default_factory=list)
    failing: list[Exception] = field(default_factory=list)
    more_handlers: Handlers = field(default_factory=dict[type[Job], Handler])
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def handlers(self) -> Handlers:
        return {Mark: self.mark, Stall: self.stall, **self.more_handlers}

    async def mark(self, run: JobRun, job: Mark) -> None:
        self.started.append((job.name, run.attempt))
        if self.failing:
            raise self.failing.pop(0)
        await self.gate.wait()

        async def insert(tx: Tx) -> None:
            await tx.con.execute("INSERT INTO marks VALUES ($1, $2)", job.name, run.attempt)

        await run.commit(insert)

    async def stall(self, run: JobRun, job: Stall) -> None:
        await asyncio.Event().wait()

    async def add(self, job: Job, *, dedup: str) -> JobId:
        async def work(tx: Tx) -> None:
            tx.enqueue(job, dedup=dedup)

        await self.market.database.transact(work)
        return await self.value("SELECT id FROM jobs WHERE dedup = $1", dedup)

    async def queue_one(self, job: Job, *, dedup: str) -> QueuedAttempt:
        """Add a job and take its first attempt, as the relay would."""
        job_id = await self.add(job, dedup=dedup)
        await self.execute(
            "UPDATE jobs SET state = 'queued', attempt = 1, lease_until = now() + interval '1 min'"
            " WHERE id = $1",
            job_id,
        )
        return QueuedAttempt(id=job_id, attempt=1, rank_at=datetime.now(UTC))

    async def value(self, statement: str, *args: Any) -> Any:
        async with self.market.database.connection() as con:
            return await con.fetchval(statement, *args)

    async def execute(self, statement: str, *args: Any) -> None:
        async with self.market.database.connection() as con:
            await con.execute(statement, *args)

    async def state(self, job: JobId) -> str:
        return await self.value("SELECT state::text FROM jobs WHERE id = $1", job)

    async def expire_lease(self, job: JobId) -> None:
        await self.execute(
            "UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = $1", job
        )

    async def marks(self, name: str) -> list[int]:
        async with self.market.database.connection() as con:
            rows = await con.fetch("SELECT attempt FROM marks WHERE name = $1", name)
        return [row["attempt"] for row in rows]

    @asynccontextmanager
    async def worker(
        self, *, queued_lease_s: float = QUEUED_LEASE_S
    ) -> AsyncGenerator[asyncio.Event]:
        stop = asyncio.Event()
        task = asyncio.create_task(
            run_worker(
                self.market,
                self.doorbell,
                stop,
                handlers=self.handlers,
                schedules=(),
                sweep_every_s=0.1,
                queued_lease_s=queued_lease_s,
            )
        )
        try:
            yield stop
        finally:
            stop.set()
            await task


@asynccontextmanager
async def open_room(config: Config) -> AsyncGenerator[Room]:
    doorbell = jobs_doorbell(config)
    pool = await open_pool(config.postgres_dsn, size_min=1, size_max=10)
    database = Database(
        pool,
        on_events=lambda _: None,
        on_jobs=doorbell.ring,
        pulse=Pulse(asking(config.postgres_dsn)),
    )
    # Of the market, jobs as such need the configuration and the database.
    absent = cast("Any", None)
    market = Market(
        config=config,
        database=database,
        tokens=absent,
        payments=absent,
        storage=absent,
        search=absent,
        mail=absent,
    )
    room = Room(market=market, doorbell=doorbell)
    room.gate.set()
    owner = await asyncpg.connect(config.postgres_dsn)
    await owner.execute(
        "CREATE TABLE IF NOT EXISTS marks (name text NOT NULL, attempt int NOT NULL);"
        "CREATE TABLE IF NOT EXISTS outside (key text PRIMARY KEY, calls int NOT NULL)"
    )
    await owner.close()
    try:
        yield room
    finally:
        await doorbell.close()
        await database.close()


async def perform(market: Market, dedup: str) -> str:
    """Perform the next attempt at one committed job with its real handler; return its state after it."""
    async with market.database.connection() as con:
        row = await con.fetchrow(
            "UPDATE jobs SET state = 'queued', attempt = attempt + 1, finished_at = NULL,"
            " lease_until = now() + interval '1 min' WHERE dedup = $1 RETURNING id, attempt",
            dedup,
        )
    assert row is not None, f"no job {dedup}"
    await Attempts(market, HANDLERS).perform(row["id"], row["attempt"])
    async with market.database.connection() as con:
        return await con.fetchval("SELECT state::text FROM jobs WHERE id = $1", row["id"])


async def until(check: Callable[[], Awaitable[bool]], *, deadline_s: float = 20) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + deadline_s
    while not await check():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)


async def holds(value: Awaitable[Any], expected: Any) -> bool:
    return await value == expected


async def now(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
