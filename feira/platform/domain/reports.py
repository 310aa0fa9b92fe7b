"""Reports and what moderators make of them: pure rules.

    (reported) --> open --dismiss---------> dismissed
                     |----remove_message--> message_removed
                     '----limit_sender----> sender_limited

A moderator claims an open report so that no colleague looks into it as well. A claim lapses, so that nobody has to
wait for somebody who went home; a decision is made once and stands.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import Conflict
from feira.platform.domain.ids import UserId

ReportReason = Literal["spam", "fraud", "off_platform", "harassment", "illegal_goods", "other"]
ReportState = Literal["open", "dismissed", "message_removed", "sender_limited"]

CLAIM_S: Final = 30 * 60
LIMIT_HOURS_MAX: Final = 90 * 24
# What one person may have waiting: a flood of reports would hide those of others.
OPEN_REPORTS_MAX: Final = 50

Why = Annotated[str, Meta(min_length=1, max_length=1_000)]


class Decision(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="action", forbid_unknown_fields=True
):
    """What a moderator decides; `why` is for the moderators."""

    why: Why


class Dismiss(Decision, frozen=True, kw_only=True, tag="dismiss"):
    """Nothing is wrong with it."""


class RemoveMessage(Decision, frozen=True, kw_only=True, tag="remove_message"):
    """The message is deleted, as its author could."""


class LimitSender(Decision, frozen=True, kw_only=True, tag="limit_sender"):
    """Whoever wrote the message says nothing for so many hours.

    `user` says who, of buyer and shop, where a whole conversation was reported.
    """

    hours: Annotated[int, Meta(ge=1, le=LIMIT_HOURS_MAX)]
    user: UserId | None = None


ModeratorDecision = Dismiss | RemoveMessage | LimitSender


class ReportStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules look at."""

    state: ReportState
    claimed_by: UserId | None
    claimed_at: datetime | None


def require_free(report: ReportStanding, moderator: UserId, now: datetime) -> None:
    """Pass for an open report that no other moderator is looking into.

    Raises:
        Conflict: `report.decided`, `report.claimed`; `details` say how, or by whom.
    """
    if report.state != "open":
        raise Conflict(
            "report.decided",
            "This report was decided already; see how in `details.state`.",
            details={"state": report.state},
        )
    if report.claimed_by is None or report.claimed_at is None or report.claimed_by == moderator:
        return
    left_s = (report.claimed_at + timedelta(seconds=CLAIM_S) - now).total_seconds()
    if left_s > 0:
        raise Conflict(
            "report.claimed",
            "A colleague is looking into this report; take another one.",
            retry_after_s=left_s,
            details={"by": str(report.claimed_by)},
        )
