"""What operators are told about money."""

from __future__ import annotations

from feira.platform.domain.events import Event
from feira.platform.domain.ids import OrderId, RefundId, UserId


class RefundFailed(Event, frozen=True, kw_only=True, tag="payment.refund_failed"):
    """On `ops`: the provider gave up; the money is back where it was and somebody must decide."""

    refund: RefundId
    order: OrderId
    amount_minor: int
    currency: str
    reason: str


class CommissionChanged(Event, frozen=True, kw_only=True, tag="payment.commission_changed"):
    """On `ops`: orders placed from now on pay this share; placed ones keep theirs."""

    basis_points: int
    changed_by: UserId
