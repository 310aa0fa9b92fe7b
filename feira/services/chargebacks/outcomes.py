"""What a provider says of a dispute, applied under lock and only forwards: rows, books, orders, clearances, news.

Locks: the payment's orders, the payment, the chargeback, then the balances of its shops.
"""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec.structs import replace

from feira.platform.domain.chargeback_events import ChargebackMoved
from feira.platform.domain.chargebacks import Effect, divide, move
from feira.platform.domain.errors import Unavailable
from feira.platform.domain.ids import OrderGroupId, OrderId, PaymentId
from feira.platform.domain.payout_jobs import NotifyChargeback
from feira.platform.domain.postings_chargebacks import (
    chargeback_lost,
    chargeback_opened,
    chargeback_reinstated,
    chargeback_share,
    chargeback_won,
)
from feira.platform.domain.postings_shops import fee_charged
from feira.platform.domain.topics import OPS, shop_topic
from feira.platform.gateways.payments.objects import Dispute
from feira.services.chargebacks.rows import SQL, ChargebackRow, ShareRow, read_shares
from feira.services.orders import orders as order_service
from feira.services.payments import ledger, releases
from feira.services.payments.postings import shop_funds
from feira.services.payments.rows import (
    OrderForMoney,
    lock_group_orders,
    lock_order,
    lock_payment,
    sum_refunds,
)
from feira.sql.database import Tx
from feira.sql.loader import fetch_all, fetch_one


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    id: PaymentId
    group_id: OrderGroupId


