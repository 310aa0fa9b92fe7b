"""Commission rules with conditions, and what a basket would pay."""

from __future__ import annotations

from typing import Final

from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.platform.domain.ids import CommissionRuleId
from feira.services.payments import commission_rules
from feira.services.payments.commission_rules import (
    AddCommissionRule,
    CommissionPreview,
    EndCommissionRule,
    PreviewCommission,
    RuleFilter,
    RulePage,
    RuleView,
)
from feira.sql.database import Tx


@endpoint(
    "GET",
    "/v1/admin/commission/rules",
    service="payments",
    summary="Commission rules, the latest first.",
)
async def get_rules(call: Call, query: RuleFilter) -> RulePage:
    """Each with a warning where it can never win."""
    async with call.market.database.connection() as con:
        now = await con.fetchval("SELECT now()")
        return await commission_rules.list_rules(con, call.principal, query, now)


@endpoint(
    "POST",
    "/v1/admin/commission/rules",
    service="payments",
    summary="Add a commission rule.",
    status=201,
)
async def post_rule(call: Call, body: AddCommissionRule) -> RuleView:
    """The most specific rule that fits a line wins: product, shop, nearest category, price band, currency, the latest."""

    async def add(tx: Tx) -> RuleView:
        return await commission_rules.add_rule(tx, call.principal, body)

    return await call.transact(RuleView, add)


@endpoint(
    "GET",
    "/v1/admin/commission/rules/{rule}",
    service="payments",
    summary="A commission rule.",
)
async def get_rule(call: Call, rule: CommissionRuleId) -> RuleView:
    """Over or not: orders that froze it point to it."""
    async with call.market.database.connection() as con:
        now = await con.fetchval("SELECT now()")
        return await commission_rules.read_rule(con, call.principal, rule, now)


@endpoint(
    "POST",
    "/v1/admin/commission/rules/{rule}/end",
    service="payments",
    summary="End a commission rule.",
)
async def post_rule_end(call: Call, rule: CommissionRuleId, body: EndCommissionRule) -> RuleView:
    """A rule is never changed: end it, and add another."""

    async def end(tx: Tx) -> RuleView:
        return await commission_rules.end_rule(tx, call.principal, rule, body)

    return await call.transact(RuleView, end)


@endpoint(
    "POST",
    "/v1/admin/commission/preview",
    service="payments",
    summary="What a basket would pay, and which rules say so.",
)
async def post_preview(call: Call, body: PreviewCommission) -> CommissionPreview:
    """Now or at another moment; nothing is stored. Before discounts."""
    async with call.market.database.connection() as con:
        now = await con.fetchval("SELECT now()")
        return await commission_rules.preview(con, call.principal, body, now)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    get_rules,
    post_rule,
    get_rule,
    post_rule_end,
    post_preview,
)
