"""Carrying decisions out: statuses, timers, parcels, stock, money, events and jobs, all in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from feira.platform.domain.ids import OrderGroupId, OrderId, PaymentId, ShipmentId
from feira.platform.domain.jobs import (
    CancelPaymentIntent,
    NotifyOrderMoved,
    NotifyOrderPaid,
    NotifyOrderShipped,
    RemindOfDeadline,
)
from feira.platform.domain.order_commands import Refund, RequestCancel, RequestMoreTime, Ship
from feira.platform.domain.order_event_head import Shipment
from feira.platform.domain.order_fulfilment import price_rest
from feira.platform.domain.order_news import NEWS, REMINDERS
from feira.platform.domain.order_state import RELEASED, DeadlineKind, StockMove
from feira.platform.domain.refunds import RefundPrice
from feira.services.orders.announcements import Move, announce
from feira.services.orders.disputing import write_dispute
from feira.services.orders.invoices import issue_invoices
from feira.services.orders.promotion_uses import release_promotions
from feira.services.orders.states import SQL
from feira.services.payments.postings import post_completed
from feira.services.payments.refunds import Why, promise_refund
from feira.services.products import stock
from feira.sql.database import Tx


async def apply(tx: Tx, moves: Sequence[Move]) -> None:
    """Carry out decisions about distinct orders that this transaction has locked.

    Selling comes first, since it alone can fail. Refunds come before the new status is stored, since what was
    not released yet is given back out of the order's hold; and before promotions and stock that go back (payment,
    promotion, SKU). Invoices take their shops' next numbers after that. Releasing what is left comes last (the ledger). Stock moves for all orders at once, so that
    SKUs are locked in one order.

    Raises:
        Rejected: `stock.hold_lost`: the stock of a paid order is gone; nothing was changed.
        FeiraError: files that cannot be evidence.
    """
    sold = _orders_whose_stock(moves, "sell")
    if sold:
        await stock.sell(tx, sold)
    for move in moves:
        # Late money goes back when its capture is in the books: see `orders.mark_paid`.
        if move.decision.refund_minor and move.decision.fact != "paid_late":
            await promise_refund(tx, move.order.row.id, _price(move), Why(reason=move.reason))
    for move in moves:
        await _store(tx, move)
    await _release_promotions(tx, moves)
    await _give_stock_back(tx, moves)
    await issue_invoices(tx, [m.order.row.id for m in moves if m.decision.fact == "paid"])
    for move in moves:
        if move.decision.status in RELEASED and move.order.state.status not in RELEASED:
            await post_completed(tx, move.order.row.id)
        _enqueue_notices(tx, move)
    closed = [move for move in moves if move.decision.stock == "release"]
    for group_id in sorted({move.order.row.group_id for move in closed}):
        await _cancel_intent_when_closed(tx, group_id)


def _price(move: Move) -> RefundPrice:
    """What the decision gives back, with the units that it is for where it is for some of them."""
    if move.decision.fact != "rest_cancelled":
        return RefundPrice(amount_minor=move.decision.refund_minor)
    price = price_rest(move.order.state)
    assert price.amount_minor == move.decision.refund_minor, "priced as it was decided"
    return price


async def _store(tx: Tx, move: Move) -> None:
    row, decision, command = move.order.row, move.decision, move.command
    refunded_minor = command.refunded_minor if isinstance(command, Refund) else row.refunded_minor
    stored = await tx.con.fetchval(
        SQL["store_order"],
        row.id,
        row.version,
        decision.status,
        decision.payment_status,
        decision.fulfilment_status,
        refunded_minor,
    )
    assert stored, "a locked order does not change under its holder"
    await _store_deadlines(tx, move)
    written = await write_dispute(tx, move)
    if isinstance(command, Ship):
        shipment = await _insert_shipment(tx, move, command)
        announce(tx, move, written.with_shipment(shipment))
        return
    if decision.delivered:
        await tx.con.execute(SQL["deliver_shipments"], list(decision.delivered), tx.now)
    announce(tx, move, written)


async def _store_deadlines(tx: Tx, move: Move) -> None:
    """Write the countdowns down, and what one side waits for the other to answer."""
    row, decision, command = move.order.row, move.decision, move.command
    if isinstance(command, RequestCancel | RequestMoreTime):
        is_time = isinstance(command, RequestMoreTime)
        await tx.con.execute(
            SQL["store_request"],
            row.id,
            "more_time" if is_time else "cancel",
            move.actor,
            command.reason,
            command.ship_by if is_time else None,
            tx.now,
        )
    if decision.deadlines == move.order.state.deadlines:
        return
    await tx.con.execute(SQL["clear_deadlines"], row.id)
    for deadline in decision.deadlines:
        await tx.con.execute(
            SQL["insert_deadline"], row.id, deadline.kind, deadline.due_at, deadline.paused_at
        )
    running: set[DeadlineKind] = {deadline.kind for deadline in decision.deadlines}
    answered: list[str] = []
    if "cancel_answer" not in running:
        answered.append("cancel")
    if decision.fact == "ship_by_extended" or running.isdisjoint({"ship_by", "late_cancel"}):
        answered.append("more_time")
    await tx.con.execute(SQL["end_requests"], row.id, answered)


async def _insert_shipment(tx: Tx, move: Move, command: Ship) -> Shipment:
    parcel = move.decision.shipped
    shipment_id: ShipmentId = await tx.con.fetchval(
        SQL["insert_shipment"],
        move.order.row.id,
        command.carrier,
        command.tracking_number,
        tx.now,
    )
    await tx.con.execute(
        SQL["insert_shipment_lines"],
        shipment_id,
        [item.line for item in parcel],
        [item.quantity for item in parcel],
    )
    tx.enqueue(
        NotifyOrderShipped(order=move.order.row.id, shipment=shipment_id),
        dedup=f"order_shipped:{shipment_id}",
    )
    return Shipment(
        id=shipment_id,
        carrier=command.carrier,
        tracking_number=command.tracking_number,
        shipped_at=tx.now,
        delivered_at=None,
        lines=list(parcel),
    )


async def _release_promotions(tx: Tx, moves: Sequence[Move]) -> None:
    closed = {
        move.order.row.group_id
        for move in moves
        if move.decision.status in {"cancelled", "expired"}
        and move.decision.status != move.order.state.status
    }
    if closed:
        await release_promotions(tx, sorted(closed))


async def _give_stock_back(tx: Tx, moves: Sequence[Move]) -> None:
    released = _orders_whose_stock(moves, "release")
    if released:
        await stock.release(tx, released)
    units: list[stock.Hold] = []
    for move in moves:
        if not move.decision.cancelled:
            continue
        rest = await tx.con.fetch(
            SQL["cancel_units"],
            [item.line for item in move.decision.cancelled],
            [item.quantity for item in move.decision.cancelled],
        )
        units += [
            stock.Hold(
                order_id=move.order.row.id,
                variant_id=record["variant_id"],
                quantity=record["quantity"],
            )
            for record in rest
        ]
    if units:
        await stock.restock_units(tx, units)


def _orders_whose_stock(moves: Sequence[Move], does: StockMove) -> list[OrderId]:
    return [move.order.row.id for move in moves if move.decision.stock == does]


def _enqueue_notices(tx: Tx, move: Move) -> None:
    order_id, decision = move.order.row.id, move.decision
    if decision.fact == "paid":
        tx.enqueue(NotifyOrderPaid(order=order_id), dedup=f"order_paid:{order_id}")
    # The shop does not know of orders that were never paid.
    elif decision.fact in NEWS and decision.payment_status != "none":
        tx.enqueue(
            NotifyOrderMoved(
                order=order_id,
                version=decision.version,
                fact=decision.fact,
                actor=move.actor,
                refund_minor=decision.refund_minor,
                reason=move.reason,
            ),
            dedup=f"order_moved:{order_id}:{decision.version}",
        )
    before = move.order.state.deadlines
    for deadline in decision.deadlines:
        if deadline.kind in REMINDERS and deadline.paused_at is None and deadline not in before:
            _, ahead, _ = REMINDERS[deadline.kind]
            if deadline.due_at - ahead > tx.now:
                tx.enqueue(
                    RemindOfDeadline(
                        order=order_id, deadline=deadline.kind, due_at=deadline.due_at
                    ),
                    run_at=deadline.due_at - ahead,
                    dedup=f"deadline:{order_id}:{deadline.kind}:{deadline.due_at.isoformat()}",
                )


async def _cancel_intent_when_closed(tx: Tx, group_id: OrderGroupId) -> None:
    # Two orders of one group may be cancelled at once: the later one sees that it closed the group.
    await tx.con.execute(SQL["lock_group"], group_id)
    payment_id: PaymentId | None = await tx.con.fetchval(SQL["payment_of_closed_group"], group_id)
    if payment_id is not None:
        tx.enqueue(CancelPaymentIntent(payment=payment_id), dedup=f"cancel_intent:{payment_id}")
