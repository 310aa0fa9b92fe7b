"""A shop's money and payouts as its team and the market's own people see them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import OrderId, PayoutId, ShopId, UserId
from feira.platform.domain.payouts import PayoutState
from feira.platform.domain.permissions import Principal, is_allowed, require
from feira.services.market import Market
from feira.services.payments.releases import UpcomingRelease, list_upcoming
from feira.services.payouts.making import Payer, pay_now
from feira.services.payouts.rows import SQL
from feira.services.payouts.settings import PayoutSettings, require_of_shop, settings_view
from feira.services.users.shops import shop_roles
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one

UPCOMING_MAX: Final = 50


class ShopMoney(msgspec.Struct, frozen=True, kw_only=True):
    """In clearance, ready, on its way to the bank, and what the shop owes the market."""

    currency: str
    pending_minor: int
    available_minor: int
    in_flight_minor: int
    owed_minor: int


class PayoutOverview(msgspec.Struct, frozen=True, kw_only=True):
    """`releases` are the next orders whose money becomes available, at most 50."""

    settings: PayoutSettings
    balances: list[ShopMoney]
    releases: list[UpcomingRelease]


class PayoutView(msgspec.Struct, frozen=True, kw_only=True):
    """Where banks take a currency in steps, `carried_out_minor` is left for the next payout.

    `slot_at` is null for one that somebody asked for; `retry_at`: refused or sent back, and tried again then.
    """

    id: PayoutId
    shop_id: ShopId
    currency: str
    amount_minor: int
    carried_in_minor: int
    carried_out_minor: int
    slot_at: datetime | None
    state: PayoutState
    attempt: int
    failure_code: str
    arrives_on: date | None
    retry_at: datetime | None
    held_reason: str
    unknown_since: datetime | None
    created_at: datetime
    updated_at: datetime


class PayoutPage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[PayoutView]
    next_cursor: str | None


class PayoutLine(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of what was available: `cause` is the ledger's name for it; negative amounts were taken."""

    position: int
    cause: str
    order: OrderId | None
    order_number: int | None
    amount_minor: int
    at: datetime
    reason: str


class PayoutLines(msgspec.Struct, frozen=True, kw_only=True):
    """In the order of the books; all lines add up to the payout. `next_cursor` is null on the last page."""

    items: list[PayoutLine]
    next_cursor: str | None


async def read_overview(con: Connection, principal: Principal, shop_id: ShopId) -> PayoutOverview:
    await require_of_shop(con, principal, shop_id, "payout.read")
    return PayoutOverview(
        settings=await settings_view(con, shop_id),
        balances=await fetch_all(con, SQL["read_money"], ShopMoney, shop_id),
        releases=await list_upcoming(con, shop_id, limit=UPCOMING_MAX),
    )


async def list_shop_payouts(
    con: Connection, principal: Principal, shop_id: ShopId, *, cursor: PayoutId | None, limit: int
) -> PayoutPage:
    await require_of_shop(con, principal, shop_id, "payout.read")
    rows = await fetch_all(con, SQL["list_by_shop"], PayoutView, shop_id, cursor, limit + 1)
    return _page(rows, limit)


async def list_all_payouts(
    con: Connection,
    principal: Principal,
    *,
    state: PayoutState | None,
    cursor: PayoutId | None,
    limit: int,
) -> PayoutPage:
    require("payout.read_all", principal)
    rows = await fetch_all(con, SQL["list_by_state"], PayoutView, state, cursor, limit + 1)
    return _page(rows, limit)


async def read_payout(con: Connection, principal: Principal, payout_id: PayoutId) -> PayoutView:
    """A payout of the caller's shop, or any for the market's own people.

    Raises:
        NotFound: `payout.not_found`.
    """
    view = await fetch_one(con, SQL["read_view"], PayoutView, payout_id)
    if view is None or not is_allowed(
        "payout.read", principal, await shop_roles(con, view.shop_id, principal)
    ):
        raise NotFound("payout.not_found", "There is no such payout.")
    return view


async def list_payout_lines(
    con: Connection, principal: Principal, payout_id: PayoutId, *, after: int, limit: int
) -> PayoutLines:
    await read_payout(con, principal, payout_id)
    rows = await fetch_all(con, SQL["list_lines"], PayoutLine, payout_id, after, limit + 1)
    items = rows[:limit]
    return PayoutLines(
        items=items, next_cursor=str(items[-1].position) if len(rows) > limit else None
    )


async def ask_for_payout(
    tx: Tx, market: Market, principal: Principal, shop_id: ShopId, currency: str | None
) -> PayoutPage:
    """Pay the shop what is available now, of one currency or of each."""
    await require_of_shop(tx.con, principal, shop_id, "payout.write")
    made = await pay_now(
        tx,
        shop_id,
        payer=Payer.of(market),
        requested_by=UserId(principal.user_id),
        currency=currency,
    )
    views = [await read_payout(tx.con, principal, payout_id) for payout_id in made]
    return PayoutPage(items=views, next_cursor=None)


def _page(rows: list[PayoutView], limit: int) -> PayoutPage:
    items = rows[:limit]
    return PayoutPage(items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None)
