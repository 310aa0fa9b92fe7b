"""Whom a refund is news to, and what it says to them."""

from __future__ import annotations

import msgspec

from feira.platform.domain.ids import OrderId, RefundId, UserId
from feira.platform.domain.notices import Notice, RefundNotice
from feira.services.payments.refunds import REFUNDS_SQL
from feira.sql.loader import Connection, fetch_one


class _RefundFacts(msgspec.Struct, frozen=True, kw_only=True):
    id: RefundId
    order_id: OrderId
    number: int
    buyer_id: UserId
    shop_name: str
    amount_minor: int
    currency: str


async def refund_notice(con: Connection, refund: RefundId) -> dict[UserId, Notice]:
    """What to tell the buyer."""
    facts = await fetch_one(con, REFUNDS_SQL["read_notice"], _RefundFacts, refund)
    assert facts is not None, "refunds are never deleted"
    return {
        facts.buyer_id: RefundNotice(
            order=facts.order_id,
            number=facts.number,
            refund=facts.id,
            shop_name=facts.shop_name,
            amount_minor=facts.amount_minor,
            currency=facts.currency,
        )
    }
