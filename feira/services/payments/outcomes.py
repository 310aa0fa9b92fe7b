"""What a provider says of a payment or refund, applied under lock and only forwards.

News may come twice, late or out of order, by webhook, by the returning buyer and by jobs; all bring the
object as it is at the provider now, and all end in the same state.
"""

from __future__ import annotations

import msgspec

from feira.platform.domain.errors import Rejected, Unavailable
from feira.platform.domain.ids import OrderGroupId, PaymentId, RefundId
from feira.platform.domain.jobs import CancelPaymentIntent, CapturePayment
from feira.platform.domain.payments_events import RefundFailed
from feira.platform.domain.postings_orders import OrderShare
from feira.platform.domain.refund_events import RefundRefused, RefundSucceeded
from feira.platform.domain.topics import OPS, order_topic
from feira.platform.gateways.payments.objects import Intent, ProviderRefund
from feira.services.orders import orders as order_service
from feira.services.payments.payments import load_payment
from feira.services.payments.postings import (
    post_captured,
    post_refund_failed,
    post_refund_succeeded,
)
from feira.services.payments.refunds import load_refund, request_refund, show_refund
from feira.services.payments.rows import (
    SQL,
    LockedPayment,
    RefundRow,
    lock_group_orders,
    lock_order,
    lock_payment,
    sum_refunds,
)
from feira.sql.database import Tx
from feira.sql.loader import fetch_one


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    id: PaymentId
    group_id: OrderGroupId


async def apply_intent(tx: Tx, intent: Intent) -> None:
    """Bring the payment to where its intent is at the provider.

    Captured money whose orders are all closed by now is given back whole.

    Raises:
        Unavailable: `payment.unknown_intent`: nothing of ours has this reference (yet); repeat later.
        Rejected: `payment.amount_mismatch`: the provider took another amount than it was asked for.
    """
    found = await fetch_one(tx.con, SQL["find_payment"], _Found, intent.reference)
    if found is None:
        # Its webhook can overtake the commit that writes the reference down.
        raise Unavailable(
            "payment.unknown_intent", f"No payment is known as {intent.reference} here."
        )
    orders = await lock_group_orders(tx, found.group_id)
    payment = await lock_payment(tx, found.id)
    match intent.state:
        case "succeeded":
            await _capture(tx, payment, intent, orders)
        case "canceled":
            await _cancel(tx, payment)
        case "requires_payment":
            await _decline(tx, payment, intent.decline_code)
        case "authorized":
            await _authorize(tx, payment, intent)
        case "requires_action" | "processing":
            # Nothing is decided yet; there will be news.
            pass


async def give_up(tx: Tx, payment_id: PaymentId) -> None:
    """Close a payment that no provider was ever asked for.

    Raises:
        Unavailable: `payment.under_way`: one was, meanwhile; cancel it there.
    """
    payment = await lock_payment(tx, payment_id)
    if payment.gateway is not None:
        raise Unavailable("payment.under_way", "The provider is just being told of this payment.")
    await _cancel(tx, payment)


async def close_forgotten(tx: Tx, payment_id: PaymentId) -> None:
    """Close a payment whose intent the provider no longer knows: unpaid ones are kept there for hours only."""
    await _cancel(tx, await lock_payment(tx, payment_id))


async def apply_refused_intent(tx: Tx, payment_id: PaymentId, code: str) -> None:
    """The provider will not take the payment as such: nothing of its checkout stays behind."""
    payment = await load_payment(tx.con, payment_id)
    await lock_group_orders(tx, payment.group_id)
    locked = await lock_payment(tx, payment_id)
    if locked.state != "created" or locked.gateway_reference is not None:
        return
    await tx.con.execute(SQL["store_refused"], payment_id, code)
    await order_service.mark_payment_refused(
        tx, locked.group_id, "the payment provider does not take this payment"
    )


async def apply_refund(tx: Tx, refund_id: RefundId, answer: ProviderRefund) -> None:
    """Bring a refund to where it is at the provider.

    Raises:
        Rejected: `refund.amount_mismatch`.
    """
    refund = await _lock_refund(tx, refund_id)
    if refund.amount_minor != answer.amount_minor:
        raise Rejected(
            "refund.amount_mismatch",
            f"The provider speaks of {answer.amount_minor}, refund {refund.id} of {refund.amount_minor}.",
        )
    await tx.con.execute(SQL["store_refund_reference"], refund.id, answer.reference)
    if refund.state != "requested":
        return
    match answer.state:
        case "pending":
            pass
        case "succeeded":
            await tx.con.execute(SQL["finish_refund"], refund.id, "succeeded")
            await post_refund_succeeded(tx, refund, answer.reference)
            sums = await sum_refunds(tx, refund.payment_id, refund.order_id)
            await order_service.mark_refunded(tx, refund.order_id, sums.succeeded_of_order_minor)
            shown = await show_refund(tx.con, refund.order_id, refund.id)
            if shown.cause != "order":
                tx.emit(order_topic(refund.order_id), RefundSucceeded(refund=shown))
        case "failed":
            await _fail_refund(tx, refund, "the provider could not return the money")


