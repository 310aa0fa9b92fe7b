r"""Refunds: promised in the books first, then asked of the provider.

requested --> succeeded
    \--> failed: the money is back where it was, and operators are told

Whether the order's money is still held, in clearance or paid out by then, is the ledger's to know: see
`postings_refunds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast
from uuid import UUID

import msgspec

from feira.platform.domain.errors import Conflict, NotFound, Rejected
from feira.platform.domain.ids import OrderId, RefundId, ReturnId, UserId
from feira.platform.domain.jobs import RefundPayment
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.refund_events import Refund
from feira.platform.domain.refunds import (
    LinePart,
    RefundCause,
    RefundPrice,
    RefundRole,
    RefundState,
    Sold,
    SoldLine,
    exceeds_order,
)
from feira.services.payments.postings import post_refund_requested
from feira.services.payments.rows import (
    SQL,
    LockedPayment,
    OrderForMoney,
    RefundRow,
    lock_order,
    sum_refunds,
)
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

REFUNDS_SQL: Final = load_queries("refunds")


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """What a refund is for, and who gives it; the market's own rules where `actor` is null."""

    reason: str
    cause: RefundCause = "order"
    actor: UserId | None = None
    actor_role: RefundRole = "market"
    return_id: ReturnId | None = None


class _SoldRow(msgspec.Struct, frozen=True, kw_only=True):
    total_minor: int
    shipping_minor: int
    shipping_back_minor: int


class _RefundShown(msgspec.Struct, frozen=True, kw_only=True):
    id: RefundId
    order_id: OrderId
    amount_minor: int
    currency: str
    state: RefundState
    cause: RefundCause
    reason: str
    shipping_minor: int
    return_id: ReturnId | None
    actor_id: UserId | None
    actor_role: RefundRole
    created_at: datetime
    finished_at: datetime | None


class _LineRow(LinePart, frozen=True, kw_only=True):
    refund_id: RefundId


async def request_refund(tx: Tx, order_id: OrderId, amount_minor: int, reason: str) -> RefundId:
    """Promise the buyer `amount_minor` of a captured order back, by the market's own rules. See `promise_refund`."""
    return await promise_refund(
        tx, order_id, RefundPrice(amount_minor=amount_minor), Why(reason=reason)
    )


async def promise_refund(tx: Tx, order_id: OrderId, price: RefundPrice, why: Why) -> RefundId:
    """Promise the buyer money of a captured order back; a job asks the provider.

    The payment is locked before refunds are summed up: two of them together never exceed what was captured.

    Raises:
        NotFound: `order.not_found`.
        Rejected: `refund.not_captured`, `refund.exceeds_order`.
        Conflict: `refund.charged_back`: the buyer's bank has the money.
    """
    assert price.amount_minor > 0, "a refund gives something back"
    order, payment = await _lock_captured(tx, order_id)
    left_minor = await _left(tx, order, payment)
    if price.amount_minor > left_minor:
        raise rejected(exceeds_order(left_minor, order.total_minor), left_minor)
    refund_id = RefundId(
        await tx.con.fetchval(
            REFUNDS_SQL["insert_refund"],
            payment.id,
            order_id,
            price.amount_minor,
            why.reason,
            why.cause,
            why.actor,
            why.actor_role,
            price.shipping_minor,
            why.return_id,
            [part.line for part in price.lines],
            [part.quantity for part in price.lines],
            [part.amount_minor for part in price.lines],
        )
    )
    await post_refund_requested(tx, await load_refund(tx.con, refund_id))
    tx.enqueue(RefundPayment(refund=refund_id), dedup=f"refund:{refund_id}")
    return refund_id


async def lock_sold(tx: Tx, order_id: OrderId) -> Sold:
    """Lock an order and its payment, and return what of it can still be given back.

    Raises:
        NotFound: `order.not_found`.
        Rejected: `refund.not_captured`.
        Conflict: `refund.charged_back`.
    """
    order, payment = await _lock_captured(tx, order_id)
    row = await fetch_one(tx.con, REFUNDS_SQL["read_sold"], _SoldRow, order_id)
    assert row is not None, "what is locked is there"
    return Sold(
        total_minor=row.total_minor,
        shipping_minor=row.shipping_minor,
        shipping_back_minor=row.shipping_back_minor,
        left_minor=await _left(tx, order, payment),
        lines=tuple(await fetch_all(tx.con, REFUNDS_SQL["read_sold_lines"], SoldLine, order_id)),
    )


async def show_refunds(con: Connection, order_id: OrderId) -> list[Refund]:
    """All refunds of an order, oldest first."""
    return await _show(con, order_id, None)


async def show_refund(con: Connection, order_id: OrderId, refund_id: RefundId) -> Refund:
    """One refund, as its order's log tells of it."""
    (refund,) = await _show(con, order_id, refund_id)
    return refund


async def load_refund(con: Connection, refund_id: RefundId) -> RefundRow:
    """Read a refund.

    Raises:
        NotFound: `refund.not_found`.
    """
    refund = await fetch_one(con, SQL["read_refund"], RefundRow, refund_id)
    if refund is None:
        raise NotFound("refund.not_found", "There is no such refund.")
    return refund


def rejected(rejection: Rejection, left_minor: int) -> Conflict | Rejected:
    """The error of a refund that cannot be."""
    kinds = {"conflict": Conflict, "rule": Rejected}
    return kinds[rejection.kind](
        rejection.code,
        rejection.message,
        field=rejection.field,
        details={"left_minor": left_minor},
    )


async def _lock_captured(tx: Tx, order_id: OrderId) -> tuple[OrderForMoney, LockedPayment]:
    order = await lock_order(tx, order_id)
    payment = await fetch_one(tx.con, SQL["lock_group_payment"], LockedPayment, order.group_id)
    if payment is None or payment.state != "captured":
        raise Rejected(
            "refund.not_captured", "Nothing was paid for this order, so nothing can be given back."
        )
    if order.payment_status == "charged_back":
        raise Conflict(
            "refund.charged_back",
            "The buyer's bank took this order's money back; nothing is here to give.",
        )
    return order, payment


async def _left(tx: Tx, order: OrderForMoney, payment: LockedPayment) -> int:
    sums = await sum_refunds(tx, payment.id, order.order_id)
    return min(
        order.total_minor - sums.of_order_minor, payment.amount_minor - sums.of_payment_minor
    )


async def _show(con: Connection, order_id: OrderId, refund_id: RefundId | None) -> list[Refund]:
    rows = await fetch_all(con, REFUNDS_SQL["read_refunds"], _RefundShown, order_id, refund_id)
    lines: Sequence[_LineRow] = []
    if rows:
        ids = [cast("UUID", row.id) for row in rows]
        lines = await fetch_all(con, REFUNDS_SQL["read_refund_lines"], _LineRow, ids)
    return [
        Refund(
            id=row.id,
            order=row.order_id,
            amount_minor=row.amount_minor,
            currency=row.currency,
            state=row.state,
            cause=row.cause,
            reason=row.reason,
            lines=tuple(
                LinePart(line=part.line, quantity=part.quantity, amount_minor=part.amount_minor)
                for part in lines
                if part.refund_id == row.id
            ),
            shipping_minor=row.shipping_minor,
            return_id=row.return_id,
            actor=row.actor_id,
            actor_role=row.actor_role,
            created_at=row.created_at,
            finished_at=row.finished_at,
        )
        for row in rows
    ]
