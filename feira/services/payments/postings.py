"""Which postings an event of an order makes, read from its frozen sums and written to the ledger once."""

from __future__ import annotations

from feira.platform.domain import postings_orders, postings_refunds
from feira.platform.domain.ids import OrderId
from feira.platform.domain.postings_orders import OrderShare
from feira.platform.domain.shop_funds import HELD, ShopFunds
from feira.services.payments import ledger, releases
from feira.services.payments.rows import (
    SQL,
    LockedPayment,
    OrderForMoney,
    RefundRow,
    lock_order,
    sum_refunds,
)
from feira.sql.database import Tx
from feira.sql.loader import fetch_all, fetch_one


async def post_captured(tx: Tx, payment: LockedPayment) -> bool:
    """Record that the provider took `payment`, less its fee; False when the books say so already."""
    assert payment.gateway is not None, "only a provider captures"
    orders = await fetch_all(tx.con, SQL["read_group_orders"], OrderShare, payment.group_id)
    assert sum(order.total_minor for order in orders) == payment.amount_minor, (
        "a group's orders add up to its payment"
    )
    return await ledger.post(
        tx,
        postings_orders.captured(
            payment_id=payment.id,
            gateway=payment.gateway,
            currency=payment.currency,
            orders=orders,
            fee_minor=payment.fee_minor,
            reference=payment.gateway_reference or "",
        ),
    )


async def post_completed(tx: Tx, order_id: OrderId) -> bool:
    """Release what is left of the order's hold to its shop and the market; False when that is done already.

    The shop's part is in clearance from now on.
    """
    order = await lock_order(tx, order_id)
    payment = await fetch_one(tx.con, SQL["lock_group_payment"], LockedPayment, order.group_id)
    if payment is None:
        # The replacement of an exchange: nothing was paid.
        return False
    sums = await sum_refunds(tx, payment.id, order_id)
    transaction = postings_orders.completed(order.sale, refunded_minor=sums.of_order_minor)
    await releases.schedule(tx, order)
    # Refunded whole, or free: there is nothing to release.
    return bool(transaction.postings) and await ledger.post(tx, transaction)


async def shop_funds(tx: Tx, order: OrderForMoney) -> ShopFunds:
    """How a locked order's money stands, with its shop's balances locked once they are the order's as well."""
    if not order.is_released:
        return HELD
    return await ledger.lock_shop_funds(tx, order.sale)


async def post_refund_requested(tx: Tx, refund: RefundRow) -> bool:
    """Owe it to the buyer, from wherever the order's money is by now."""
    order = await lock_order(tx, refund.order_id)
    sums = await sum_refunds(tx, refund.payment_id, refund.order_id)
    return await ledger.post(
        tx,
        postings_refunds.refund_requested(
            order.sale,
            refund_id=refund.id,
            amount_minor=refund.amount_minor,
            before_minor=sums.of_order_minor - refund.amount_minor,
            funds=await shop_funds(tx, order),
        ),
    )


async def post_refund_succeeded(tx: Tx, refund: RefundRow, reference: str) -> bool:
    """Record that the buyer has it. `reference` is what the provider calls the refund."""
    return await ledger.post(
        tx,
        postings_refunds.refund_succeeded(
            refund_id=refund.id,
            order_id=refund.order_id,
            gateway=refund.gateway,
            currency=refund.currency,
            amount_minor=refund.amount_minor,
            reference=reference,
        ),
    )


async def post_refund_failed(tx: Tx, refund: RefundRow) -> bool:
    """Put the money back where it would be without the refund. The refund is marked failed already."""
    order = await lock_order(tx, refund.order_id)
    sums = await sum_refunds(tx, refund.payment_id, refund.order_id)
    return await ledger.post(
        tx,
        postings_refunds.refund_failed(
            order.sale,
            refund_id=refund.id,
            amount_minor=refund.amount_minor,
            other_minor=sums.of_order_minor,
            funds=await shop_funds(tx, order),
        ),
    )
