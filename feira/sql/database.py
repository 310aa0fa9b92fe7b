"""Pools and transactions: the one way to change anything.

`Database.transact(work)` opens a transaction, runs `work(tx)`, appends the events and jobs that `work` asked
for in one statement each, commits, and only then hands the events to the publisher. A serialisation failure
or a deadlock runs `work` again; `work` must therefore have no effect outside its transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, TypeVar, cast

import asyncpg
import msgspec

from feira.platform.domain.errors import Conflict
from feira.platform.domain.events import Event, TopicBatch
from feira.platform.domain.jobs import Job
from feira.platform.domain.topics import Topic
from feira.sql.connection_errors import AWAY, explained, unavailable
from feira.sql.jobs import JobRow
from feira.sql.kept_connection import KeptConnection
from feira.sql.loader import Connection
from feira.sql.migrate import APP_ROLE
from feira.sql.pulse import Pulse, asking
from feira.sql.topics import append_events_and_jobs

T = TypeVar("T")

ACQUIRE_TIMEOUT_S: Final = 2.0
CONNECT_TIMEOUT_S: Final = 10.0
STATEMENT_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 3.0
RETRIES_MAX: Final = 5

SESSION_SETTINGS: Final = {
    "application_name": "feira",
    # Whoever signs in acts as a role that cannot change the ledger: rights.sql.
    "role": APP_ROLE,
    "timezone": "UTC",
    "lock_timeout": "3000",
    "idle_in_transaction_session_timeout": "10000",
    # Plans of our short statements never pay back the compilation.
    "jit": "off",
    # What is read often is in memory, the rest on solid disks: a few rows are looked up, not searched for.
    "random_page_cost": "1.1",
}

_RETRY: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


class Tx:
    """One open transaction: a connection, its timestamp, and what to tell the world once it commits."""

    def __init__(self, con: Connection, now: datetime) -> None:
        self.con: Final = con
        self.now: Final = now
        """The transaction's start by the database's clock, UTC."""
        self._events: list[tuple[Topic, Event]] = []
        self._appended: list[TopicBatch] = []
        self._jobs: list[JobRow] = []
        self.passing: Final[list[tuple[Topic, object]]] = []

    def emit(self, topic: Topic, event: Event) -> None:
        """Append an event to a topic's log when this transaction commits."""
        self._events.append((topic, event))

    def appended(self, batch: TopicBatch) -> None:
        """Publish events that this transaction wrote to their log itself, when it commits."""
        self._appended.append(batch)

    def tell(self, topic: Topic, message: object) -> None:
        """Push a message of the protocol to whoever watches when this commits. It is not stored; a lost one is lost."""
        self.passing.append((topic, message))

    def enqueue(
        self, job: Job, *, run_at: datetime | None = None, dedup: str | None = None
    ) -> None:
        """Have a job done after this transaction commits, not before `run_at`.

        A `dedup` key that already exists makes this a no-op: the job is known.
        """
        self._jobs.append(JobRow.of(job, run_at=run_at or self.now, dedup=dedup))

    async def flush(self) -> list[TopicBatch]:
        """Write events and jobs. Topic rows are locked last and in order, so that no two writers wait in a ring."""
        emitted = await append_events_and_jobs(self.con, self._events, self._jobs)
        return [*self._appended, *emitted]

    @property
    def has_jobs(self) -> bool:
        return bool(self._jobs)


