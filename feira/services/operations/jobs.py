"""Jobs as operators see them: how many wait, since when, what died, and giving it another chance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, cast
from uuid import UUID

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import Conflict, InvalidInput, NotFound
from feira.platform.domain.ids import JobId
from feira.platform.domain.job_events import JobRequeued
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.topics import OPS
from feira.sql.database import Tx
from feira.sql.jobs import SQL
from feira.sql.loader import Connection, fetch_all

JobState = Literal["ready", "queued", "running", "done", "dead"]

# What a requeued job gets at least, on top of what it used up.
REQUEUED_ATTEMPTS: Final = 12


class JobCount(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one kind in one state. `done` counts the last hour.

    `oldest_age_s` is how long the oldest has been due, or, done or dead, finished.
    """

    kind: str
    state: JobState
    count: int
    oldest_age_s: float


class JobCounts(msgspec.Struct, frozen=True, kw_only=True):
    items: list[JobCount]


class DeadJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that waits for an operator. `args` are as they were committed."""

    id: JobId
    kind: str
    args: msgspec.Raw
    attempt: int
    last_error: str | None
    created_at: datetime
    finished_at: datetime


class DeadJobPage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[DeadJob]
    next_cursor: str | None


class DeadJobFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=80)] | None = None


class RequeuedJob(msgspec.Struct, frozen=True, kw_only=True):
    id: JobId
    kind: str
    state: JobState


async def count_jobs(con: Connection, principal: Principal) -> JobCounts:
    """Count jobs by kind and state."""
    require("jobs.read", principal)
    return await read_job_counts(con)


async def read_job_counts(con: Connection) -> JobCounts:
    """The same for those whose right was asked for already."""
    return JobCounts(items=await fetch_all(con, SQL["count_jobs"], JobCount))


async def list_dead(con: Connection, principal: Principal, wanted: DeadJobFilter) -> DeadJobPage:
    """Return a page of dead jobs.

    Raises:
        InvalidInput: `jobs.cursor`.
    """
    require("jobs.read", principal)
    finished_at, last_id = _parse_cursor(wanted.cursor)
    rows = await fetch_all(con, SQL["list_dead"], DeadJob, finished_at, last_id, wanted.limit + 1)
    page = rows[: wanted.limit]
    return DeadJobPage(
        items=page,
        next_cursor=_cursor_after(page[-1]) if len(rows) > len(page) else None,
    )


async def requeue(tx: Tx, principal: Principal, job: JobId) -> RequeuedJob:
    """Make a dead job ready again, with fresh attempts.

    Raises:
        NotFound: `jobs.not_found`.
        Conflict: `jobs.not_dead`: it waits, runs or is done; `details.state` says which.
    """
    require("jobs.requeue", principal)
    kind = cast("str | None", await tx.con.fetchval(SQL["requeue_dead"], job, REQUEUED_ATTEMPTS))
    if kind is None:
        state = await tx.con.fetchval(SQL["read_job_state"], job)
        if state is None:
            raise NotFound("jobs.not_found", "There is no such job.")
        raise Conflict(
            "jobs.not_dead",
            f"Only dead jobs can be requeued; this one is {state}.",
            details={"state": state},
        )
    tx.emit(OPS, JobRequeued(job=job, job_kind=kind, by=principal.user_id))
    return RequeuedJob(id=job, kind=kind, state="ready")


def _cursor_after(job: DeadJob) -> str:
    return f"{job.finished_at.isoformat()}_{job.id}"


def _parse_cursor(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    if cursor is None:
        return None, None
    at, _, job = cursor.partition("_")
    try:
        # In UTC, since an offset may carry a moment beyond the years that there are.
        return datetime.fromisoformat(at).astimezone(UTC), UUID(job)
    except (ValueError, OverflowError):
        raise InvalidInput(
            "jobs.cursor", "Give the next_cursor of the page before, unchanged.", field="$.cursor"
        ) from None