class _Sold(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the payment; `before_minor`: what it gave back or promised, and other chargebacks took."""

    order_id: OrderId
    total_minor: int
    before_minor: int


async def apply_dispute(tx: Tx, gateway: str, dispute: Dispute) -> None:
    """Bring the chargeback to where its dispute is at the provider. Saying it twice, or late, changes nothing.

    Raises:
        Unavailable: `chargeback.unknown_payment`: no payment of ours has this reference (yet); repeat later.
    """
    payment = await fetch_one(
        tx.con, SQL["find_payment"], _Found, gateway, dispute.intent_reference
    )
    if payment is None:
        raise Unavailable(
            "chargeback.unknown_payment",
            f"No payment is known as {dispute.intent_reference} here.",
        )
    await lock_group_orders(tx, payment.group_id)
    await lock_payment(tx, payment.id)
    row = await fetch_one(tx.con, SQL["lock_chargeback"], ChargebackRow, gateway, dispute.reference)
    movement = move(None if row is None else row.state, dispute.state)
    if movement is None:
        return
    if row is None:
        row = await _insert(tx, gateway, payment, dispute)
    row = replace(row, state=movement.state, evidence_due_at=dispute.evidence_due_at)
    shares = await read_shares(tx.con, row.id)
    for effect in movement.effects:
        if effect in {"win", "lose", "reinstate"}:
            # What counts as given back is read from its state.
            await _store(tx, row)
        for share in shares:
            await _have(tx, row, share, effect)
    await _store(tx, row)
    tell(tx, row, shares)
    tx.enqueue(
        NotifyChargeback(chargeback=row.id, state=row.state),
        dedup=f"chargeback:{row.id}:{row.state}",
    )


def tell(tx: Tx, row: ChargebackRow, shares: list[ShareRow]) -> None:
    """Tell each shop of its part, and operators of all."""

    def event(own: list[ShareRow], *, is_shop: bool) -> ChargebackMoved:
        return ChargebackMoved(
            chargeback=row.id,
            shop=own[0].shop_id if is_shop else None,
            state=row.state,
            amount_minor=sum(share.taken_minor for share in own),
            currency=row.currency,
            reason=row.reason,
            orders=tuple(share.order_id for share in own),
            evidence_due_at=row.evidence_due_at,
            is_answered=row.evidence_at is not None,
        )

    for shop_id in sorted({share.shop_id for share in shares}):
        own = [share for share in shares if share.shop_id == shop_id]
        tx.emit(shop_topic(shop_id), event(own, is_shop=True))
    tx.emit(OPS, event(shares, is_shop=False))


async def _insert(tx: Tx, gateway: str, payment: _Found, dispute: Dispute) -> ChargebackRow:
    """Write it down with each order's share, and the provider's fee."""
    row = await fetch_one(
        tx.con,
        SQL["insert_chargeback"],
        ChargebackRow,
        payment.id,
        gateway,
        dispute.reference,
        dispute.amount_minor,
        dispute.currency,
        dispute.fee_minor,
        dispute.reason,
        dispute.evidence_due_at,
    )
    assert row is not None, "the insert gives its row"
    # Before the shares are there: `before_minor` is without this one.
    sold = await fetch_all(tx.con, SQL["read_orders"], _Sold, payment.group_id)
    amounts = divide(
        dispute.amount_minor,
        totals=[order.total_minor for order in sold],
        left=[order.total_minor - order.before_minor for order in sold],
    )
    for order, amount_minor in zip(sold, amounts, strict=True):
        if amount_minor:
            await _insert_share(tx, row, order, amount_minor)
    if dispute.fee_minor:
        await ledger.post(
            tx,
            fee_charged(
                effect=f"chargeback:{row.id}",
                gateway=gateway,
                currency=row.currency,
                fee_minor=dispute.fee_minor,
                reference=dispute.reference,
            ),
        )
    return row


async def _insert_share(tx: Tx, row: ChargebackRow, sold: _Sold, amount_minor: int) -> None:
    order = await lock_order(tx, sold.order_id)
    share = chargeback_share(
        order.sale,
        chargeback_id=row.id,
        gateway=row.gateway,
        amount_minor=amount_minor,
        before_minor=sold.before_minor,
        funds=await shop_funds(tx, order),
        reference=row.gateway_reference,
    )
    await tx.con.execute(
        SQL["insert_share"],
        row.id,
        order.order_id,
        order.shop_id,
        share.part.amount_minor,
        share.part.commission_minor,
        share.part.subsidy_minor,
        share.excess_minor,
    )


async def _have(tx: Tx, row: ChargebackRow, share_row: ShareRow, effect: Effect) -> None:
    """Let an effect happen to one order: books first, since a closed order holds nothing."""
    if effect == "review":
        return
    order = await lock_order(tx, share_row.order_id)
    share, order_id = share_row.of(row), order.order_id
    match effect:
        case "open":
            funds = await shop_funds(tx, order)
            await ledger.post(tx, chargeback_opened(order.sale, share, funds))
            await order_service.mark_charged_back(tx, order_id)
            await releases.pause(tx, order_id, "chargeback")
        case "win":
            other = await _given_back(tx, row, order)
            funds = await shop_funds(tx, order)
            await ledger.post(tx, chargeback_won(order.sale, share, other_minor=other, funds=funds))
            await order_service.mark_chargeback_won(tx, order_id)
            await releases.resume(tx, order_id, "chargeback")
        case "lose":
            await ledger.post(tx, chargeback_lost(order.sale, share))
            await order_service.mark_chargeback_lost(tx, order_id)
            await releases.resume(tx, order_id, "chargeback")
        case "reinstate":
            other = await _given_back(tx, row, order)
            funds = await shop_funds(tx, order)
            await ledger.post(
                tx, chargeback_reinstated(order.sale, share, other_minor=other, funds=funds)
            )
            await order_service.mark_chargeback_won(tx, order_id)
        case _:
            assert_never(effect)


async def _given_back(tx: Tx, row: ChargebackRow, order: OrderForMoney) -> int:
    """What the order gives back without this chargeback, whose state says by now that it was given back."""
    sums = await sum_refunds(tx, row.payment_id, order.order_id)
    return sums.of_order_minor


async def _store(tx: Tx, row: ChargebackRow) -> None:
    await tx.con.execute(SQL["store_state"], row.id, row.state, row.evidence_due_at)
