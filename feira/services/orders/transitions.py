"""Carrying decisions out: statuses, timers, parcels, stock, money, events and jobs, all in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from feira.platform.domain.ids import OrderGroupId, OrderId, PaymentId, ShipmentId
from feira.platform.domain.jobs import CancelPaymentIntent, NotifyOrderPaid, NotifyOrderShipped
from feira.platform.domain.order_commands import Refund, Ship
from feira.platform.domain.order_events import Shipment
from feira.platform.domain.order_state import StockMove
from feira.services.orders.announcements import Move, announce
from feira.services.orders.promotion_uses import release_promotions
from feira.services.orders.rows import SQL
from feira.services.payments.postings import post_completed
from feira.services.payments.refunds import request_refund
from feira.services.products import stock
from feira.sql.database import Tx


async def apply(tx: Tx, moves: Sequence[Move]) -> None:
    """Carry out decisions about distinct orders that this transaction has locked.

    Selling comes first, since it alone can fail; refunds come before promotions and stock that go back
    (payment, promotion, SKU), and completion last (the ledger). Stock moves for all orders at once, so that SKUs
    are locked in one order.

    Raises:
        Rejected: `stock.hold_lost`: the stock of a paid order is gone; nothing was changed.
    """
    sold = _orders_whose_stock(moves, "sell")
    if sold:
        await stock.sell(tx, sold)
    for move in moves:
        await _store(tx, move)
    for move in moves:
        if move.decision.refund_minor and move.decision.stock == "restock":
            await request_refund(tx, move.order.row.id, move.decision.refund_minor, move.reason)
    await _release_promotions(tx, moves)
    await _give_stock_back(tx, moves)
    for move in moves:
        if move.decision.fact == "completed":
            await post_completed(tx, move.order.row.id)
        _enqueue_notices(tx, move)
    closed = [move for move in moves if move.decision.stock == "release"]
    for group_id in sorted({move.order.row.group_id for move in closed}):
        await _cancel_intent_when_closed(tx, group_id)


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
    if decision.deadlines != move.order.state.deadlines:
        await tx.con.execute(SQL["clear_deadlines"], row.id)
        for deadline in decision.deadlines:
            await tx.con.execute(SQL["insert_deadline"], row.id, deadline.kind, deadline.due_at)
    shipment = None
    if isinstance(command, Ship):
        shipment = await _insert_shipment(tx, move, command)
    if decision.fact == "delivered":
        await tx.con.execute(SQL["deliver_shipments"], row.id, tx.now)
    announce(tx, move, shipment)


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
    restocked = _orders_whose_stock(moves, "restock")
    if restocked:
        await stock.restock(tx, restocked)


def _orders_whose_stock(moves: Sequence[Move], does: StockMove) -> list[OrderId]:
    return [move.order.row.id for move in moves if move.decision.stock == does]


def _enqueue_notices(tx: Tx, move: Move) -> None:
    if move.decision.fact == "paid":
        order_id = move.order.row.id
        tx.enqueue(NotifyOrderPaid(order=order_id), dedup=f"order_paid:{order_id}")


async def _cancel_intent_when_closed(tx: Tx, group_id: OrderGroupId) -> None:
    # Two orders of one group may be cancelled at once: the later one sees that it closed the group.
    await tx.con.execute(SQL["lock_group"], group_id)
    payment_id: PaymentId | None = await tx.con.fetchval(SQL["payment_of_closed_group"], group_id)
    if payment_id is not None:
        tx.enqueue(CancelPaymentIntent(payment=payment_id), dedup=f"cancel_intent:{payment_id}")
