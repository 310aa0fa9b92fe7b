"""Which postings an event of an order makes, read from its frozen sums and written to the ledger once."""

from __future__ import annotations

from feira.platform.domain import ledger as books
from feira.platform.domain.ids import OrderId
from feira.services.payments import ledger
from feira.services.payments.rows import (
    SQL,
    LockedPayment,
    RefundRow,
    lock_order,
    sum_refunds,
)
from feira.sql.database import Tx
from feira.sql.loader import fetch_all, fetch_one


async def post_captured(tx: Tx, payment: LockedPayment) -> bool:
    """Record that the provider took `payment`, less its fee; False when the books say so already."""
    assert payment.gateway is not None, "only a provider captures"
    orders = await fetch_all(tx.con, SQL["read_group_orders"], books.OrderShare, payment.group_id)
    assert sum(order.total_minor for order in orders) == payment.amount_minor, (
        "a group's orders add up to its payment"
    )
    return await ledger.post(
        tx,
        books.captured(
            payment_id=payment.id,
            gateway=payment.gateway,
            currency=payment.currency,
            orders=orders,
            fee_minor=payment.fee_minor,
        ),
    )


async def post_completed(tx: Tx, order_id: OrderId) -> bool:
    """Release what is left of the order's hold to its shop and the market; False when that is done already."""
    order = await lock_order(tx, order_id)
    payment = await fetch_one(tx.con, SQL["lock_group_payment"], LockedPayment, order.group_id)
    assert payment is not None, "a completed order has a payment"
    sums = await sum_refunds(tx, payment.id, order_id)
    transaction = books.completed(order.sale, refunded_minor=sums.of_order_minor)
    # Refunded whole, or free: there is nothing to release.
    return bool(transaction.postings) and await ledger.post(tx, transaction)


async def post_refund_requested(tx: Tx, refund: RefundRow) -> bool:
    """Owe the buyer what the order's hold had."""
    return await ledger.post(
        tx,
        books.refund_requested(
            refund_id=refund.id,
            order_id=refund.order_id,
            currency=refund.currency,
            amount_minor=refund.amount_minor,
        ),
    )


async def post_refund_succeeded(tx: Tx, refund: RefundRow) -> bool:
    """Record that the buyer has it."""
    return await ledger.post(
        tx,
        books.refund_succeeded(
            refund_id=refund.id,
            order_id=refund.order_id,
            gateway=refund.gateway,
            currency=refund.currency,
            amount_minor=refund.amount_minor,
        ),
    )


async def post_refund_failed(tx: Tx, refund: RefundRow) -> bool:
    """Put the money back where it would be without the refund. The refund is marked failed already."""
    order = await lock_order(tx, refund.order_id)
    sums = await sum_refunds(tx, refund.payment_id, refund.order_id)
    return await ledger.post(
        tx,
        books.refund_failed(
            order.sale,
            refund_id=refund.id,
            amount_minor=refund.amount_minor,
            other_refunds_minor=sums.of_order_minor,
            released=order.status == "completed",
        ),
    )
