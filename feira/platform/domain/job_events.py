"""What operators see happen to jobs, on the `ops` topic."""

from __future__ import annotations

from feira.platform.domain.events import Event
from feira.platform.domain.ids import JobId, UserId


class JobDied(Event, frozen=True, kw_only=True, tag="job.died"):
    """A job's attempts are used up, or nothing would mend it: an operator decides."""

    job: JobId
    job_kind: str
    attempt: int
    error: str


class JobRequeued(Event, frozen=True, kw_only=True, tag="job.requeued"):
    """An operator gave a dead job its attempts again."""

    job: JobId
    job_kind: str
    by: UserId
