"""Whom refunds and returns are news to, and what it says to them."""

from __future__ import annotations

import msgspec

from feira.platform.domain.ids import OrderId, RefundId, ReturnId, ShopId, UserId
from feira.platform.domain.jobs import NotifyReturn
from feira.platform.domain.notices import Notice, RefundNotice, ReturnNotice
from feira.platform.domain.return_commands import ReturnKind
from feira.services.notifications.readers import list_team
from feira.services.payments.refunds import REFUNDS_SQL
from feira.services.returns.rows import SQL
from feira.sql.loader import Connection, fetch_one


class _RefundFacts(msgspec.Struct, frozen=True, kw_only=True):
    id: RefundId
    order_id: OrderId
    number: int
    buyer_id: UserId
    shop_name: str
    amount_minor: int
    currency: str


class _ReturnFacts(msgspec.Struct, frozen=True, kw_only=True):
    id: ReturnId
    order_id: OrderId
    number: int
    kind: ReturnKind
    buyer_id: UserId
    buyer_name: str
    shop_id: ShopId
    shop_name: str


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


async def return_notices(con: Connection, job: NotifyReturn) -> dict[UserId, Notice]:
    """What to tell whom: the other side, both where the timer or support did it."""
    facts = await fetch_one(con, SQL["read_notice"], _ReturnFacts, job.returned)
    assert facts is not None, "returns are never deleted"
    notices: dict[UserId, Notice] = {}
    if job.actor_role != "seller":
        team = await list_team(con, facts.shop_id)
        notices |= dict.fromkeys(team, _notice(facts, job, facts.buyer_name))
    if job.actor_role != "buyer":
        notices[facts.buyer_id] = _notice(facts, job, facts.shop_name)
    return notices


def _notice(facts: _ReturnFacts, job: NotifyReturn, other_name: str) -> ReturnNotice:
    return ReturnNotice(
        order=facts.order_id,
        number=facts.number,
        returned=facts.id,
        return_kind=facts.kind,
        fact=job.fact,
        other_name=other_name,
    )
