"""Lists of orders, and what happened to one of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import NotFound
from feira.platform.domain.events import LoggedEvent
from feira.platform.domain.ids import OrderGroupId, OrderId, ShopId, UserId
from feira.platform.domain.money import format_money
from feira.platform.domain.order_state import FulfilmentStatus, OrderStatus, PaymentStatus
from feira.platform.domain.permissions import Principal, is_allowed
from feira.platform.domain.topics import order_topic
from feira.services.documents.tables import write_csv
from feira.services.orders.access import require_readable
from feira.services.orders.states import SQL
from feira.services.orders.views import OrderView, view_order
from feira.services.users.shops import shop_roles
from feira.sql.loader import Connection, fetch_all
from feira.sql.topics import read_events

EXPORT_MAX: Final = 10_000
_EXPORTED: Final = (
    "order", "placed_at", "status", "payment_status", "fulfilment_status", "shop", "buyer", "first_item", "lines",
    "units", "total", "refunded", "currency",
)  # fmt: skip


class OrderSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An order in a list: `title` of the first of its `line_count` lines, `units` in all."""

    id: OrderId
    number: int
    group_id: OrderGroupId
    buyer_id: UserId
    buyer_name: str
    shop_id: ShopId
    shop_name: str
    shop_slug: str
    currency: str
    total_minor: int
    refunded_minor: int
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    version: int
    created_at: datetime
    updated_at: datetime
    title: str
    units: int
    line_count: int


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next_cursor` is null on the last page."""

    items: list[OrderSummary]
    next_cursor: str | None


class TimelinePage(msgspec.Struct, frozen=True, kw_only=True):
    """The order's topic from its beginning; each `body` is an event, told apart by its `kind`."""

    items: list[LoggedEvent]
    next_cursor: str | None


class OrderSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Orders placed from `since` on and before `until`; `text` is of a title, an SKU, a party's name, or a number.

    `shop` narrows what the caller bought; in a shop's own list it says nothing new.
    """

    status: OrderStatus | None = None
    payment_status: PaymentStatus | None = None
    shop: ShopId | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None
    text: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class OrderFilter(OrderSearch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which orders, and which page of them. `cursor` comes from the page before."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: OrderId | None = None


async def get_order(con: Connection, order_id: OrderId, principal: Principal) -> OrderView:
    """Return an order to somebody who may see it.

    Raises:
        NotFound: `order.not_found`, for other people's orders too.
    """
    await require_readable(con, order_id, principal)
    return await view_order(con, order_id, principal)


async def list_purchases(con: Connection, principal: Principal, wanted: OrderFilter) -> OrderPage:
    """Return a page of the caller's purchases."""
    return await _list(con, SQL["list_orders_of_buyer"], principal.user_id, wanted)


async def list_sales(
    con: Connection, shop_id: ShopId, principal: Principal, wanted: OrderFilter
) -> OrderPage:
    """Return a page of a shop's orders to its team or the market's people.

    Raises:
        NotFound: `shop.not_found`, for those who are neither.
    """
    await _require_team(con, shop_id, principal)
    return await _list(con, SQL["list_orders_of_shop"], shop_id, wanted)


async def export_purchases(con: Connection, principal: Principal, wanted: OrderSearch) -> bytes:
    """Return the caller's purchases as CSV, newest first, up to `EXPORT_MAX`."""
    return await _export(con, SQL["list_orders_of_buyer"], principal.user_id, wanted)


async def export_sales(
    con: Connection, shop_id: ShopId, principal: Principal, wanted: OrderSearch
) -> bytes:
    """Return a shop's orders as CSV to its team or the market's people, newest first, up to `EXPORT_MAX`.

    Raises:
        NotFound: `shop.not_found`, for those who are neither.
    """
    await _require_team(con, shop_id, principal)
    return await _export(con, SQL["list_orders_of_shop"], shop_id, wanted)


async def read_timeline(
    con: Connection, order_id: OrderId, principal: Principal, *, after: int, limit: int
) -> TimelinePage:
    """Return what happened to an order after the entry with sequence number `after`, oldest first.

    Raises:
        NotFound: `order.not_found`, for other people's orders too.
    """
    await require_readable(con, order_id, principal)
    entries = await read_events(con, order_topic(order_id), after=after, limit=limit + 1)
    more = len(entries) > limit
    items = entries[:limit]
    return TimelinePage(items=items, next_cursor=str(items[-1].seq) if more else None)


async def _list(
    con: Connection, statement: str, owner: UserId | ShopId, wanted: OrderFilter
) -> OrderPage:
    rows = await _find(con, statement, owner, wanted, wanted.cursor, wanted.limit + 1)
    more = len(rows) > wanted.limit
    items = rows[: wanted.limit]
    return OrderPage(items=items, next_cursor=str(items[-1].id) if more else None)


async def _export(
    con: Connection, statement: str, owner: UserId | ShopId, wanted: OrderSearch
) -> bytes:
    orders = await _find(con, statement, owner, wanted, None, EXPORT_MAX)
    return write_csv(_EXPORTED, (_cells(order) for order in orders))


async def _find(
    con: Connection,
    statement: str,
    owner: UserId | ShopId,
    wanted: OrderSearch,
    before: OrderId | None,
    limit: int,
) -> list[OrderSummary]:
    return await fetch_all(
        con,
        statement,
        OrderSummary,
        owner,
        wanted.status,
        before,
        limit,
        wanted.payment_status,
        wanted.shop,
        wanted.since,
        wanted.until,
        wanted.text,
    )


def _cells(order: OrderSummary) -> tuple[object, ...]:
    amounts = (
        format_money(minor, order.currency).removesuffix(f" {order.currency}")
        for minor in (order.total_minor, order.refunded_minor)
    )
    return (
        order.number,
        f"{order.created_at:%Y-%m-%dT%H:%M:%SZ}",
        order.status,
        order.payment_status,
        order.fulfilment_status,
        order.shop_name,
        order.buyer_name,
        order.title,
        order.line_count,
        order.units,
        *amounts,
        order.currency,
    )


async def _require_team(con: Connection, shop_id: ShopId, principal: Principal) -> None:
    if not is_allowed("order.read", principal, await shop_roles(con, shop_id, principal)):
        raise NotFound("shop.not_found", "There is no such shop among those you work for.")
