"""Job rows: written with the business change, claimed by attempt.

    ready -> queued -> running -> done
      ^        |          |-> ready (failed: again later; released; lease ran out) -> ...
      |        '-> ready (lease ran out, or not handed over)
      |--------- dead <- (attempts used up, or nothing would mend it); an operator requeues it
      '--------- cancelled <- (by an operator: at once, or, running, when its attempt comes to commit)

Every change of a held row is fenced by `(id, attempt, state)`: an attempt that lost its lease changes nothing.
A kind may be paused, and limited to so many under way at once: counted in Postgres, where a crash frees its place
with its lease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from feira.platform.domain.ids import JobId, UserId
from feira.platform.domain.jobs import PATIENCE_S, Job, kind_of
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("jobs")
EVERYBODY_ALIKE: Final[Mapping[str, float]] = MappingProxyType({})


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job about to be inserted."""

    kind: str
    args: msgspec.Raw
    run_at: datetime
    attempts_max: int
    dedup: str | None

    @classmethod
    def of(cls, job: Job, *, run_at: datetime, dedup: str | None) -> JobRow:
        return cls(
            kind=kind_of(type(job)),
            args=msgspec.Raw(msgspec.json.encode(job)),
            run_at=run_at,
            attempts_max=job.attempts_max,
            dedup=dedup,
        )


class QueuedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt for the relay to hand over; who has the earlier `rank_at` goes first."""

    id: JobId
    attempt: int
    rank_at: datetime


class ClaimedJob(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that is now this worker's, until its lease ends."""

    id: JobId
    attempt: int
    kind: str
    args: msgspec.Raw
    attempts_max: int
    run_at: datetime
    waited_s: float


class SweptJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job whose lease ran out."""

    id: JobId
    kind: str
    attempt: int
    is_dead: bool
    is_cancelled: bool
    last_error: str
    cancel_asked_by: UserId | None


class SettledAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job whose attempt ended without a commit."""

    state: Literal["ready", "dead", "cancelled"]
    cancel_asked_by: UserId | None


async def declare_limits(con: Connection, limits: Mapping[str, int | None]) -> None:
    """Write down how many of each kind may be under way at once."""
    await con.execute(SQL["declare_limits"], list(limits), list(limits.values()))


async def queue_due(
    con: Connection,
    *,
    limit: int,
    lease_s: float,
    queued_max: int = 2**31 - 1,
    patience_s: Mapping[str, float] = EVERYBODY_ALIKE,
    patience_else_s: float = PATIENCE_S["normal"],
) -> list[QueuedAttempt]:
    """Turn up to `limit` due jobs into queued attempts, by rank, while less than `queued_max` are queued.

    Any number of relays may do so at once.
    In a transaction of its own: limited kinds stay locked until it ends, so that no two relays count at once.
    """
    async with con.transaction():
        locked = await con.fetch(SQL["lock_limited_kinds"])
        attempts = await fetch_all(
            con,
            # A statement of its own: it sees what the relay before committed under the lock.
            SQL["queue_due"],
            QueuedAttempt,
            limit,
            lease_s,
            list(patience_s),
            list(patience_s.values()),
            patience_else_s,
            [row["kind"] for row in locked],
            queued_max,
        )
    return sorted(attempts, key=lambda attempt: attempt.rank_at)


async def unqueue(con: Connection, attempts: Sequence[tuple[JobId, int]]) -> None:
    """Give back attempts that could not be handed over, uncounted; those claimed meanwhile stay claimed."""
    jobs, numbers = [job for job, _ in attempts], [number for _, number in attempts]
    await con.execute(SQL["unqueue"], jobs, numbers)


async def next_run_in_s(con: Connection) -> float | None:
    """Seconds until the next ready job is due, negative when overdue; None when there is none."""
    return await con.fetchval(SQL["next_run_in_s"])


async def claim_attempt(
    con: Connection,
    job: JobId,
    attempt: int,
    *,
    leases_s: Mapping[str, float],
    lease_else_s: float,
    worker: str,
) -> ClaimedJob | None:
    """Claim a queued attempt, leased by its kind; None when it is taken, done, cancelled or overtaken."""
    kinds, leases = list(leases_s), list(leases_s.values())
    return await fetch_one(
        con, SQL["claim_attempt"], ClaimedJob, job, attempt, kinds, leases, lease_else_s, worker
    )


async def finish_attempt(con: Connection, job: JobId, attempt: int) -> bool:
    """Mark the job done; False when it is no longer this attempt's, or to be cancelled."""
    return bool(await con.fetchval(SQL["finish_attempt"], job, attempt))


async def fail_attempt(
    con: Connection, job: JobId, attempt: int, *, retry_in_s: float | None, error: str
) -> SettledAttempt | None:
    """Note what an attempt fell over; the job is ready again later, or, without `retry_in_s`, dead.

    Returns None when it is no longer this attempt's.
    """
    return await fetch_one(
        con, SQL["fail_attempt"], SettledAttempt, job, attempt, retry_in_s, error
    )


async def end_cancelled(con: Connection, job: JobId, attempt: int) -> SettledAttempt | None:
    """End an attempt that was not let commit because its cancelling was asked; None when that is not why."""
    return await fetch_one(con, SQL["end_cancelled"], SettledAttempt, job, attempt)


async def release_attempt(con: Connection, job: JobId, attempt: int) -> SettledAttempt | None:
    """Give a job back uncounted, or end it if its cancelling was asked; None when it is no longer this attempt's."""
    return await fetch_one(con, SQL["release_attempt"], SettledAttempt, job, attempt)


async def sweep_expired(con: Connection, *, limit: int) -> list[SweptJob]:
    """Free up to `limit` jobs whose lease ran out; a run that used up the attempts leaves its job dead."""
    return await fetch_all(con, SQL["sweep_expired"], SweptJob, limit)


class LastFire(msgspec.Struct, frozen=True, kw_only=True):
    """The last slot a schedule fired, if any, and the database's time."""

    name: str
    last_slot: datetime | None
    now: datetime


async def read_schedules(con: Connection, names: list[str]) -> list[LastFire]:
    return await fetch_all(con, SQL["read_schedules"], LastFire, names)


async def fire_slot(con: Connection, schedule: str, slot: datetime) -> bool:
    """Take a slot; False when somebody has it."""
    return bool(await con.fetchval(SQL["fire_slot"], schedule, slot))


async def is_unfinished(con: Connection, dedup: str) -> bool:
    """Whether the job with this dedup key still waits or runs."""
    return bool(await con.fetchval(SQL["is_unfinished"], dedup))


DONE_KEPT_DAYS = 7
DEAD_KEPT_DAYS = 90
FIRES_KEPT_DAYS = 7
IDEMPOTENCY_KEYS_KEPT_DAYS = 2

Purgeable = Literal["purge_jobs", "purge_fires", "purge_idempotency_keys"]


async def purge_step(con: Connection, what: Purgeable, *, limit: int) -> int:
    """Delete up to `limit` old rows and return how many."""
    days = {
        "purge_jobs": (DONE_KEPT_DAYS, DEAD_KEPT_DAYS),
        "purge_fires": (FIRES_KEPT_DAYS,),
        "purge_idempotency_keys": (IDEMPOTENCY_KEYS_KEPT_DAYS,),
    }[what]
    status = await con.execute(SQL[what], *days, limit)
    return int(status.rpartition(" ")[2])
