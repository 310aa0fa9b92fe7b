"""What the logs say about orders.

`order:{id}` carries everything (`OrderEvent`); the shop's topic and the buyer's inbox carry one line for each
change (`OrderPlaced`, `OrderMoved`), enough to keep a list of orders right.

Every `OrderEvent` carries the order's version and statuses after it, so an older copy of the order plus the
events since gives what a fresh copy would say.
"""

from __future__ import annotations

from datetime import datetime

from feira.platform.domain.events import Event
from feira.platform.domain.ids import OrderGroupId, OrderId, ShipmentId, ShopId, UserId
from feira.platform.domain.order_commands import LineQuantity
from feira.platform.domain.order_dispute_events import (
    OrderDisputeDecided,
    OrderDisputeOpened,
    OrderDisputeOverdue,
    OrderDisputeSettled,
    OrderDisputeWithdrawn,
    OrderEvidenceAdded,
    OrderSettlementProposed,
)
from feira.platform.domain.order_event_head import OrderEvent, Shipment
from feira.platform.domain.order_state import (
    Deadline,
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
)


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


class OrderParcelDelivered(OrderEvent, frozen=True, kw_only=True, tag="order.parcel_delivered"):
    """Some of the parcels arrived; others are still to come."""

    shipments: tuple[ShipmentId, ...]
    delivered_at: datetime


class OrderDelivered(OrderEvent, frozen=True, kw_only=True, tag="order.delivered"):
    """The last parcel arrived."""

    shipments: tuple[ShipmentId, ...]
    delivered_at: datetime


class OrderCompleted(OrderEvent, frozen=True, kw_only=True, tag="order.completed"):
    """`released_minor`, what was not given back, goes to the shop and the market."""

    total_minor: int
    released_minor: int
    currency: str


class OrderCancelled(OrderEvent, frozen=True, kw_only=True, tag="order.cancelled"):
    """`refund_minor` goes back to the buyer; 0 where nothing was paid."""

    refund_minor: int
    currency: str


class OrderRestCancelled(OrderEvent, frozen=True, kw_only=True, tag="order.rest_cancelled"):
    """`lines` will not be shipped any more, and what was paid for them goes back."""

    lines: tuple[LineQuantity, ...]
    refund_minor: int
    currency: str


class OrderCancelRequested(OrderEvent, frozen=True, kw_only=True, tag="order.cancel_requested"):
    """The buyer asks to cancel; without an answer in time it is done."""


class OrderCancelDeclined(OrderEvent, frozen=True, kw_only=True, tag="order.cancel_declined"):
    pass


class OrderShipByMissed(OrderEvent, frozen=True, kw_only=True, tag="order.ship_by_missed"):
    """The shop is late: the buyer may cancel at once."""


class OrderMoreTimeRequested(
    OrderEvent, frozen=True, kw_only=True, tag="order.more_time_requested"
):
    """The shop would like to ship by then."""

    ship_by: datetime


class OrderShipByExtended(OrderEvent, frozen=True, kw_only=True, tag="order.ship_by_extended"):
    ship_by: datetime


class OrderExpired(OrderEvent, frozen=True, kw_only=True, tag="order.expired"):
    pass


class OrderRefunded(OrderEvent, frozen=True, kw_only=True, tag="order.refunded"):
    """The gateway gave money back: `refunded_minor` in all, up to now."""

    refunded_minor: int
    currency: str


class OrderChargedBack(OrderEvent, frozen=True, kw_only=True, tag="order.charged_back"):
    """The buyer's bank took the money back; all countdowns stand still until it is known whose it is."""


class OrderChargebackWon(OrderEvent, frozen=True, kw_only=True, tag="order.chargeback_won"):
    """The money is back, and the order goes on."""


class OrderChargebackLost(OrderEvent, frozen=True, kw_only=True, tag="order.chargeback_lost"):
    """The buyer has the money for good."""


AnyOrderEvent = (
    OrderCreated
    | OrderPaid
    | OrderPaidLate
    | OrderPaymentDeclined
    | OrderAccepted
    | OrderPartiallyShipped
    | OrderShipped
    | OrderParcelDelivered
    | OrderDelivered
    | OrderCompleted
    | OrderCancelled
    | OrderRestCancelled
    | OrderCancelRequested
    | OrderCancelDeclined
    | OrderShipByMissed
    | OrderMoreTimeRequested
    | OrderShipByExtended
    | OrderExpired
    | OrderRefunded
    | OrderDisputeOpened
    | OrderEvidenceAdded
    | OrderSettlementProposed
    | OrderDisputeWithdrawn
    | OrderDisputeOverdue
    | OrderDisputeSettled
    | OrderDisputeDecided
    | OrderChargedBack
    | OrderChargebackWon
    | OrderChargebackLost
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
    deadlines: tuple[Deadline, ...]
    updated_at: datetime


class OrderPlaced(_OrderSummary, frozen=True, kw_only=True, tag="order.placed"):
    """To the shop: a new order with its stock held and its money captured."""


class OrderMoved(_OrderSummary, frozen=True, kw_only=True, tag="order.moved"):
    """`cause` is the event of the order's own topic."""

    cause: str
