"""The moderators' queue: look, claim, decide. Who decided what, when and why stands on the report for good."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, cast, get_args
from uuid import UUID

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import InvalidInput, NotFound, Rejected
from feira.platform.domain.ids import ConversationId, ReportId, UserId
from feira.platform.domain.jobs import NotifyReportDecided
from feira.platform.domain.moderation_events import PostingLimited, ReportClaimed, ReportDecided
from feira.platform.domain.notices import Notice, PostingLimitedNotice, ReportDecidedNotice
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.reports import (
    Dismiss,
    LimitSender,
    ModeratorDecision,
    RemoveMessage,
    ReportReason,
    ReportStanding,
    ReportState,
    require_free,
)
from feira.platform.domain.topics import OPS, inbox_topic
from feira.services.audit.recording import record
from feira.services.messaging.blocks import SQL as SAFETY_SQL
from feira.services.messaging.edits import leave_tombstone
from feira.services.messaging.reports import SQL
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one


class ModeratedReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report as moderators see it. `message` is the message's body as it was reported, or null."""

    id: ReportId
    reporter_id: UserId
    reporter_name: str
    conversation_id: ConversationId
    message_seq: int | None
    sender_id: UserId | None
    sender_name: str | None
    message: msgspec.Raw
    reason: ReportReason
    text: str
    state: ReportState
    created_at: datetime
    claimed_by: UserId | None
    claimed_at: datetime | None
    decided_by: UserId | None
    decided_at: datetime | None
    why: str | None


class ReportPage(msgspec.Struct, frozen=True, kw_only=True):
    """Open ones first, the oldest first; `next_cursor` is null on the last page."""

    items: list[ModeratedReport]
    next_cursor: str | None


class ReportFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one `state`, or all; `cursor` comes from the page before."""

    state: ReportState | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 30
    cursor: Annotated[str, Meta(max_length=80)] | None = None


class _Locked(ReportStanding, frozen=True, kw_only=True):
    id: ReportId
    conversation_id: ConversationId
    message_seq: int | None
    sender_id: UserId | None


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    reporter_id: UserId
    conversation_id: ConversationId
    state: ReportState
    limited: UserId | None
    until: datetime | None


async def list_reports(con: Connection, principal: Principal, wanted: ReportFilter) -> ReportPage:
    """Return a page of the queue.

    Raises:
        InvalidInput: `reports.cursor`.
    """
    require("report.decide", principal)
    after = _parse_cursor(wanted.cursor)
    rows = await fetch_all(
        con, SQL["list_reports"], ModeratedReport, wanted.state, *after, wanted.limit + 1
    )
    items = rows[: wanted.limit]
    cursor = f"{items[-1].state}_{items[-1].id}" if len(rows) > len(items) else None
    return ReportPage(items=items, next_cursor=cursor)


async def claim_report(tx: Tx, principal: Principal, report: ReportId) -> ModeratedReport:
    """Look into a report, for half an hour; claiming it again goes on from now.

    Raises:
        NotFound: `report.not_found`.
        Conflict: `report.decided`, `report.claimed`.
    """
    require("report.decide", principal)
    moderator = principal.user_id
    locked = await _lock(tx, report)
    require_free(locked, moderator, tx.now)
    await tx.con.execute(SQL["claim_report"], report, moderator, tx.now)
    tx.emit(OPS, ReportClaimed(report=report, by=moderator))
    await record(
        tx, principal, "report.claim", "report", report, before={"claimed_by": locked.claimed_by}
    )
    return await _read(tx.con, report)


async def decide_report(
    tx: Tx, principal: Principal, report: ReportId, decision: ModeratorDecision
) -> ModeratedReport:
    """End a report, and do what was decided in the same commit. The reporter is told how it ended.

    Raises:
        NotFound: `report.not_found`.
        Conflict: `report.decided`, `report.claimed` (by somebody else).
        InvalidInput: `report.no_message`, `report.whom`.
        Rejected: `report.staff`.
    """
    require("report.decide", principal)
    locked = await _lock(tx, report)
    require_free(locked, principal.user_id, tx.now)
    match decision:
        case Dismiss():
            state: ReportState = "dismissed"
        case RemoveMessage():
            state = "message_removed"
            if locked.message_seq is None:
                raise InvalidInput(
                    "report.no_message",
                    "A conversation was reported, no message.",
                    field="$.action",
                )
            await leave_tombstone(tx, principal, locked.conversation_id, locked.message_seq)
        case LimitSender():
            state = "sender_limited"
            await _limit(tx, locked, decision)
    await tx.con.execute(
        SQL["decide_report"], report, state, principal.user_id, tx.now, decision.why
    )
    decided = ReportDecided(report=report, state=state, by=principal.user_id, why=decision.why)
    tx.emit(OPS, decided)
    tx.enqueue(NotifyReportDecided(report=report))
    await record(
        tx,
        principal,
        "report.decide",
        "report",
        report,
        reason=decision.why,
        before={"state": locked.state},
        after={
            "state": state,
            "conversation": locked.conversation_id,
            "message": locked.message_seq,
            "sender": locked.sender_id,
            "hours": decision.hours if isinstance(decision, LimitSender) else None,
        },
    )
    return await _read(tx.con, report)


async def notices_of_report(con: Connection, report: ReportId) -> dict[UserId, Notice]:
    """Return what to tell whom of a report that was decided."""
    outcome = await fetch_one(con, SQL["read_outcome"], _Outcome, report)
    assert outcome is not None, "reports are never deleted"
    notices: dict[UserId, Notice] = {
        outcome.reporter_id: ReportDecidedNotice(
            report=report, conversation=outcome.conversation_id, state=outcome.state
        )
    }
    if outcome.limited is not None and outcome.until is not None:
        notices[outcome.limited] = PostingLimitedNotice(until=outcome.until)
    return notices


async def _limit(tx: Tx, report: _Locked, decision: LimitSender) -> None:
    user = report.sender_id or decision.user
    if user is None or decision.user not in {None, user}:
        raise InvalidInput(
            "report.whom",
            "Name whom to limit where a conversation was reported; a message has its sender.",
            field="$.user",
        )
    is_staff = await tx.con.fetchval(
        SQL["read_sender"], report.conversation_id, user, report.message_seq
    )
    if is_staff is None:
        raise InvalidInput("report.whom", "They have no say in this conversation.", field="$.user")
    if is_staff:
        raise Rejected("report.staff", "This is somebody of the market; an admin has to see to it.")
    until = tx.now + timedelta(hours=decision.hours)
    if await tx.con.fetchval(SAFETY_SQL["limit_posting"], user, until, report.id):
        tx.emit(inbox_topic(user), PostingLimited(until=until))


async def _lock(tx: Tx, report: ReportId) -> _Locked:
    locked = await fetch_one(tx.con, SQL["lock_report"], _Locked, report)
    if locked is None:
        raise NotFound("report.not_found", "There is no such report.")
    return locked


async def _read(con: Connection, report: ReportId) -> ModeratedReport:
    view = await fetch_one(con, SQL["read_report"], ModeratedReport, report)
    assert view is not None, "it is locked"
    return view


def _parse_cursor(cursor: str | None) -> tuple[ReportState | None, UUID | None]:
    if cursor is None:
        return None, None
    state, _, report = cursor.rpartition("_")
    try:
        if state in get_args(ReportState):
            return cast("ReportState", state), UUID(report)
    except ValueError:
        pass
    raise InvalidInput(
        "reports.cursor", "Give the next_cursor of the page before, unchanged.", field="$.cursor"
    )
