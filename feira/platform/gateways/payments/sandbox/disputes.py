"""Disputes: a buyer's bank takes the money back at once, and gives it back if the market wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec

from feira.platform.gateways.payments.sandbox.books import (
    MARKET,
    ApiError,
    found,
    move,
    new_id,
    tell,
)
from feira.platform.gateways.payments.sandbox.wire import DisputeObject

if TYPE_CHECKING:
    from feira.platform.gateways.payments.sandbox.books import Connection
    from feira.platform.gateways.payments.sandbox.requests import (
        CloseDispute,
        OpenDispute,
        SubmitEvidence,
    )

# The company's price for a dispute, in minor units; it is kept whoever wins.
DISPUTE_FEE_MINOR: Final = 1500
ANSWER_WITHIN_S: Final = 7 * 24 * 3600
DECISION_TAKES_S: Final = 1.0

_DISPUTE: Final = (
    "SELECT id, payment_intent_id AS payment_intent, state, amount_minor, currency, fee_minor, reason, evidence_due_at"
    " FROM sandbox.disputes"
)
_CAN_BE_DISPUTED: Final = """
    SELECT currency, captured_minor - refunded_minor - coalesce(
        (SELECT sum(amount_minor) FROM sandbox.disputes WHERE payment_intent_id = $1 AND state <> 'won'), 0
    )::bigint AS left_minor
    FROM sandbox.payment_intents WHERE id = $1 FOR UPDATE
"""


async def open_dispute(con: Connection, request: OpenDispute) -> DisputeObject:
    intent: asyncpg.Record | None = await con.fetchrow(_CAN_BE_DISPUTED, request.payment_intent)
    if intent is None:
        raise ApiError(404, "not_found", "There is no such payment.")
    amount_minor = intent["left_minor"] if request.amount_minor is None else request.amount_minor
    if not 0 < amount_minor <= intent["left_minor"]:
        raise ApiError(
            422,
            "dispute_exceeds_payment",
            f"Only {intent['left_minor']} minor units can be disputed.",
        )
    dispute_id = new_id("dp")
    await con.execute(
        "INSERT INTO sandbox.disputes (id, payment_intent_id, amount_minor, currency, fee_minor, reason, state,"
        " evidence_due_at, closes_at, closes_as) SELECT $1, $2, $3, $4, $5, $6, 'needs_response', due, due, 'lost'"
        " FROM (SELECT now() + make_interval(secs => $7::float8) AS due) AS until",
        dispute_id,
        request.payment_intent,
        amount_minor,
        intent["currency"],
        DISPUTE_FEE_MINOR,
        request.reason,
        float(ANSWER_WITHIN_S),
    )
    await move(
        con,
        "dispute",
        account=MARKET,
        currency=intent["currency"],
        amount_minor=-amount_minor,
        fee_minor=DISPUTE_FEE_MINOR,
        source=dispute_id,
        overdraw=True,
    )
    await tell(con, "dispute.created", dispute_id)
    return await read_dispute(con, dispute_id)


async def read_dispute(con: Connection, dispute_id: str) -> DisputeObject:
    return found(await con.fetchrow(f"{_DISPUTE} WHERE id = $1", dispute_id), DisputeObject)


async def submit_evidence(
    con: Connection, dispute_id: str, request: SubmitEvidence
) -> DisputeObject:
    dispute = await _lock(con, dispute_id)
    if dispute.state != "needs_response":
        raise ApiError(409, "dispute_unexpected_state", f"The dispute is {dispute.state}.")
    outcome = next(
        (
            end
            for word, end in (("winning_evidence", "won"), ("losing_evidence", "lost"))
            if word in request.explanation
        ),
        None,
    )
    await con.execute(
        "UPDATE sandbox.disputes SET state = 'under_review', evidence = $2::text::jsonb, closes_as = $3,"
        " closes_at = CASE WHEN $3::text IS NOT NULL THEN now() + make_interval(secs => $4::float8) END WHERE id = $1",
        dispute_id,
        msgspec.json.encode(request).decode(),
        outcome,
        DECISION_TAKES_S,
    )
    await tell(con, "dispute.updated", dispute_id)
    return await read_dispute(con, dispute_id)


async def close_dispute(con: Connection, dispute_id: str, request: CloseDispute) -> DisputeObject:
    """The bank decides, or thinks again about what was lost."""
    dispute = await _lock(con, dispute_id)
    if dispute.state in {"won", request.outcome}:
        raise ApiError(409, "dispute_unexpected_state", f"The dispute is {dispute.state}.")
    await _close(con, dispute, request.outcome)
    return await read_dispute(con, dispute_id)


async def close_due_dispute(con: Connection, dispute_id: str) -> None:
    """The decision on a locked dispute is due."""
    outcome = await con.fetchval(
        "SELECT closes_as FROM sandbox.disputes WHERE id = $1 AND closes_at IS NOT NULL", dispute_id
    )
    if outcome is not None:
        await _close(con, await read_dispute(con, dispute_id), outcome)


async def _close(con: Connection, dispute: DisputeObject, outcome: str) -> None:
    await con.execute(
        "UPDATE sandbox.disputes SET state = $2, closes_at = NULL, closes_as = NULL WHERE id = $1",
        dispute.id,
        outcome,
    )
    if outcome == "won":
        await move(
            con,
            "dispute_reversal",
            account=MARKET,
            currency=dispute.currency,
            amount_minor=dispute.amount_minor,
            source=dispute.id,
        )
        await tell(con, "dispute.funds_reinstated", dispute.id)
    await tell(con, "dispute.closed", dispute.id)


async def _lock(con: Connection, dispute_id: str) -> DisputeObject:
    return found(
        await con.fetchrow(f"{_DISPUTE} WHERE id = $1 FOR UPDATE", dispute_id), DisputeObject
    )
