"""Job rows: written with the business change, claimed by attempt.

    ready -> queued -> running -> done
      ^        |          |-> ready (failed: again later; released; lease ran out) -> ...
      |        '-> ready (lease ran out, or not handed over)
      '---------- dead <- (attempts used up, or nothing would mend it); an operator requeues it

Every change of a held row is fenced by `(id, attempt, state)`: an attempt that lost its lease changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from feira.platform.domain.ids import JobId
from feira.platform.domain.jobs import Job
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("jobs")


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
    """An attempt for the relay to hand over."""

    id: JobId
    attempt: int


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
    last_error: str


def kind_of(job: type[Job]) -> str:
    """The kind's name in job rows: the struct's tag."""
    tag = job.__struct_config__.tag
    assert isinstance(tag, str), "every kind of job has a tag"
    return tag


async def queue_due(con: Connection, *, limit: int, lease_s: float) -> list[QueuedAttempt]:
    """Turn up to `limit` due jobs into queued attempts. Any number of relays may do so at once."""
    return await fetch_all(con, SQL["queue_due"], QueuedAttempt, limit, lease_s)


async def unqueue(con: Connection, attempts: list[QueuedAttempt]) -> None:
    """Give back attempts that could not be handed over, uncounted; those claimed meanwhile stay claimed."""
    await con.execute(SQL["unqueue"], [a.id for a in attempts], [a.attempt for a in attempts])


async def next_run_in_s(con: Connection) -> float | None:
    """Seconds until the next ready job is due, negative when overdue; None when there is none."""
    return await con.fetchval(SQL["next_run_in_s"])


async def claim_attempt(
    con: Connection, job: JobId, attempt: int, *, leases_s: dict[str, float], lease_else_s: float
) -> ClaimedJob | None:
    """Claim a queued attempt, leased by its kind; None when it is taken, done or overtaken."""
    kinds, leases = list(leases_s), list(leases_s.values())
    return await fetch_one(
        con, SQL["claim_attempt"], ClaimedJob, job, attempt, kinds, leases, lease_else_s
    )


async def finish_attempt(con: Connection, job: JobId, attempt: int) -> bool:
    """Mark the job done; False when it is no longer this attempt's."""
    return bool(await con.fetchval(SQL["finish_attempt"], job, attempt))


async def retry_attempt(
    con: Connection, job: JobId, attempt: int, *, delay_s: float, error: str
) -> bool:
    return bool(await con.fetchval(SQL["retry_attempt"], job, attempt, delay_s, error))


async def bury_attempt(con: Connection, job: JobId, attempt: int, *, error: str) -> bool:
    return bool(await con.fetchval(SQL["bury_attempt"], job, attempt, error))


async def release_attempt(con: Connection, job: JobId, attempt: int) -> bool:
    return bool(await con.fetchval(SQL["release_attempt"], job, attempt))


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
