"""What an order is made of as far as decisions go, and what a decision looks like. See `orders.py` for the drawing."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from feira.platform.domain.ids import OrderLineId
from feira.platform.domain.order_commands import LineQuantity

OrderStatus = Literal[
    "pending_payment",
    "paid",
    "accepted",
    "shipped",
    "delivered",
    "completed",
    "cancelled",
    "expired",
]
PaymentStatus = Literal[
    "none", "authorized", "captured", "partially_refunded", "refunded", "charged_back"
]
FulfilmentStatus = Literal["none", "partial", "full", "delivered"]
ActorRole = Literal["buyer", "seller", "support", "timer", "gateway"]
DeadlineKind = Literal["hold", "auto_accept"]
StockMove = Literal["sell", "release", "restock"]
Fact = Literal[
    "paid",
    "paid_late",
    "payment_declined",
    "accepted",
    "partially_shipped",
    "shipped",
    "delivered",
    "completed",
    "cancelled",
    "expired",
    "refunded",
]


class LineState(msgspec.Struct, frozen=True, kw_only=True):
    line: OrderLineId
    quantity: int
    shipped: int


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """What happens by itself, and when."""

    kind: DeadlineKind
    due_at: datetime


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision depends on."""

    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    version: int
    total_minor: int
    auto_accept_s: int
    """Frozen at checkout: a later change of the market's terms moves no deadline of an old order."""
    lines: tuple[LineState, ...]
    deadlines: tuple[Deadline, ...]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What happened: the order's next state, and what has to move with it in the same transaction."""

    fact: Fact
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    version: int
    deadlines: tuple[Deadline, ...]
    """All that run from now on; those missing are over."""
    stock: StockMove | None = None
    refund_minor: int = 0
    """To be given back, now that this happened."""
    shipped: tuple[LineQuantity, ...] = ()
