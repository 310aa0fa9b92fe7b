"""What operators are shown of jobs, and what they may ask."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.ids import JobId, UserId
from feira.platform.domain.jobs import Priority

JobState = Literal["ready", "queued", "running", "done", "dead", "cancelled"]
KindName = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[a-z0-9_.]+(?![\s\S])")]


class JobKindRow(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    ready: int
    queued: int
    running: int
    done_last_minute: int
    dead: int
    cancelled: int
    oldest_due_s: float | None
    oldest_dead_s: float | None
    concurrency_max: int | None
    paused_at: datetime | None
    paused_by: UserId | None
    pause_reason: str | None


class JobKind(JobKindRow, frozen=True, kw_only=True):
    """A kind's jobs by state, and what steers it.

    `oldest_due_s`: for how long the oldest unfinished one has been due; null without any. `oldest_dead_s`: since
    when the oldest dead one waits for an operator. `concurrency_max` counts over all workers; null is no limit.
    """

    priority: Priority


class JobKinds(msgspec.Struct, frozen=True, kw_only=True):
    items: list[JobKind]


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job. `args` are as they were committed; `since`: due, begun (queued: due) or finished, by its state."""

    id: JobId
    kind: str
    state: JobState
    args: msgspec.Raw
    attempt: int
    attempts_max: int
    since: datetime
    last_error: str | None
    created_at: datetime


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """Unfinished ones the oldest first, finished ones the latest; `next_cursor` is null on the last page."""

    items: list[JobView]
    next_cursor: str | None


class JobFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs of one state; `older_than_s` compares with `since`; `cursor` comes from the page before."""

    state: JobState = "dead"
    kind: KindName | None = None
    older_than_s: Annotated[int, Meta(ge=0, le=3660 * 86_400)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=80)] | None = None


class FailedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """`silent`: its process ended without a word. `worker` is the node that ran it."""

    attempt: int
    outcome: Literal["retry", "dead", "silent", "cancelled"]
    error: str
    worker: str | None
    started_at: datetime | None
    ended_at: datetime


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    id: JobId
    kind: str
    state: JobState
    args: msgspec.Raw
    dedup: str | None
    attempt: int
    attempts_max: int
    run_at: datetime
    lease_until: datetime | None
    started_at: datetime | None
    worker: str | None
    cancel_asked_at: datetime | None
    finished_at: datetime | None
    last_error: str | None
    created_at: datetime


class JobDetail(JobRow, frozen=True, kw_only=True):
    """A job whole, with the latest of its attempts that failed, in order."""

    failures: list[FailedAttempt]


class SteeredJob(msgspec.Struct, frozen=True, kw_only=True):
    """`running` after cancelling: it was asked to, and will not commit."""

    id: JobId
    kind: str
    state: JobState


class RequeuedKind(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead jobs of a kind were requeued; `more`: ask again, there are others."""

    kind: str
    requeued: int
    more: bool


class PauseKind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Annotated[
        str, Meta(min_length=3, max_length=200, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*(?![\s\S])")
    ]


class SteeredKind(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    paused: bool
