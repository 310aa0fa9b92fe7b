"""Refunds: at once, later, failed in the end, or failed after they had succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from feira.platform.gateways.payments.sandbox.books import (
    MARKET,
    ApiError,
    found,
    move,
    new_id,
    tell,
)
from feira.platform.gateways.payments.sandbox.intents import lock_intent
from feira.platform.gateways.payments.sandbox.wire import Listing, RefundObject

if TYPE_CHECKING:
    from feira.platform.gateways.payments.sandbox.books import Connection
    from feira.platform.gateways.payments.sandbox.requests import CreateRefund

LATE_REFUND_TAKES_S: Final = 1.0

_REFUND: Final = (
    "SELECT id, payment_intent_id AS payment_intent, state, amount_minor, client_reference, failure_code"
    " FROM sandbox.refunds"
)


async def create_refund(con: Connection, request: CreateRefund) -> RefundObject:
    """Give back at most what was captured and not given back yet; the market's balance may go below zero."""
    intent = await lock_intent(con, request.payment_intent)
    if intent.state != "succeeded":
        raise ApiError(422, "not_captured", "Only a payment that succeeded can be refunded.")
    left = intent.captured_minor - intent.refunded_minor
    if request.amount_minor > left:
        raise ApiError(
            422, "refund_exceeds_payment", f"Only {left} minor units are left to refund."
        )
    await con.execute(
        "UPDATE sandbox.payment_intents SET refunded_minor = refunded_minor + $2 WHERE id = $1",
        intent.id,
        request.amount_minor,
    )
    refund_id = new_id("re")
    pending = intent.refunds_do in {"succeed_later", "fail_later"}
    await con.execute(
        "INSERT INTO sandbox.refunds (id, payment_intent_id, amount_minor, client_reference, state, ends_at, ends_as)"
        " VALUES ($1, $2, $3, $4, $5,"
        " CASE WHEN $6::text IS NOT NULL THEN now() + make_interval(secs => $7::float8) END, $6)",
        refund_id,
        intent.id,
        request.amount_minor,
        request.client_reference,
        "pending" if pending else "succeeded",
        {"succeed_later": "succeeded", "fail_later": "failed", "succeed_then_fail": "failed"}.get(
            intent.refunds_do
        ),
        LATE_REFUND_TAKES_S,
    )
    await move(
        con,
        "refund",
        account=MARKET,
        currency=intent.currency,
        amount_minor=-request.amount_minor,
        source=refund_id,
        overdraw=True,
    )
    await tell(con, "refund.created", refund_id)
    return await read_refund(con, refund_id)


async def read_refund(con: Connection, refund_id: str) -> RefundObject:
    return found(await con.fetchrow(f"{_REFUND} WHERE id = $1", refund_id), RefundObject)


async def list_refunds(con: Connection, intent_id: str) -> Listing[RefundObject]:
    rows = await con.fetch(f"{_REFUND} WHERE payment_intent_id = $1 ORDER BY created_at", intent_id)
    return Listing(data=[found(row, RefundObject) for row in rows])


async def end_refund(con: Connection, refund_id: str) -> None:
    """Bring a locked refund to its end; the money of a failed one is the market's again."""
    row = await con.fetchrow(
        "UPDATE sandbox.refunds SET state = ends_as, ends_at = NULL,"
        " failure_code = CASE ends_as WHEN 'failed' THEN 'lost_or_stolen_card' ELSE '' END"
        " WHERE id = $1 AND ends_at IS NOT NULL RETURNING state, payment_intent_id, amount_minor",
        refund_id,
    )
    if row is None:
        return
    if row["state"] == "failed":
        currency = await con.fetchval(
            "UPDATE sandbox.payment_intents SET refunded_minor = refunded_minor - $2 WHERE id = $1 RETURNING currency",
            row["payment_intent_id"],
            row["amount_minor"],
        )
        await move(
            con,
            "refund_failure",
            account=MARKET,
            currency=currency,
            amount_minor=row["amount_minor"],
            source=refund_id,
        )
    await tell(con, "refund.updated", refund_id)
