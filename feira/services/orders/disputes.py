"""Disputes as both sides and support see them, and support's queue. What moves them are commands on their order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.attachments import AttachedFile
from feira.platform.domain.errors import Conflict, NotFound
from feira.platform.domain.ids import (
    ConversationId,
    DisputeId,
    EvidenceId,
    OrderId,
    ShopId,
    UserId,
)
from feira.platform.domain.order_commands import DisputeOutcome, DisputeProblem
from feira.platform.domain.order_dispute_events import Evidence
from feira.platform.domain.order_state import Proposal
from feira.platform.domain.permissions import Principal, require
from feira.services.audit.recording import record
from feira.services.messaging.members import AddMember, let_in
from feira.services.orders.access import require_readable
from feira.services.orders.disputing import SQL
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one

DisputeLife = Literal["open", "withdrawn", "settled", "decided", "charged_back"]


class DisputeView(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute about an order with all that was said. `conversation_id` is where its files are and people talk."""

    id: DisputeId
    order_id: OrderId
    state: DisputeLife
    problem: DisputeProblem
    opened_by: UserId
    opened_at: datetime
    conversation_id: ConversationId
    proposal: Proposal | None
    claimed_by: UserId | None
    outcome: DisputeOutcome | None
    refund_minor: int | None
    ended_by: UserId | None
    ended_at: datetime | None
    why: str
    evidence: list[Evidence]


class Disputes(msgspec.Struct, frozen=True, kw_only=True):
    """All about one order, the oldest first."""

    items: list[DisputeView]


class QueuedDispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute in support's queue; an open one should be decided by `due_at`."""

    id: DisputeId
    order_id: OrderId
    number: int
    state: DisputeLife
    problem: DisputeProblem
    opened_at: datetime
    due_at: datetime | None
    conversation_id: ConversationId
    claimed_by: UserId | None
    claimed_at: datetime | None
    outcome: DisputeOutcome | None
    refund_minor: int | None
    total_minor: int
    currency: str
    shop_id: ShopId
    shop_name: str
    buyer_id: UserId
    buyer_name: str


class DisputePage(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first: who waits longest comes first. `next_cursor` is null on the last page."""

    items: list[QueuedDispute]
    next_cursor: str | None


class DisputeFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    state: DisputeLife = "open"
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: DisputeId | None = None


class _DisputeRow(msgspec.Struct, frozen=True, kw_only=True):
    id: DisputeId
    order_id: OrderId
    state: DisputeLife
    problem: DisputeProblem
    opened_by: UserId
    opened_at: datetime
    conversation_id: ConversationId
    proposed_by: Literal["buyer", "seller"] | None
    proposed_refund_minor: int | None
    claimed_by: UserId | None
    outcome: DisputeOutcome | None
    refund_minor: int | None
    ended_by: UserId | None
    ended_at: datetime | None
    why: str


class _EvidenceRow(msgspec.Struct, frozen=True, kw_only=True):
    id: EvidenceId
    dispute_id: DisputeId
    side: Literal["buyer", "seller", "support"]
    author_id: UserId
    text: str
    at: datetime


class _FileRow(AttachedFile, frozen=True, kw_only=True):
    evidence_id: EvidenceId


class _Locked(msgspec.Struct, frozen=True, kw_only=True):
    id: DisputeId
    order_id: OrderId
    conversation_id: ConversationId
    state: DisputeLife
    claimed_by: UserId | None


async def list_disputes(con: Connection, order_id: OrderId, principal: Principal) -> Disputes:
    """Return an order's disputes to somebody who may see the order.

    Raises:
        NotFound: `order.not_found`, for other people's orders too.
    """
    await require_readable(con, order_id, principal)
    rows = await fetch_all(con, SQL["list_of_order"], _DisputeRow, order_id)
    evidence = await _evidence(con, [row.id for row in rows])
    return Disputes(items=[_view(row, evidence[row.id]) for row in rows])


async def list_queue(con: Connection, principal: Principal, wanted: DisputeFilter) -> DisputePage:
    """Return a page of support's queue.

    Raises:
        NotAllowed: `auth.not_allowed`.
    """
    require("dispute.read_queue", principal)
    rows = await fetch_all(
        con, SQL["list_queue"], QueuedDispute, wanted.state, wanted.cursor, wanted.limit + 1
    )
    items = rows[: wanted.limit]
    return DisputePage(
        items=items, next_cursor=str(items[-1].id) if len(rows) > wanted.limit else None
    )


async def claim(tx: Tx, principal: Principal, dispute_id: DisputeId) -> Disputes:
    """Look after a dispute: its files and what is said about it are the caller's to read from now on.

    A colleague's dispute may be taken over; claiming one's own again changes nothing.

    Raises:
        NotAllowed: `auth.not_allowed`.
        NotFound: `dispute.not_found`.
        Conflict: `dispute.over`.
        Rejected: `conversation.is_party`: somebody else has to help.
    """
    require("dispute.claim", principal)
    dispute = await fetch_one(tx.con, SQL["lock_dispute"], _Locked, dispute_id)
    if dispute is None:
        raise NotFound("dispute.not_found", "There is no such dispute.")
    if dispute.state != "open":
        raise Conflict("dispute.over", "This dispute is over.", details={"state": dispute.state})
    if dispute.claimed_by != principal.user_id:
        await tx.con.execute(SQL["claim_dispute"], dispute_id, principal.user_id, tx.now)
        await record(
            tx,
            principal,
            "dispute.claim",
            "dispute",
            dispute_id,
            before={"claimed_by": dispute.claimed_by},
            after={"order": dispute.order_id, "conversation": dispute.conversation_id},
        )
    await let_in(tx, principal, dispute.conversation_id, AddMember())
    return await list_disputes(tx.con, dispute.order_id, principal)


async def _evidence(
    con: Connection, ids: Sequence[DisputeId]
) -> defaultdict[DisputeId, list[Evidence]]:
    found: defaultdict[DisputeId, list[Evidence]] = defaultdict(list)
    if not ids:
        return found
    files: defaultdict[EvidenceId, list[AttachedFile]] = defaultdict(list)
    for file in await fetch_all(con, SQL["list_evidence_files"], _FileRow, ids):
        files[file.evidence_id].append(msgspec.convert(file, AttachedFile, from_attributes=True))
    for row in await fetch_all(con, SQL["list_evidence"], _EvidenceRow, ids):
        found[row.dispute_id].append(
            Evidence(
                id=row.id,
                side=row.side,
                author=row.author_id,
                text=row.text,
                attachments=tuple(files[row.id]),
                at=row.at,
            )
        )
    return found


def _view(row: _DisputeRow, evidence: list[Evidence]) -> DisputeView:
    columns = msgspec.structs.asdict(row)
    by, refund_minor = columns.pop("proposed_by"), columns.pop("proposed_refund_minor")
    proposal = None if by is None else Proposal(by=by, refund_minor=refund_minor)
    return DisputeView(**columns, proposal=proposal, evidence=evidence)
