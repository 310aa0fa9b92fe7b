"""What an order's log, and the thread it was done in, say about refunds. Each event carries the whole refund."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.events import Event
from feira.platform.domain.ids import OrderId, RefundId, ReturnId, UserId
from feira.platform.domain.refunds import LinePart, RefundCause, RefundRole, RefundState


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money that goes back to the buyer. `actor` is null where the market's own rules did it.

    Of `amount_minor`, `lines` and `shipping_minor` say what it is for, where that is known. `return_id` is the return
    or claim that it settles.
    """

    id: RefundId
    order: OrderId
    amount_minor: int
    currency: str
    state: RefundState
    cause: RefundCause
    reason: str
    lines: tuple[LinePart, ...]
    shipping_minor: int
    return_id: ReturnId | None
    actor: UserId | None
    actor_role: RefundRole
    created_at: datetime
    finished_at: datetime | None


class RefundPromised(Event, frozen=True, kw_only=True, tag="refund.promised"):
    """It is in the books; the payment provider is asked next. What an order's own events tell of has none."""

    refund: Refund


class RefundSucceeded(Event, frozen=True, kw_only=True, tag="refund.succeeded"):
    """The provider gave the buyer the money."""

    refund: Refund


class RefundRefused(Event, frozen=True, kw_only=True, tag="refund.failed"):
    """The provider could not: the money is back where it was, and the market's people see to it."""

    refund: Refund


AnyRefundEvent = RefundPromised | RefundSucceeded | RefundRefused
