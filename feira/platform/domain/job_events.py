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
    """An operator gave a dead or cancelled job its attempts again."""

    job: JobId
    job_kind: str
    by: UserId


class JobsRequeued(Event, frozen=True, kw_only=True, tag="job.kind_requeued"):
    """An operator gave a kind's dead jobs their attempts again."""

    job_kind: str
    count: int
    by: UserId


class JobCancelAsked(Event, frozen=True, kw_only=True, tag="job.cancel_asked"):
    """An operator cancelled a job while it ran: its attempt will not commit."""

    job: JobId
    job_kind: str
    by: UserId


class JobCancelled(Event, frozen=True, kw_only=True, tag="job.cancelled"):
    """A job came to its end by an operator's word."""

    job: JobId
    job_kind: str
    by: UserId | None


class JobKindPaused(Event, frozen=True, kw_only=True, tag="job.kind_paused"):
    """No more jobs of a kind are handed over until it is resumed; those under way go on."""

    job_kind: str
    reason: str
    by: UserId


class JobKindResumed(Event, frozen=True, kw_only=True, tag="job.kind_resumed"):
    job_kind: str
    by: UserId
