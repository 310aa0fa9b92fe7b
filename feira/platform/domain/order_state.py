"""What an order is made of as far as decisions go, and what a decision looks like. See `orders.py` for the drawing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from feira.platform.domain.ids import OrderLineId, ShipmentId
from feira.platform.domain.order_commands import DeadlineKind, LineQuantity

OrderStatus = Literal[
    "pending_payment",
    "paid",
    "accepted",
    "shipped",
    "delivered",
    "disputed",
    "completed",
    "refunded",
    "split",
    "cancelled",
    "expired",
]
PaymentStatus = Literal[
    "none", "authorized", "captured", "partially_refunded", "refunded", "charged_back"
]
FulfilmentStatus = Literal["none", "partial", "full", "delivered"]
ActorRole = Literal["buyer", "seller", "support", "timer", "gateway"]
StockMove = Literal["sell", "release", "restock"]
Fact = Literal[
    "paid",
    "paid_late",
    "payment_declined",
    "accepted",
    "partially_shipped",
    "shipped",
    "parcel_delivered",
    "delivered",
    "completed",
    "cancelled",
    "rest_cancelled",
    "cancel_requested",
    "cancel_declined",
    "ship_by_missed",
    "more_time_requested",
    "ship_by_extended",
    "expired",
    "refunded",
    "dispute_opened",
    "evidence_added",
    "settlement_proposed",
    "dispute_withdrawn",
    "dispute_overdue",
    "dispute_settled",
    "dispute_decided",
    "charged_back",
    "chargeback_won",
    "chargeback_lost",
]

CLOSED: Final[frozenset[OrderStatus]] = frozenset(
    {"completed", "refunded", "split", "cancelled", "expired"}
)
"""No way leads out of these. What money still moves (returns, chargebacks) leaves the status alone."""
RELEASED: Final[frozenset[OrderStatus]] = frozenset({"completed", "split"})
"""What was left of the order's hold went to its shop and the market."""

DEADLINES_OF: Final[Mapping[OrderStatus, frozenset[DeadlineKind]]] = {
    "pending_payment": frozenset({"hold"}),
    "paid": frozenset({"ship_by", "late_cancel"}),
    "accepted": frozenset({"ship_by", "late_cancel", "cancel_answer"}),
    "shipped": frozenset({"arrival"}),
    "delivered": frozenset({"auto_accept"}),
    # The first two stand still until the dispute is over.
    "disputed": frozenset({"arrival", "auto_accept", "dispute_decision"}),
}
"""The timers that may run in a status; with the status they end. A closed order has none."""


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds. Frozen at checkout: later terms move no deadline of an old order."""

    ship_within_s: int
    """From the payment until the last parcel leaves: the shop's promise."""
    late_cancel_s: int
    """From the broken promise until the order is cancelled by itself."""
    cancel_answer_s: int
    """For the shop to answer a buyer who asks to cancel."""
    arrive_within_s: int
    """From the last parcel's leaving until it counts as delivered, when nobody says otherwise."""
    auto_accept_s: int
    dispute_decision_s: int


class LineState(msgspec.Struct, frozen=True, kw_only=True):
    """`paid_minor`: the line's share of what the buyer paid, shipping apart; of it `back_minor` was given back for units."""

    line: OrderLineId
    quantity: int
    shipped: int
    paid_minor: int
    cancelled: int = 0
    back: int = 0
    back_minor: int = 0

    @property
    def unshipped(self) -> int:
        return self.quantity - self.shipped - self.cancelled


class ParcelState(msgspec.Struct, frozen=True, kw_only=True):
    shipment: ShipmentId
    delivered: bool


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """What happens by itself, and when. A paused one stands still, and goes on later by as much as it stood."""

    kind: DeadlineKind
    due_at: datetime
    paused_at: datetime | None = None


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """How one side would end a dispute: so much of the money goes back to the buyer."""

    by: Literal["buyer", "seller"]
    refund_minor: int


class DisputeState(msgspec.Struct, frozen=True, kw_only=True):
    """An open dispute. Withdrawn, it leaves the order where it was: `opened_from`."""

    opened_from: Literal["shipped", "delivered"]
    proposal: Proposal | None = None


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision depends on."""

    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    version: int
    total_minor: int
    promised_minor: int = 0
    """Refunds that were promised and not refused, whether or not they arrived."""
    refunded_minor: int = 0
    """Of these, what has arrived."""
    terms: OrderTerms
    lines: tuple[LineState, ...]
    parcels: tuple[ParcelState, ...] = ()
    deadlines: tuple[Deadline, ...]
    dispute: DisputeState | None = None

    @property
    def left_minor(self) -> int:
        """What of the buyer's money is neither given back nor promised."""
        return self.total_minor - self.promised_minor

    def deadline(self, kind: DeadlineKind) -> Deadline | None:
        return next((deadline for deadline in self.deadlines if deadline.kind == kind), None)

    @property
    def is_late(self) -> bool:
        """The shop's promise is broken, and the buyer may cancel."""
        return self.deadline("late_cancel") is not None

    @property
    def is_cancel_requested(self) -> bool:
        return self.deadline("cancel_answer") is not None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What happened: the order's next state, and what has to move with it in the same transaction."""

    fact: Fact
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    version: int
    deadlines: tuple[Deadline, ...]
    """All that are there from now on, by kind; those missing are over."""
    stock: StockMove | None = None
    refund_minor: int = 0
    """To be given back, now that this happened."""
    shipped: tuple[LineQuantity, ...] = ()
    delivered: tuple[ShipmentId, ...] = ()
    """Parcels that arrived with this."""
    cancelled: tuple[LineQuantity, ...] = ()
    """What will not be shipped any more; empty where the order never sold anything."""
    dispute: DisputeState | None = None
    """As it is from now on; null where none is open."""
