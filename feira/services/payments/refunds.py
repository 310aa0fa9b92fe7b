r"""Refunds before an order is completed: promised in the books first, then asked of the provider.

requested --> succeeded
    \--> failed: the money is back where it was, and operators are told
"""

from __future__ import annotations

from feira.platform.domain.errors import NotFound, Rejected
from feira.platform.domain.ids import OrderId, RefundId
from feira.platform.domain.jobs import RefundPayment
from feira.platform.gateways.payments.objects import ProviderRefund
from feira.services.market import Market
from feira.services.payments.payments import outside_key, require_same_gateway
from feira.services.payments.postings import post_refund_requested
from feira.services.payments.rows import SQL, LockedPayment, RefundRow, lock_order, sum_refunds
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one


async def request_refund(tx: Tx, order_id: OrderId, amount_minor: int, reason: str) -> RefundId:
    """Promise the buyer `amount_minor` of a captured order back; a job asks the provider.

    The payment is locked before refunds are summed up: two of them together never exceed what was captured.

    Raises:
        NotFound: `order.not_found`.
        Rejected: `refund.not_captured`, `refund.released` (completed orders), `refund.exceeds_order`.
    """
    assert amount_minor > 0, "a refund gives something back"
    order = await lock_order(tx, order_id)
    payment = await fetch_one(tx.con, SQL["lock_group_payment"], LockedPayment, order.group_id)
    if payment is None or payment.state != "captured":
        raise Rejected(
            "refund.not_captured", "Nothing was paid for this order, so nothing can be given back."
        )
    if order.status == "completed":
        raise Rejected(
            "refund.released", "The order is completed and its money was released to the shop."
        )
    sums = await sum_refunds(tx, payment.id, order_id)
    left = min(
        order.total_minor - sums.of_order_minor, payment.amount_minor - sums.of_payment_minor
    )
    if amount_minor > left:
        raise Rejected(
            "refund.exceeds_order",
            f"Only {left} of {order.total_minor} minor units of this order are left to give back.",
            field="$.amount_minor",
            details={"left_minor": left},
        )
    refund_id = RefundId(
        await tx.con.fetchval(SQL["insert_refund"], payment.id, order_id, amount_minor, reason)
    )
    await post_refund_requested(tx, await load_refund(tx.con, refund_id))
    tx.enqueue(RefundPayment(refund=refund_id), dedup=f"refund:{refund_id}")
    return refund_id


async def ask_provider(market: Market, refund: RefundRow) -> ProviderRefund:
    """Ask for the refund, under the same key however often.

    Raises:
        Unavailable: ask again.
        Rejected: the provider will not.
    """
    require_same_gateway(market, refund.gateway)
    return await market.payments.refund(
        refund.intent_reference,
        amount_minor=refund.amount_minor,
        client_reference=str(refund.id),
        idempotency_key=outside_key("refund", refund.id),
    )


async def load_refund(con: Connection, refund_id: RefundId) -> RefundRow:
    """Read a refund.

    Raises:
        NotFound: `refund.not_found`.
    """
    refund = await fetch_one(con, SQL["read_refund"], RefundRow, refund_id)
    if refund is None:
        raise NotFound("refund.not_found", "There is no such refund.")
    return refund
