"""Jobs as operators see and steer them: what waits, since when, what failed and why; requeue, cancel, pause."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast
from uuid import UUID

import msgspec

from feira.platform.domain.errors import Conflict, InvalidInput, NotFound
from feira.platform.domain.ids import JobId
from feira.platform.domain.job_events import (
    JobCancelAsked,
    JobCancelled,
    JobKindPaused,
    JobKindResumed,
    JobRequeued,
    JobsRequeued,
)
from feira.platform.domain.jobs import known_kinds
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.topics import OPS
from feira.services.audit.recording import record
from feira.services.operations.job_views import (
    FailedAttempt,
    JobDetail,
    JobFilter,
    JobKind,
    JobKindRow,
    JobKinds,
    JobPage,
    JobRow,
    JobState,
    JobView,
    PauseKind,
    RequeuedKind,
    SteeredJob,
    SteeredKind,
)
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("operations_jobs")

# What a requeued job gets at least, on top of what it used up.
REQUEUED_ATTEMPTS: Final = 12
# Of one transaction: the rows stay locked until it ends.
REQUEUED_AT_ONCE_MAX: Final = 500
FAILURES_SHOWN_MAX: Final = 50
_LISTS: Final[Mapping[JobState, str]] = {
    "ready": "list_ready",
    "queued": "list_held",
    "running": "list_held",
    "done": "list_finished",
    "dead": "list_finished",
    "cancelled": "list_finished",
}


async def show_kinds(con: Connection, principal: Principal) -> JobKinds:
    """Count each kind's jobs by state."""
    require("jobs.read", principal)
    return await read_kinds(con)


async def read_kinds(con: Connection) -> JobKinds:
    """The same for those whose right was asked for already."""
    known = known_kinds()
    rows = await fetch_all(con, SQL["read_job_kinds"], JobKindRow, list(known))
    return JobKinds(
        items=[
            JobKind(
                **msgspec.structs.asdict(row),
                priority=known[row.kind].priority if row.kind in known else "normal",
            )
            for row in rows
        ]
    )


async def list_jobs(con: Connection, principal: Principal, wanted: JobFilter) -> JobPage:
    """Return a page of one state's jobs.

    Raises:
        InvalidInput: `jobs.cursor`.
    """
    require("jobs.read", principal)
    since, last_id = _parse_cursor(wanted.cursor)
    name = _LISTS[wanted.state]
    args = [wanted.kind, wanted.older_than_s, since, last_id, wanted.limit + 1]
    if name != "list_ready":
        args.append(wanted.state)
    rows = await fetch_all(con, SQL[name], JobView, *args)
    page = rows[: wanted.limit]
    return JobPage(
        items=page, next_cursor=_cursor_after(page[-1]) if len(rows) > len(page) else None
    )


async def show_job(con: Connection, principal: Principal, job: JobId) -> JobDetail:
    """Return a job and what its failed attempts said.

    Raises:
        NotFound: `jobs.not_found`.
    """
    require("jobs.read", principal)
    row = await fetch_one(con, SQL["read_job"], JobRow, job)
    if row is None:
        raise _no_such_job()
    failures = await fetch_all(con, SQL["read_failures"], FailedAttempt, job, FAILURES_SHOWN_MAX)
    return JobDetail(**msgspec.structs.asdict(row), failures=failures)


async def requeue(tx: Tx, principal: Principal, job: JobId) -> SteeredJob:
    """Make a dead or cancelled job ready again, with fresh attempts.

    Raises:
        NotFound: `jobs.not_found`.
        Conflict: `jobs.not_dead`: it waits, runs or is done; `details.state` says which.
    """
    require("jobs.steer", principal)
    kind, state = await _lock(tx, job)
    if await tx.con.fetchval(SQL["requeue_job"], job, REQUEUED_ATTEMPTS) is None:
        raise Conflict(
            "jobs.not_dead",
            f"Only dead and cancelled jobs can be requeued; this one is {state}.",
            details={"state": state},
        )
    tx.emit(OPS, JobRequeued(job=job, job_kind=kind, by=principal.user_id))
    await record(
        tx,
        principal,
        "job.requeue",
        "job",
        job,
        before={"kind": kind, "state": state},
        after={"state": "ready"},
    )
    return SteeredJob(id=job, kind=kind, state="ready")


