"""Reporting: a member tells the moderators of a message, or of a conversation as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import InvalidInput, TooMany
from feira.platform.domain.ids import ConversationId, ReportId, UserId
from feira.platform.domain.messages import MessageSeq, require_changeable
from feira.platform.domain.moderation_events import ReportMade
from feira.platform.domain.permissions import Principal
from feira.platform.domain.reports import OPEN_REPORTS_MAX, ReportReason, ReportState
from feira.platform.domain.topics import OPS
from feira.services.messaging.changes import LockedMessage, lock_message
from feira.services.messaging.conversations import is_member
from feira.services.messaging.messages import not_a_conversation
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("reports")


class MakeReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong: with a `message` (its `seq`), or without one with the conversation as a whole."""

    conversation: ConversationId
    message: MessageSeq | None = None
    reason: ReportReason
    text: Annotated[str, Meta(max_length=1_000)] = ""


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """A report as its reporter sees it."""

    id: ReportId
    conversation_id: ConversationId
    message_seq: int | None
    reason: ReportReason
    text: str
    state: ReportState
    created_at: datetime
    decided_at: datetime | None


class OwnReports(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[ReportView]
    next_cursor: str | None


async def make_report(tx: Tx, principal: Principal, wanted: MakeReport) -> ReportView:
    """Tell the moderators. Telling them again of the same thing is answered with the first report.

    Raises:
        NotFound: `conversation.not_found`, `message.not_found`.
        InvalidInput: `report.own_message`.
        Rejected: `message.deleted`, `message.not_text`.
        TooMany: `report.too_many`.
    """
    user = principal.user_id
    if not await is_member(tx.con, wanted.conversation, user):
        raise not_a_conversation()
    if (known := await _find(tx.con, user, wanted)) is not None:
        return known
    message: LockedMessage | None = None
    if wanted.message is not None:
        message = await lock_message(tx, wanted.conversation, wanted.message)
        require_changeable(message.state)
        if message.sender == user:
            raise InvalidInput(
                "report.own_message", "You wrote this; delete it instead.", field="$.message"
            )
    if await tx.con.fetchval(SQL["count_open_reports"], user, OPEN_REPORTS_MAX) >= OPEN_REPORTS_MAX:
        raise TooMany(
            "report.too_many",
            f"{OPEN_REPORTS_MAX} of your reports wait for the moderators; let them look first.",
            retry_after_s=3_600,
        )
    report: ReportId | None = await tx.con.fetchval(
        SQL["insert_report"],
        user,
        wanted.conversation,
        wanted.message,
        None if message is None else message.sender,
        None if message is None else message.body,
        wanted.reason,
        wanted.text,
        tx.now,
    )
    if report is not None:
        made = ReportMade(
            report=report,
            conversation=wanted.conversation,
            message=wanted.message,
            reason=wanted.reason,
        )
        tx.emit(OPS, made)
    view = await _find(tx.con, user, wanted)
    assert view is not None, "it was written or found"
    return view


async def list_own_reports(
    con: Connection, user: UserId, *, cursor: ReportId | None, limit: int
) -> OwnReports:
    """Return what a user has reported, before `cursor`."""
    rows = await fetch_all(con, SQL["list_own_reports"], ReportView, user, cursor, limit + 1)
    items = rows[:limit]
    return OwnReports(items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None)


async def _find(con: Connection, user: UserId, wanted: MakeReport) -> ReportView | None:
    return await fetch_one(
        con, SQL["find_report"], ReportView, user, wanted.conversation, wanted.message
    )
