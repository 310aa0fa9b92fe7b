"""Jobs, for the market's own people."""

from __future__ import annotations

from typing import Final

from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.platform.domain.ids import JobId
from feira.services.operations import jobs
from feira.services.operations.job_views import (
    JobDetail,
    JobFilter,
    JobKinds,
    JobPage,
    KindName,
    PauseKind,
    RequeuedKind,
    SteeredJob,
    SteeredKind,
)
from feira.sql.database import Tx


@endpoint(
    "GET",
    "/v1/operations/jobs/kinds",
    service="operations",
    summary="Show each kind of job: how many in which state, since when, paused or limited.",
)
async def show_kinds(call: Call) -> JobKinds:
    """For support, finance and admins. What happens to jobs is also told on the topic `ops`; `feira jobs` shows it live."""
    async with call.market.database.connection() as con:
        return await jobs.show_kinds(con, call.principal)


@endpoint(
    "GET",
    "/v1/operations/jobs",
    service="operations",
    summary="List jobs of one state, dead ones unless another is asked for.",
)
async def list_jobs(call: Call, query: JobFilter) -> JobPage:
    """For support, finance and admins. Unfinished ones come the oldest first, finished ones the latest."""
    async with call.market.database.connection() as con:
        return await jobs.list_jobs(con, call.principal, query)


@endpoint(
    "GET",
    "/v1/operations/jobs/{job}",
    service="operations",
    summary="Show a job and what its failed attempts said.",
)
async def show_job(call: Call, job: JobId) -> JobDetail:
    """For support, finance and admins."""
    async with call.market.database.connection() as con:
        return await jobs.show_job(con, call.principal, job)


@endpoint(
    "POST",
    "/v1/operations/jobs/{job}/requeue",
    service="operations",
    summary="Give a dead or cancelled job its attempts again.",
)
async def requeue(call: Call, job: JobId) -> SteeredJob:
    """For admins, once the cause is mended. It runs as soon as a worker is free."""

    async def work(tx: Tx) -> SteeredJob:
        return await jobs.requeue(tx, call.principal, job)

    return await call.transact(SteeredJob, work)


@endpoint(
    "POST",
    "/v1/operations/jobs/{job}/cancel",
    service="operations",
    summary="Cancel a job that waits or runs.",
)
async def cancel(call: Call, job: JobId) -> SteeredJob:
    """For admins. What waits ends at once; what runs may have called outside already, but commits nothing more."""

    async def work(tx: Tx) -> SteeredJob:
        return await jobs.cancel(tx, call.principal, job)

    return await call.transact(SteeredJob, work)


@endpoint(
    "POST",
    "/v1/operations/jobs/kinds/{kind}/requeue",
    service="operations",
    summary="Give a kind's dead jobs their attempts again, some hundreds at a time.",
)
async def requeue_kind(call: Call, kind: KindName) -> RequeuedKind:
    """For admins, once the cause is mended. Repeat it while `more` is true."""

    async def work(tx: Tx) -> RequeuedKind:
        return await jobs.requeue_kind(tx, call.principal, kind)

    return await call.transact(RequeuedKind, work)


@endpoint(
    "POST",
    "/v1/operations/jobs/kinds/{kind}/pause",
    service="operations",
    summary="Hand over no more jobs of a kind.",
)
async def pause_kind(call: Call, kind: KindName, body: PauseKind) -> SteeredKind:
    """For admins. On all workers, until it is resumed; what is under way goes on, what comes meanwhile waits."""

    async def work(tx: Tx) -> SteeredKind:
        return await jobs.pause_kind(tx, call.principal, kind, body)

    return await call.transact(SteeredKind, work)


@endpoint(
    "POST",
    "/v1/operations/jobs/kinds/{kind}/resume",
    service="operations",
    summary="Go on with a paused kind of job.",
)
async def resume_kind(call: Call, kind: KindName) -> SteeredKind:
    """For admins."""

    async def work(tx: Tx) -> SteeredKind:
        return await jobs.resume_kind(tx, call.principal, kind)

    return await call.transact(SteeredKind, work)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    show_kinds,
    list_jobs,
    show_job,
    requeue,
    cancel,
    requeue_kind,
    pause_kind,
    resume_kind,
)
