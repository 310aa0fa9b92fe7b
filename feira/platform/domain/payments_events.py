"""What operators are told about money."""

from __future__ import annotations

from typing import Literal

from feira.platform.domain.events import Event
from feira.platform.domain.ids import CommissionRuleId, OrderId, RefundId, UserId


class RefundFailed(Event, frozen=True, kw_only=True, tag="payment.refund_failed"):
    """On `ops`: the provider gave up; the money is back where it was and somebody must decide."""

    refund: RefundId
    order: OrderId
    amount_minor: int
    currency: str
    reason: str


class CommissionChanged(Event, frozen=True, kw_only=True, tag="payment.commission_changed"):
    """On `ops`: a rule was added or ended; orders that are placed keep what they froze."""

    rule: CommissionRuleId
    change: Literal["added", "ended"]
    basis_points: int
    changed_by: UserId
