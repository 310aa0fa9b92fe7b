"""What an order's log, and the thread in which it is talked over, say about returns. Each event carries the whole return."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.events import Event
from feira.platform.domain.ids import (
    ConversationId,
    OrderId,
    OrderLineId,
    ReturnId,
    ShopId,
    UserId,
    VariantId,
)
from feira.platform.domain.order_state import ActorRole
from feira.platform.domain.return_commands import Condition, Remedy, ReturnCause, ReturnKind
from feira.platform.domain.return_state import ReturnDeadline, ReturnStatus


class ReturnedLine(msgspec.Struct, frozen=True, kw_only=True):
    """`received` of `quantity` came back, in `condition`; `restocked` says whether they are on the shelf again."""

    line: OrderLineId
    title: str
    quantity: int
    received: int
    condition: Condition | None
    restocked: bool
    replacement: VariantId | None


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """A return, exchange or claim as both sides see it.

    `refund_minor` was promised for it so far. `replacement_order` is there once an exchange is agreed on: nothing is to
    be paid for it, and it ships once the goods are back. `reason` is what was said with the last step.
    """

    id: ReturnId
    order: OrderId
    shop: ShopId
    buyer: UserId
    kind: ReturnKind
    remedy: Remedy
    cause: ReturnCause
    text: str
    status: ReturnStatus
    version: int
    lines: tuple[ReturnedLine, ...]
    carrier: str
    tracking_number: str
    reason: str
    refund_minor: int
    currency: str
    replacement_order: OrderId | None
    conversation: ConversationId | None
    deadline: ReturnDeadline | None
    requested_at: datetime
    updated_at: datetime


class ReturnEvent(Event, frozen=True, kw_only=True):
    """Base. `actor` is null for the timer. `returned` is the return after it."""

    returned: Return
    actor: UserId | None
    actor_role: ActorRole


class ReturnRequested(ReturnEvent, frozen=True, kw_only=True, tag="return.requested"):
    pass


class ReturnApproved(ReturnEvent, frozen=True, kw_only=True, tag="return.approved"):
    """The buyer sends it back; for an exchange the replacement is kept aside."""


class ReturnDeclined(ReturnEvent, frozen=True, kw_only=True, tag="return.declined"):
    pass


class ReturnWithdrawn(ReturnEvent, frozen=True, kw_only=True, tag="return.withdrawn"):
    pass


class ReturnExpired(ReturnEvent, frozen=True, kw_only=True, tag="return.expired"):
    """Nothing was sent in time."""


class ReturnSent(ReturnEvent, frozen=True, kw_only=True, tag="return.sent"):
    pass


class ReturnReceived(ReturnEvent, frozen=True, kw_only=True, tag="return.received"):
    pass


class ReturnRefunded(ReturnEvent, frozen=True, kw_only=True, tag="return.refunded"):
    """The money is promised; `refund.promised` beside it says how much, unless it was nothing."""


class ReturnExchanged(ReturnEvent, frozen=True, kw_only=True, tag="return.exchanged"):
    """The replacement is the shop's to ship."""


AnyReturnEvent = (
    ReturnRequested
    | ReturnApproved
    | ReturnDeclined
    | ReturnWithdrawn
    | ReturnExpired
    | ReturnSent
    | ReturnReceived
    | ReturnRefunded
    | ReturnExchanged
)