async def requeue_kind(tx: Tx, principal: Principal, kind: str) -> RequeuedKind:
    """Make a kind's dead jobs ready again, the oldest first, up to `REQUEUED_AT_ONCE_MAX` of them.

    Raises:
        NotFound: `jobs.unknown_kind`. One that only another version knows may still have dead jobs here.
    """
    require("jobs.steer", principal)
    rows = await tx.con.fetch(
        SQL["requeue_dead_of_kind"], kind, REQUEUED_ATTEMPTS, REQUEUED_AT_ONCE_MAX
    )
    if not rows:
        _require_known(kind)
    else:
        tx.emit(OPS, JobsRequeued(job_kind=kind, count=len(rows), by=principal.user_id))
    await record(tx, principal, "job.requeue_kind", "job_kind", kind, after={"requeued": len(rows)})
    return RequeuedKind(kind=kind, requeued=len(rows), more=len(rows) == REQUEUED_AT_ONCE_MAX)


async def cancel(tx: Tx, principal: Principal, job: JobId) -> SteeredJob:
    """Cancel a job: at once where it waits; where it runs, its attempt will find that it may not commit.

    Raises:
        NotFound: `jobs.not_found`.
        Conflict: `jobs.not_cancellable`: its kind finishes what was promised elsewhere.
        Conflict: `jobs.finished`: it came to its end before; `details.state` says which.
    """
    require("jobs.steer", principal)
    kind, state = await _lock(tx, job)
    known = known_kinds().get(kind)
    if known is not None and not known.is_cancellable:
        raise Conflict(
            "jobs.not_cancellable",
            f"Jobs of {kind} finish what was promised about money; cancel what they are about instead.",
        )
    cancelled = cast(
        "JobState | None", await tx.con.fetchval(SQL["cancel_job"], job, principal.user_id)
    )
    if cancelled is None:
        raise Conflict("jobs.finished", f"This job is {state} already.", details={"state": state})
    event = JobCancelAsked if cancelled == "running" else JobCancelled
    tx.emit(OPS, event(job=job, job_kind=kind, by=principal.user_id))
    await record(
        tx,
        principal,
        "job.cancel",
        "job",
        job,
        before={"kind": kind, "state": state},
        after={"state": cancelled},
    )
    return SteeredJob(id=job, kind=kind, state=cancelled)


async def pause_kind(tx: Tx, principal: Principal, kind: str, wanted: PauseKind) -> SteeredKind:
    """Hand over no more jobs of a kind, on no worker, until it is resumed. Again is no change.

    Raises:
        NotFound: `jobs.unknown_kind`.
    """
    require("jobs.steer", principal)
    _require_known(kind)
    if await tx.con.fetchval(SQL["pause_kind"], kind, principal.user_id, wanted.reason):
        tx.emit(OPS, JobKindPaused(job_kind=kind, reason=wanted.reason, by=principal.user_id))
        await record(tx, principal, "job.pause_kind", "job_kind", kind, reason=wanted.reason)
    return SteeredKind(kind=kind, paused=True)


async def resume_kind(tx: Tx, principal: Principal, kind: str) -> SteeredKind:
    """Go on with a kind. Again, or one that was never paused, is no change.

    Raises:
        NotFound: `jobs.unknown_kind`. One that only another version knows may still be paused here.
    """
    require("jobs.steer", principal)
    if not await tx.con.fetchval(SQL["resume_kind"], kind):
        _require_known(kind)
    else:
        tx.emit(OPS, JobKindResumed(job_kind=kind, by=principal.user_id))
        await record(tx, principal, "job.resume_kind", "job_kind", kind)
    return SteeredKind(kind=kind, paused=False)


async def _lock(tx: Tx, job: JobId) -> tuple[str, JobState]:
    row = await tx.con.fetchrow(SQL["lock_job"], job)
    if row is None:
        raise _no_such_job()
    return row["kind"], row["state"]


def _require_known(kind: str) -> None:
    if kind not in known_kinds():
        raise NotFound("jobs.unknown_kind", f"There are no jobs of a kind {kind!r}.")


def _no_such_job() -> NotFound:
    return NotFound("jobs.not_found", "There is no such job.")


def _cursor_after(job: JobView) -> str:
    return f"{job.since.isoformat()}_{job.id}"


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