async def apply_refused_refund(tx: Tx, refund_id: RefundId, reason: str) -> None:
    """The provider will not even try."""
    refund = await _lock_refund(tx, refund_id)
    if refund.state == "requested":
        await _fail_refund(tx, refund, reason)


async def find_refund(tx: Tx, answer: ProviderRefund) -> RefundId:
    """Return the refund of ours that the provider speaks of, also where its answer to our call was lost.

    Raises:
        Unavailable: `refund.unknown_reference`: nothing of ours is meant (yet); repeat later.
    """
    refund_id = await tx.con.fetchval(SQL["find_refund"], answer.reference, answer.client_reference)
    if refund_id is None:
        raise Unavailable(
            "refund.unknown_reference", f"No refund is known as {answer.reference} here."
        )
    return RefundId(refund_id)


async def _capture(
    tx: Tx, payment: LockedPayment, intent: Intent, orders: list[OrderShare]
) -> None:
    if payment.state == "captured":
        return
    if (intent.amount_minor, intent.currency) != (payment.amount_minor, payment.currency):
        raise Rejected(
            "payment.amount_mismatch",
            f"The provider took {intent.amount_minor} {intent.currency} for payment {payment.id} "
            f"of {payment.amount_minor} {payment.currency}.",
        )
    await tx.con.execute(SQL["store_captured"], payment.id, intent.fee_minor)
    await post_captured(
        tx, msgspec.structs.replace(payment, state="captured", fee_minor=intent.fee_minor)
    )
    if await order_service.mark_paid(tx, payment.group_id):
        return
    for order in orders:
        if order.total_minor > 0:
            await request_refund(tx, order.order_id, order.total_minor, "paid after it was closed")


async def _authorize(tx: Tx, payment: LockedPayment, intent: Intent) -> None:
    """The money is held ready: have it taken if any order still waits for it, and released if none does."""
    if payment.state not in {"created", "pending", "failed"}:
        return
    await tx.con.execute(SQL["store_authorized"], payment.id, intent.authorized_until)
    if await tx.con.fetchval(SQL["group_waits_for_money"], payment.group_id):
        tx.enqueue(CapturePayment(payment=payment.id), dedup=f"capture:{payment.id}")
    else:
        tx.enqueue(CancelPaymentIntent(payment=payment.id), dedup=f"release:{payment.id}")


async def _cancel(tx: Tx, payment: LockedPayment) -> None:
    if payment.state in {"created", "pending", "failed", "authorized"}:
        await tx.con.execute(SQL["store_canceled"], payment.id)


async def _decline(tx: Tx, payment: LockedPayment, decline_code: str) -> None:
    """The intent waits for money; with a decline code, because the last try was refused."""
    if payment.state not in {"created", "pending", "failed"} or decline_code in {
        "",
        payment.decline_code,
    }:
        return
    await tx.con.execute(SQL["store_declined"], payment.id, decline_code)
    await order_service.mark_payment_declined(tx, payment.group_id, decline_code)


async def _lock_refund(tx: Tx, refund_id: RefundId) -> RefundRow:
    """Order, then payment, and only then what they say about the refund."""
    refund = await load_refund(tx.con, refund_id)
    await lock_order(tx, refund.order_id)
    await lock_payment(tx, refund.payment_id)
    return await load_refund(tx.con, refund_id)


async def _fail_refund(tx: Tx, refund: RefundRow, reason: str) -> None:
    await tx.con.execute(SQL["finish_refund"], refund.id, "failed")
    await post_refund_failed(tx, refund)
    shown = await show_refund(tx.con, refund.order_id, refund.id)
    tx.emit(order_topic(refund.order_id), RefundRefused(refund=shown))
    tx.emit(
        OPS,
        RefundFailed(
            refund=refund.id,
            order=refund.order_id,
            amount_minor=refund.amount_minor,
            currency=refund.currency,
            reason=reason,
        ),
    )
