"""Jobs, for the market's own people."""

from __future__ import annotations

from typing import Final

from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.platform.domain.ids import JobId
from feira.services.operations.jobs import (
    DeadJobFilter,
    DeadJobPage,
    JobCounts,
    RequeuedJob,
    count_jobs,
    list_dead,
    requeue,
)
from feira.sql.database import Tx


@endpoint(
    "GET",
    "/v1/admin/jobs",
    service="notifications",
    summary="Count jobs by kind and state, with the age of the oldest.",
)
async def show_counts(call: Call) -> JobCounts:
    """For support, finance and admins. Jobs that die are also told on the topic `ops` as `job.died`."""
    async with call.market.database.connection() as con:
        return await count_jobs(con, call.principal)


@endpoint(
    "GET",
    "/v1/admin/jobs/dead",
    service="notifications",
    summary="List dead jobs, the latest first.",
)
async def show_dead(call: Call, query: DeadJobFilter) -> DeadJobPage:
    """For support, finance and admins."""
    async with call.market.database.connection() as con:
        return await list_dead(con, call.principal, query)


@endpoint(
    "POST",
    "/v1/admin/jobs/{job}/requeue",
    service="notifications",
    summary="Give a dead job its attempts again.",
)
async def requeue_dead(call: Call, job: JobId) -> RequeuedJob:
    """For admins, once the cause is mended. It runs as soon as a worker is free."""

    async def work(tx: Tx) -> RequeuedJob:
        return await requeue(tx, call.principal, job)

    return await call.transact(RequeuedJob, work)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (show_counts, show_dead, requeue_dead)
