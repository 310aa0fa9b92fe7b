"""Writing down what a decision about a dispute means: its row, the evidence, and support called to the conversation."""

from __future__ import annotations

from typing import Literal

import msgspec

from feira.platform.domain.ids import AttachmentId, ConversationId, DisputeId, EvidenceId
from feira.platform.domain.order_commands import AddEvidence, OpenDispute
from feira.platform.domain.order_dispute_events import Evidence
from feira.platform.domain.order_disputes import outcome_of
from feira.services.messaging.attaching import attach_evidence
from feira.services.messaging.conversations import conversation_about_order
from feira.services.messaging.members import call_support
from feira.services.orders.announcements import Move, Written
from feira.sql.database import Tx
from feira.sql.loader import fetch_one, load_queries

SQL = load_queries("disputes")


class _Open(msgspec.Struct, frozen=True, kw_only=True):
    id: DisputeId
    conversation_id: ConversationId


async def write_dispute(tx: Tx, move: Move) -> Written:
    """Bring the order's dispute to where the decision has it; nothing where it is about something else.

    Raises:
        NotFound, Conflict, Rejected: files that cannot be evidence; see `attaching.attach_evidence`.
    """
    if isinstance(move.command, OpenDispute):
        return await _open(tx, move, move.command)
    if move.order.state.dispute is None:
        return Written()
    dispute = await fetch_one(tx.con, SQL["read_open"], _Open, move.order.row.id)
    assert dispute is not None, "a disputed order has an open dispute"
    evidence = None
    match move.decision.fact:
        case "evidence_added":
            assert isinstance(move.command, AddEvidence), "somebody said something"
            evidence = await _insert_evidence(tx, move, dispute, move.command)
        case "settlement_proposed":
            assert move.decision.dispute is not None, "it is still open"
            proposal = move.decision.dispute.proposal
            assert proposal is not None, "somebody proposed"
            await tx.con.execute(
                SQL["store_proposal"], dispute.id, proposal.by, proposal.refund_minor
            )
        case "dispute_withdrawn":
            await _end(tx, move, dispute, "withdrawn")
        case "dispute_settled":
            await _end(tx, move, dispute, "settled")
        case "dispute_decided":
            await _end(tx, move, dispute, "decided")
        case "chargeback_lost":
            await _end(tx, move, dispute, "charged_back")
        case _:
            pass
    return Written(dispute=dispute.id, evidence=evidence)


async def _open(tx: Tx, move: Move, command: OpenDispute) -> Written:
    row, opened = move.order.row, move.decision.dispute
    assert opened is not None, "it was just opened"
    assert move.actor is not None, "people open disputes"
    conversation = await conversation_about_order(
        tx, shop=row.shop_id, buyer=row.buyer_id, order=row.id
    )
    dispute_id: DisputeId = await tx.con.fetchval(
        SQL["insert_dispute"],
        row.id,
        move.actor,
        command.problem,
        opened.opened_from,
        conversation,
        tx.now,
    )
    dispute = _Open(id=dispute_id, conversation_id=conversation)
    evidence = await _insert_evidence(tx, move, dispute, command)
    await call_support(
        tx, conversation, move.actor, f"A dispute about order {row.number} was opened."
    )
    return Written(dispute=dispute.id, evidence=evidence)


async def _insert_evidence(
    tx: Tx, move: Move, dispute: _Open, said: OpenDispute | AddEvidence
) -> Evidence:
    side = move.actor_role
    assert move.actor is not None, "people say things"
    assert side != "timer", "machines say nothing"
    assert side != "gateway", "machines say nothing"
    evidence_id: EvidenceId = await tx.con.fetchval(
        SQL["insert_evidence"], dispute.id, move.actor, side, said.text, tx.now
    )
    wanted: tuple[AttachmentId, ...] = said.attachments
    return Evidence(
        id=evidence_id,
        side=side,
        author=move.actor,
        text=said.text,
        attachments=await attach_evidence(
            tx.con,
            evidence_id,
            wanted,
            conversation=dispute.conversation_id,
            sender=move.actor,
        ),
        at=tx.now,
    )


async def _end(
    tx: Tx,
    move: Move,
    dispute: _Open,
    state: Literal["withdrawn", "settled", "decided", "charged_back"],
) -> None:
    has_outcome = state in {"settled", "decided"}
    refund_minor = move.decision.refund_minor
    await tx.con.execute(
        SQL["end_dispute"],
        dispute.id,
        state,
        outcome_of(refund_minor, move.order.state.left_minor) if has_outcome else None,
        refund_minor if has_outcome else None,
        move.actor,
        tx.now,
        move.reason,
    )
