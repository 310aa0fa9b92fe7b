"""Job rows: written with the business change, claimed by attempt."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.jobs import Job
from feira.sql.loader import Connection, load_queries

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
        kind = type(job).__struct_config__.tag
        assert isinstance(kind, str), "every kind of job has a tag"
        return cls(
            kind=kind,
            args=msgspec.Raw(msgspec.json.encode(job)),
            run_at=run_at,
            attempts_max=job.attempts_max,
            dedup=dedup,
        )


async def insert_jobs(con: Connection, jobs: list[JobRow]) -> None:
    """Insert ready jobs; one whose `dedup` exists already is left as it is."""
    if not jobs:
        return
    await con.execute(
        SQL["insert_jobs"],
        [job.kind for job in jobs],
        [job.args for job in jobs],
        [job.run_at for job in jobs],
        [job.attempts_max for job in jobs],
        [job.dedup for job in jobs],
    )
