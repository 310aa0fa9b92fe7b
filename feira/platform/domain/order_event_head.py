"""What every event of an order's own topic says."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.events import Event
from feira.platform.domain.ids import OrderId, ShipmentId, UserId
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
    """Base of what an order's own topic carries. `actor` is null for timers and the gateway.

    `deadlines` are the countdowns of the order from now on: those missing are over, one with `paused_at` stands still.
    """

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
