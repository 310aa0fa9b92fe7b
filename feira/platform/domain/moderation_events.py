"""What operators and inboxes hear of moderation."""

from __future__ import annotations

from datetime import datetime

from feira.platform.domain.events import Event
from feira.platform.domain.ids import ConversationId, ReportId, UserId
from feira.platform.domain.reports import ReportReason, ReportState


class ReportMade(Event, frozen=True, kw_only=True, tag="report.made"):
    """On `ops`: there is something for the moderators to look at."""

    report: ReportId
    conversation: ConversationId
    message: int | None
    reason: ReportReason


class ReportClaimed(Event, frozen=True, kw_only=True, tag="report.claimed"):
    """On `ops`: a moderator is looking into it."""

    report: ReportId
    by: UserId


class ReportDecided(Event, frozen=True, kw_only=True, tag="report.decided"):
    """On `ops`: who decided what, and why."""

    report: ReportId
    state: ReportState
    by: UserId
    why: str


class PostingLimited(Event, frozen=True, kw_only=True, tag="posting.limited"):
    """On a user's inbox: they can say nothing until then."""

    until: datetime
