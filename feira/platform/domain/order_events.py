"""What the logs say about orders.

`order:{id}` carries everything (`OrderEvent`); the shop's topic and the buyer's inbox carry one line for each
change (`OrderPlaced`, `OrderMoved`), enough to keep a list of orders right.

Every `OrderEvent` carries the order's version and statuses after it, so an older copy of the order plus the
events since gives what a fresh copy would say.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.events import Event
from feira.platform.domain.ids import OrderGroupId, OrderId, ShipmentId, ShopId, UserId
from feira.platform.domain.order_commands import LineQuantity
from feira.platform.domain.order_state import (
    ActorRole,
    Deadline,
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
)


class Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel on its way; `delivered_at` is null until it arrived."""

    id: ShipmentId
    carrier: str
    tracking_number: str
    shipped_at: datetime
    delivered_at: datetime | None
    lines: list[LineQuantity]


class OrderEvent(Event, frozen=True, kw_only=True):
    """Base of what an order's own topic carries. `actor` is null for timers and the gateway."""

    order: OrderId
    version: int
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    deadlines: tuple[Deadline, ...]
    """All that run from now on."""
    updated_at: datetime
    actor_role: ActorRole
    actor: UserId | None
    reason: str


class OrderCreated(OrderEvent, frozen=True, kw_only=True, tag="order.created"):
    """Checked out, stock held, waiting for the money."""

    total_minor: int
    currency: str


class OrderPaid(OrderEvent, frozen=True, kw_only=True, tag="order.paid"):
    total_minor: int
    currency: str


class OrderPaidLate(OrderEvent, frozen=True, kw_only=True, tag="order.paid_late"):
    """Money came for an order that was closed already; `refund_minor` of it goes back."""

    refund_minor: int
    currency: str


class OrderPaymentDeclined(OrderEvent, frozen=True, kw_only=True, tag="order.payment_declined"):
    """The buyer may try again until the hold ends."""

    decline_code: str


class OrderAccepted(OrderEvent, frozen=True, kw_only=True, tag="order.accepted"):
    pass


class OrderPartiallyShipped(OrderEvent, frozen=True, kw_only=True, tag="order.partially_shipped"):
    shipment: Shipment


class OrderShipped(OrderEvent, frozen=True, kw_only=True, tag="order.shipped"):
    """The last parcel left."""

    shipment: Shipment


class OrderDelivered(OrderEvent, frozen=True, kw_only=True, tag="order.delivered"):
    delivered_at: datetime


class OrderCompleted(OrderEvent, frozen=True, kw_only=True, tag="order.completed"):
    total_minor: int
    currency: str


class OrderCancelled(OrderEvent, frozen=True, kw_only=True, tag="order.cancelled"):
    """`refund_minor` goes back to the buyer; 0 where nothing was paid."""

    refund_minor: int
    currency: str


class OrderExpired(OrderEvent, frozen=True, kw_only=True, tag="order.expired"):
    pass


class OrderRefunded(OrderEvent, frozen=True, kw_only=True, tag="order.refunded"):
    """The gateway gave money back: `refunded_minor` in all, up to now."""

    refunded_minor: int
    currency: str


AnyOrderEvent = (
    OrderCreated
    | OrderPaid
    | OrderPaidLate
    | OrderPaymentDeclined
    | OrderAccepted
    | OrderPartiallyShipped
    | OrderShipped
    | OrderDelivered
    | OrderCompleted
    | OrderCancelled
    | OrderExpired
    | OrderRefunded
)


class _OrderSummary(Event, frozen=True, kw_only=True):
    """One line about an order, for the shop's list and the buyer's."""

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


class OrderPlaced(_OrderSummary, frozen=True, kw_only=True, tag="order.placed"):
    """To the shop: a new order with its stock held and its money captured."""


class OrderMoved(_OrderSummary, frozen=True, kw_only=True, tag="order.moved"):
    """`cause` is the event of the order's own topic."""

    cause: str
