"""Telling the order's topic, its shop and its buyer what happened."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

import msgspec

from feira.platform.domain import order_events as events
from feira.platform.domain.ids import OrderGroupId, OrderId, ShopId, UserId
from feira.platform.domain.order_commands import (
    Cancel,
    Decline,
    OrderCommand,
    Refund,
    Trigger,
)
from feira.platform.domain.order_state import (
    ActorRole,
    Deadline,
    Decision,
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
)
from feira.platform.domain.topics import inbox_topic, order_topic, shop_topic
from feira.services.orders.rows import LockedOrder
from feira.sql.database import Tx


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A decision about a locked order, what it answers, and whose it was (null for machines)."""

    order: LockedOrder
    command: OrderCommand | Trigger
    decision: Decision
    actor_role: ActorRole
    actor: UserId | None = None

    @property
    def reason(self) -> str:
        return self.command.reason if isinstance(self.command, Cancel) else ""


class _Head(TypedDict):
    """What every event of an order's topic says."""

    order: OrderId
    version: int
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    deadlines: tuple[Deadline, ...]
    updated_at: datetime
    actor_role: ActorRole
    actor: UserId | None
    reason: str


class _Summary(TypedDict):
    order: OrderId
    number: int
    group: OrderGroupId
    shop: ShopId
    buyer: UserId
    version: int
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    total_minor: int
    currency: str
    updated_at: datetime


def announce(tx: Tx, move: Move, shipment: events.Shipment | None) -> None:
    """Emit a stored decision. The shop hears of an order from the moment it is paid."""
    row, decision = move.order.row, move.decision
    event = _event(tx, move, shipment)
    summary = _summary(tx, move)
    moved = events.OrderMoved(cause=f"order.{decision.fact}", **summary)
    tx.emit(order_topic(row.id), event)
    tx.emit(inbox_topic(row.buyer_id), moved)
    if decision.fact == "paid":
        tx.emit(shop_topic(row.shop_id), events.OrderPlaced(**summary))
    elif move.order.state.payment_status != "none":
        tx.emit(shop_topic(row.shop_id), moved)


def _event(tx: Tx, move: Move, shipment: events.Shipment | None) -> events.AnyOrderEvent:
    row, decision, head = move.order.row, move.decision, _head(tx, move)
    total_minor, currency = row.total_minor, row.currency
    refund_minor = decision.refund_minor
    match decision.fact:
        case "paid":
            return events.OrderPaid(total_minor=total_minor, currency=currency, **head)
        case "paid_late":
            return events.OrderPaidLate(refund_minor=refund_minor, currency=currency, **head)
        case "payment_declined":
            assert isinstance(move.command, Decline), "only the gateway declines"
            return events.OrderPaymentDeclined(decline_code=move.command.decline_code, **head)
        case "accepted":
            return events.OrderAccepted(**head)
        case "partially_shipped":
            assert shipment is not None, "a parcel was recorded"
            return events.OrderPartiallyShipped(shipment=shipment, **head)
        case "shipped":
            assert shipment is not None, "a parcel was recorded"
            return events.OrderShipped(shipment=shipment, **head)
        case "delivered":
            return events.OrderDelivered(delivered_at=tx.now, **head)
        case "completed":
            return events.OrderCompleted(total_minor=total_minor, currency=currency, **head)
        case "cancelled":
            return events.OrderCancelled(refund_minor=refund_minor, currency=currency, **head)
        case "expired":
            return events.OrderExpired(**head)
        case "refunded":
            assert isinstance(move.command, Refund), "only the gateway refunds"
            refunded_minor = move.command.refunded_minor
            return events.OrderRefunded(refunded_minor=refunded_minor, currency=currency, **head)


def _head(tx: Tx, move: Move) -> _Head:
    decision = move.decision
    return _Head(
        order=move.order.row.id,
        version=decision.version,
        status=decision.status,
        payment_status=decision.payment_status,
        fulfilment_status=decision.fulfilment_status,
        deadlines=decision.deadlines,
        updated_at=tx.now,
        actor_role=move.actor_role,
        actor=move.actor,
        reason=move.reason,
    )


def _summary(tx: Tx, move: Move) -> _Summary:
    row, decision = move.order.row, move.decision
    return _Summary(
        order=row.id,
        number=row.number,
        group=row.group_id,
        shop=row.shop_id,
        buyer=row.buyer_id,
        version=decision.version,
        status=decision.status,
        payment_status=decision.payment_status,
        fulfilment_status=decision.fulfilment_status,
        total_minor=row.total_minor,
        currency=row.currency,
        updated_at=tx.now,
    )
