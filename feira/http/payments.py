"""Payments, commission, balances and the health of the ledger; and where providers send their events."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import PaymentId, ShopId
from feira.platform.domain.permissions import require
from feira.services.payments import commission, invariants, ledger, outcomes, payments
from feira.services.payments.commission import ChangeCommission, CommissionView
from feira.services.payments.introduction import ensure_intent
from feira.services.payments.invariants import Finding
from feira.services.payments.ledger import BalanceView
from feira.services.payments.payments import PaymentView
from feira.services.users.shops import shop_roles
from feira.sql.database import Tx


class LedgerHealthView(msgspec.Struct, frozen=True, kw_only=True):
    """`checked` are the invariants' names; `findings` the rows that break one, at most 100 of each."""

    healthy: bool
    checked_at: datetime
    checked: list[str]
    findings: list[Finding]


@endpoint("GET", "/v1/payments/{payment}", service="payments", summary="A payment of mine.")
async def get_payment(call: Call, payment: PaymentId) -> PaymentView:
    """Where it stands, and the page to pay on while it can be paid."""
    async with call.market.database.connection() as con:
        return (await payments.load_readable_payment(con, call.principal, payment)).view


@endpoint(
    "POST",
    "/v1/payments/{payment}/refresh",
    service="payments",
    summary="Ask the provider how the payment stands now.",
)
async def refresh_payment(call: Call, payment: PaymentId) -> PaymentView:
    """For a buyer who comes back from the payment page before the provider's own news does; both end alike."""
    market = call.market
    async with market.database.connection() as con:
        row = await payments.load_readable_payment(con, call.principal, payment)
    if row.gateway_reference is None:
        return await ensure_intent(market, payment)
    payments.require_same_gateway(market, row.gateway)
    intent = await market.payments.fetch_intent(row.gateway_reference)

    async def apply(tx: Tx) -> PaymentView:
        await outcomes.apply_intent(tx, intent)
        return (await payments.load_payment(tx.con, payment)).view

    return await call.transact(PaymentView, apply)


@endpoint(
    "GET",
    "/v1/shops/{shop}/balance",
    service="payments",
    summary="What the market holds for a shop.",
)
async def get_shop_balance(call: Call, shop: ShopId) -> BalanceView:
    """By currency: held in open orders, pending after completion, and available for payout."""
    async with call.market.database.connection() as con:
        relations = await shop_roles(con, shop, call.principal)
        if not relations and call.principal.roles.isdisjoint({"support", "finance", "admin"}):
            raise NotFound("shop.not_found", "There is no such shop.")
        require("shop.read_private", call.principal, relations)
        return await ledger.shop_balance(con, shop)


@endpoint(
    "GET", "/v1/admin/commission", service="payments", summary="The platform's default commission."
)
async def get_commission(call: Call) -> CommissionView:
    async with call.market.database.connection() as con:
        return await commission.read_commission(con, call.principal)


@endpoint(
    "PUT", "/v1/admin/commission", service="payments", summary="Change the default commission."
)
async def put_commission(call: Call, body: ChangeCommission) -> CommissionView:
    """Orders placed from now on pay it; those placed before keep theirs."""

    async def change(tx: Tx) -> CommissionView:
        return await commission.change_commission(tx, call.principal, body)

    return await call.transact(CommissionView, change)


@endpoint(
    "GET",
    "/v1/admin/ledger/health",
    service="payments",
    summary="Check every invariant of the money now.",
)
async def get_ledger_health(call: Call) -> LedgerHealthView:
    """On one snapshot of the books. Healthy books give no findings."""
    require("ledger.read", call.principal)
    async with call.market.database.connection() as con:
        checked_at = await con.fetchval("SELECT now()")
        findings = await invariants.check(con)
    return LedgerHealthView(
        healthy=not findings,
        checked_at=checked_at,
        checked=list(invariants.INVARIANTS),
        findings=findings,
    )


ENDPOINTS: Final = (
    get_payment,
    refresh_payment,
    get_shop_balance,
    get_commission,
    put_commission,
    get_ledger_health,
)
