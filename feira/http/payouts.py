"""A shop's money on its way to the bank: settings, balances, payouts and their statements; and the operators' side."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from feira.http import chargebacks
from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.platform.domain.ids import PayoutId, ShopId
from feira.platform.domain.money import require_currency
from feira.platform.domain.payouts import PayoutState
from feira.services.payouts import settings, statements, views
from feira.services.payouts.operations import PayoutCommand, operate
from feira.services.payouts.settings import (
    ChangePayoutSettings,
    PayoutPolicy,
    PayoutSettings,
    PayoutTerms,
)
from feira.services.payouts.statements import StatementFormat
from feira.services.payouts.views import PayoutLines, PayoutOverview, PayoutPage, PayoutView
from feira.sql.database import Tx

Limit = Annotated[int, Meta(ge=1, le=200)]


class PayoutsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    cursor: PayoutId | None = None
    limit: Limit = 30


class AllPayoutsQuery(PayoutsQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: PayoutState | None = None


class LinesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    cursor: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Limit = 100


class StatementQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: StatementFormat = "pdf"


class AskForPayout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `currency`: of each."""

    currency: str | None = None


@endpoint(
    "GET",
    "/v1/shops/{shop}/payout-overview",
    service="payments",
    scope="payouts:read",
    summary="A shop's money: in clearance, ready, on its way, owed; and what becomes ready next.",
)
async def get_overview(call: Call, shop: ShopId) -> PayoutOverview:
    """How it moves on is told on the shop's topic: `payout.release_moved`, `payout.funds_released`, `payout.moved`."""
    async with call.market.database.connection() as con:
        return await views.read_overview(con, call.principal, shop)


@endpoint(
    "PUT",
    "/v1/shops/{shop}/payout-settings",
    service="payments",
    summary="Choose when the own shop is paid, and from which amounts on.",
)
async def put_settings(call: Call, shop: ShopId, body: ChangePayoutSettings) -> PayoutSettings:
    """Daily, weekly, every second week or monthly at midnight of the zone, or by hand. After a payout came back,
    this also says that the bank details were looked at.
    """

    async def work(tx: Tx) -> PayoutSettings:
        return await settings.change_settings(tx, call.principal, shop, body)

    return await call.transact(PayoutSettings, work)


@endpoint(
    "GET",
    "/v1/shops/{shop}/payouts",
    service="payments",
    scope="payouts:read",
    summary="List a shop's payouts.",
)
async def list_payouts(call: Call, shop: ShopId, query: PayoutsQuery) -> PayoutPage:
    async with call.market.database.connection() as con:
        return await views.list_shop_payouts(
            con, call.principal, shop, cursor=query.cursor, limit=query.limit
        )


@endpoint(
    "POST",
    "/v1/shops/{shop}/payouts",
    service="payments",
    status=201,
    summary="Pay out what is available now.",
)
async def make_payout(call: Call, shop: ShopId, body: AskForPayout) -> PayoutPage:
    """One payout for each currency. No minimum holds, and the schedule stays as it is."""
    if body.currency is not None:
        require_currency(body.currency)

    async def work(tx: Tx) -> PayoutPage:
        return await views.ask_for_payout(tx, call.market, call.principal, shop, body.currency)

    return await call.transact(PayoutPage, work)


@endpoint("GET", "/v1/payouts/{payout}", service="payments", summary="Show a payout.")
async def get_payout(call: Call, payout: PayoutId) -> PayoutView:
    async with call.market.database.connection() as con:
        return await views.read_payout(con, call.principal, payout)


@endpoint(
    "GET",
    "/v1/payouts/{payout}/lines",
    service="payments",
    summary="What a payout is made of.",
)
async def list_lines(call: Call, payout: PayoutId, query: LinesQuery) -> PayoutLines:
    async with call.market.database.connection() as con:
        return await views.list_payout_lines(
            con, call.principal, payout, after=query.cursor, limit=query.limit
        )


@endpoint(
    "GET",
    "/v1/payouts/{payout}/statement",
    service="payments",
    summary="A payout's statement as PDF or CSV.",
)
async def get_statement(call: Call, payout: PayoutId, query: StatementQuery) -> web.Response:
    """`format=csv` is RFC 4180 in UTF-8; no cell of it runs in a spreadsheet."""
    async with call.market.database.connection() as con:
        statement = await statements.read_statement(con, call.principal, payout)
    if query.format == "csv":
        body, content_type = statements.to_csv(statement), "text/csv"
    else:
        body = await asyncio.to_thread(statements.to_pdf, statement)
        content_type = "application/pdf"
    name = f"payout-{payout}.{query.format}"
    return web.Response(
        body=body,
        content_type=content_type,
        charset="utf-8" if query.format == "csv" else None,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@endpoint("GET", "/v1/admin/payouts", service="payments", summary="List all shops' payouts.")
async def list_all(call: Call, query: AllPayoutsQuery) -> PayoutPage:
    """For support, finance and admins. What needs them is also told on the topic `ops` as `payout.moved`."""
    async with call.market.database.connection() as con:
        return await views.list_all_payouts(
            con, call.principal, state=query.state, cursor=query.cursor, limit=query.limit
        )


@endpoint(
    "POST",
    "/v1/admin/payouts/{payout}/commands",
    service="payments",
    summary="Hold, resume, retry or cancel a payout.",
)
async def command_payout(call: Call, payout: PayoutId, body: PayoutCommand) -> PayoutView:
    """For finance and admins. Only a payout whose transfer nobody asked for yet can be canceled."""

    async def work(tx: Tx) -> PayoutView:
        return await operate(tx, call.principal, payout, body)

    return await call.transact(PayoutView, work)


@endpoint(
    "PUT",
    "/v1/admin/shops/{shop}/payout-terms",
    service="payments",
    summary="Say how long a shop's money clears, and whether it is paid.",
)
async def put_terms(call: Call, shop: ShopId, body: PayoutTerms) -> PayoutSettings:
    """Orders that are completed from now on clear for that long. A paused shop's slots are made up for when it goes on."""

    async def work(tx: Tx) -> PayoutSettings:
        return await settings.change_terms(tx, call.principal, shop, body)

    return await call.transact(PayoutSettings, work)


@endpoint("GET", "/v1/admin/payout-policy", service="payments", summary="What holds for all shops.")
async def get_policy(call: Call) -> PayoutPolicy:
    async with call.market.database.connection() as con:
        return await settings.read_policy(con, call.principal)


@endpoint(
    "PUT",
    "/v1/admin/payout-policy",
    service="payments",
    summary="Say how long money clears, and pause or resume all payouts.",
)
async def put_policy(call: Call, body: PayoutPolicy) -> PayoutPolicy:
    async def work(tx: Tx) -> PayoutPolicy:
        return await settings.change_policy(tx, call.principal, body)

    return await call.transact(PayoutPolicy, work)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    get_overview,
    put_settings,
    list_payouts,
    make_payout,
    get_payout,
    list_lines,
    get_statement,
    list_all,
    command_payout,
    put_terms,
    get_policy,
    put_policy,
    *chargebacks.ENDPOINTS,
)