class Database:
    """The primary's pool and what happens after each commit."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        *,
        on_events: Callable[[list[TopicBatch]], None],
        on_jobs: Callable[[], None],
        pulse: Pulse,
        on_passing: Callable[[Topic, object], None] | None = None,
    ) -> None:
        self._pool = pool
        self._on_passing = on_passing
        self._pulse = pulse
        self._on_events = on_events
        self._on_jobs = on_jobs

    async def transact(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` in a transaction and return what it returned, after the commit.

        Raises:
            Unavailable: `database.unavailable`: Postgres cannot be reached, or the connection was lost and
                the outcome is unknown. Repeat with the same idempotency key or client id.
            Conflict: `database.busy`: a row stayed locked longer than `lock_timeout`.
        """
        for attempt in range(1, RETRIES_MAX + 1):
            try:
                result, tx, batches = await self._attempt(work)
            except _RETRY:
                if attempt == RETRIES_MAX:
                    raise Conflict(
                        "database.contended", "Too many changes at once; please try again."
                    ) from None
                # Full jitter, so that the writers that collided do not meet again.
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311
                continue
            if batches:
                self._on_events(batches)
            if tx.has_jobs:
                self._on_jobs()
            if self._on_passing is not None:
                for topic, message in tx.passing:
                    self._on_passing(topic, message)
            return result
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(self, work: Callable[[Tx], Awaitable[T]]) -> tuple[T, Tx, list[TopicBatch]]:
        async with self.connection() as con, con.transaction():
            now = cast("datetime", await con.fetchval("SELECT now()"))
            tx = Tx(con, now)
            result = await work(tx)
            batches = await tx.flush()
        return result, tx, batches

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend a connection in autocommit, for reads and single statements.

        Raises:
            Unavailable: see `transact`.
            Conflict: see `transact`.
        """
        if self._pulse.is_away:
            raise unavailable()
        try:
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as lent:
                con = cast("Connection", lent)
                self._pulse.watch(con)
                try:
                    yield con
                except Exception as error:
                    known = explained(error, con)
                    if known is None:
                        raise
                    raise known from error
                finally:
                    self._pulse.unwatch(con)
        except asyncpg.InterfaceError as error:
            if self._pool.is_closing():
                raise unavailable() from error
            raise
        except AWAY as error:
            raise unavailable() from error

    def keep_connection(self) -> KeptConnection:
        """A connection for a task that has one statement after the other; the task gives it back when it ends."""
        return KeptConnection(self._pool, self._pulse, within_s=ACQUIRE_TIMEOUT_S)

    async def close(self) -> None:
        """Give connections back to Postgres, or drop them where it does not take them."""
        await self._pulse.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


@asynccontextmanager
async def open_quiet_database(dsn: str) -> AsyncGenerator[Database]:
    """For commands: a commit rings no bell, so that watchers and workers learn of it at their next look."""
    pool = await open_pool(dsn, size_min=1, size_max=2)
    database = Database(
        pool, on_events=lambda _: None, on_jobs=lambda: None, pulse=Pulse(asking(dsn))
    )
    try:
        yield database
    finally:
        await database.close()


async def open_pool(dsn: str, *, size_min: int, size_max: int) -> asyncpg.Pool[asyncpg.Record]:
    """Open a pool whose connections speak JSON as bytes, UTC, and give up on locks after 3 s."""
    pool = asyncpg.create_pool(
        dsn,
        min_size=size_min,
        max_size=size_max,
        command_timeout=STATEMENT_TIMEOUT_S,
        # Callers give up after ACQUIRE_TIMEOUT_S all the same; a start on a busy machine may take longer.
        timeout=CONNECT_TIMEOUT_S,
        init=_prepare_connection,
        reset=_keep_session,
        server_settings=SESSION_SETTINGS,
    )
    return await pool


async def _prepare_connection(con: asyncpg.Connection[asyncpg.Record]) -> None:
    """Pass `json` and `jsonb` columns through as `msgspec.Raw` both ways: they are decoded by type at the edge."""
    for name in ("json", "jsonb"):
        prefix = b"\x01" if name == "jsonb" else b""

        def encode(value: object, prefix: bytes = prefix) -> bytes:
            return prefix + bytes(
                value if isinstance(value, msgspec.Raw | bytes) else msgspec.json.encode(value)
            )

        def decode(value: bytes, skip: int = len(prefix)) -> msgspec.Raw:
            return msgspec.Raw(value[skip:])

        await con.set_type_codec(
            name, schema="pg_catalog", encoder=encode, decoder=decode, format="binary"
        )


async def _keep_session(_con: asyncpg.Connection[asyncpg.Record]) -> None:
    """Give a connection back as it is: asyncpg would otherwise run a query after every use, and wait for it.

    No statement of ours leaves anything in its session: locks and settings are the transaction's own, and a
    transaction that was left open asyncpg rolls back before this.
    """
