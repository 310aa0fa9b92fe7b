"""Telling the order's topic, its shop and its buyer what happened."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

import msgspec

from feira.platform.domain import order_dispute_events as dispute_events
from feira.platform.domain import order_events as events
from feira.platform.domain.ids import DisputeId, OrderGroupId, OrderId, ShopId, UserId
from feira.platform.domain.order_commands import (
    Cancel,
    DecideDispute,
    Decline,
    DeclineCancel,
    ExtendShipBy,
    OpenDispute,
    OrderCommand,
    ProposeSettlement,
    Refund,
    Refuse,
    RequestCancel,
    RequestMoreTime,
    Trigger,
    WithdrawDispute,
)
from feira.platform.domain.order_disputes import outcome_of
from feira.platform.domain.order_event_head import OrderEvent, Shipment
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
        """What the actor gave as their reason, where the command asks for one."""
        match self.command:
            case (
                Cancel()
                | RequestCancel()
                | DeclineCancel()
                | RequestMoreTime()
                | ProposeSettlement()
                | WithdrawDispute()
                | DecideDispute()
                | Refuse()
            ) as command:
                return command.reason
            case _:
                return ""

    @property
    def released_minor(self) -> int:
        """What goes to the shop and the market, should the order's money be released now."""
        return self.order.state.left_minor - self.decision.refund_minor


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision left in tables of its own: a parcel, a dispute, a piece of evidence."""

    shipment: Shipment | None = None
    dispute: DisputeId | None = None
    evidence: dispute_events.Evidence | None = None

    def with_shipment(self, shipment: Shipment) -> Written:
        return msgspec.structs.replace(self, shipment=shipment)


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
    deadlines: tuple[Deadline, ...]
    updated_at: datetime


def announce(tx: Tx, move: Move, written: Written) -> None:
    """Emit a stored decision. The shop hears of an order from the moment it is paid."""
    row, decision = move.order.row, move.decision
    summary = _summary(tx, move)
    moved = events.OrderMoved(cause=f"order.{decision.fact}", **summary)
    tx.emit(order_topic(row.id), _event(tx, move, written))
    tx.emit(inbox_topic(row.buyer_id), moved)
    if decision.fact == "paid":
        tx.emit(shop_topic(row.shop_id), events.OrderPlaced(**summary))
    elif move.order.state.payment_status != "none":
        tx.emit(shop_topic(row.shop_id), moved)


def _event(tx: Tx, move: Move, written: Written) -> OrderEvent:
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
            assert written.shipment is not None, "a parcel was recorded"
            return events.OrderPartiallyShipped(shipment=written.shipment, **head)
        case "shipped":
            assert written.shipment is not None, "a parcel was recorded"
            return events.OrderShipped(shipment=written.shipment, **head)
        case "parcel_delivered":
            return events.OrderParcelDelivered(
                shipments=decision.delivered, delivered_at=tx.now, **head
            )
        case "delivered":
            return events.OrderDelivered(shipments=decision.delivered, delivered_at=tx.now, **head)
        case "completed":
            return events.OrderCompleted(
                total_minor=total_minor,
                released_minor=move.released_minor,
                currency=currency,
                **head,
            )
        case "cancelled":
            return events.OrderCancelled(refund_minor=refund_minor, currency=currency, **head)
        case "rest_cancelled":
            return events.OrderRestCancelled(
                lines=decision.cancelled, refund_minor=refund_minor, currency=currency, **head
            )
        case "expired":
            return events.OrderExpired(**head)
        case "refunded":
            assert isinstance(move.command, Refund), "only the gateway refunds"
            refunded_minor = move.command.refunded_minor
            return events.OrderRefunded(refunded_minor=refunded_minor, currency=currency, **head)
        case _:
            return _dispute_event(move, written, head) or _request_event(move, head)


def _request_event(move: Move, head: _Head) -> OrderEvent:
    """What the sides ask of each other, and what time and banks do to their order."""
    match move.decision.fact:
        case "cancel_requested":
            return events.OrderCancelRequested(**head)
        case "cancel_declined":
            return events.OrderCancelDeclined(**head)
        case "ship_by_missed":
            return events.OrderShipByMissed(**head)
        case "more_time_requested":
            assert isinstance(move.command, RequestMoreTime), "the shop named a time"
            return events.OrderMoreTimeRequested(ship_by=move.command.ship_by, **head)
        case "ship_by_extended":
            assert isinstance(move.command, ExtendShipBy), "somebody gave it time"
            return events.OrderShipByExtended(ship_by=move.command.ship_by, **head)
        case "charged_back":
            return events.OrderChargedBack(**head)
        case "chargeback_won":
            return events.OrderChargebackWon(**head)
        case "chargeback_lost":
            return events.OrderChargebackLost(**head)
        case fact:
            raise AssertionError(f"{fact} has an event")


def _dispute_event(move: Move, written: Written, head: _Head) -> OrderEvent | None:
    fact, dispute, currency = move.decision.fact, written.dispute, move.order.row.currency
    if dispute is None:
        return None
    match fact:
        case "dispute_opened":
            assert isinstance(move.command, OpenDispute), "the buyer said what is wrong"
            assert written.evidence is not None, "the buyer said something"
            return dispute_events.OrderDisputeOpened(
                dispute=dispute, problem=move.command.problem, evidence=written.evidence, **head
            )
        case "evidence_added":
            assert written.evidence is not None, "evidence was recorded"
            return dispute_events.OrderEvidenceAdded(
                dispute=dispute, evidence=written.evidence, **head
            )
        case "settlement_proposed":
            assert isinstance(move.command, ProposeSettlement), "somebody proposed"
            return dispute_events.OrderSettlementProposed(
                dispute=dispute,
                refund_minor=move.command.refund_minor,
                currency=currency,
                **head,
            )
        case "dispute_withdrawn":
            return dispute_events.OrderDisputeWithdrawn(dispute=dispute, **head)
        case "dispute_overdue":
            return dispute_events.OrderDisputeOverdue(dispute=dispute, **head)
        case "dispute_settled" | "dispute_decided":
            ended = (
                dispute_events.OrderDisputeSettled
                if fact == "dispute_settled"
                else dispute_events.OrderDisputeDecided
            )
            refund_minor = move.decision.refund_minor
            return ended(
                dispute=dispute,
                outcome=outcome_of(refund_minor, move.order.state.left_minor),
                refund_minor=refund_minor,
                released_minor=move.released_minor,
                currency=currency,
                **head,
            )
        case _:
            return None


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
        deadlines=decision.deadlines,
        updated_at=tx.now,
    )
