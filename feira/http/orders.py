"""Checkout, orders, and the commands on them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.http.call import Call
from feira.http.carts import guest_token, shopper
from feira.http.endpoint import endpoint
from feira.platform.domain.errors import InvalidInput, Unavailable
from feira.platform.domain.ids import OrderGroupId, OrderId, ShopId
from feira.platform.domain.order_commands import OrderCommand
from feira.services.orders.checkout import CheckedOut, CheckOut, check_out
from feira.services.orders.groups import CheckoutView, read_group
from feira.services.orders.history import (
    OrderFilter,
    OrderPage,
    TimelinePage,
    get_order,
    list_purchases,
    list_sales,
    read_timeline,
)
from feira.services.orders.quotes import ask_outside
from feira.services.orders.views import OrderView
from feira.services.payments.introduction import ensure_intent
from feira.sql.database import Tx


class TimelineQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before; it is the sequence number of its last entry."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[int, Meta(ge=0, le=2**53)] = 0


@endpoint(
    "POST",
    "/v1/checkout",
    service="orders",
    summary="Buy what is in the cart: one payment, one order for each shop.",
    status=201,
)
async def check_out_cart(call: Call, body: CheckOut) -> CheckoutView:
    """Stock is held until `group.hold_ends_at`.

    The checkout stands even where the payment provider is away: then `payment.payment_page_url` is null for
    now, and `GET /v1/order-groups/{group}` has it as soon as the provider is back.
    """
    said = await ask_outside(call.market, call.principal, shopper(call), body)

    async def work(tx: Tx) -> CheckedOut:
        return await check_out(
            tx,
            call.market.config,
            call.principal,
            body,
            guest_token=guest_token(call),
            said=said,
        )

    made = await call.transact(CheckedOut, work)
    try:
        await ensure_intent(call.market, made.payment_id)
    except Unavailable as away:
        if away.code == "database.unavailable":
            raise
        # A job goes on trying.
    async with call.market.database.connection() as con:
        return await read_group(con, made.group_id, call.principal)


@endpoint(
    "GET",
    "/v1/order-groups/{group}",
    service="orders",
    summary="Show a checkout: its orders and its payment.",
)
async def get_order_group(call: Call, group: OrderGroupId) -> CheckoutView:
    async with call.market.database.connection() as con:
        return await read_group(con, group, call.principal)


@endpoint("GET", "/v1/orders", service="orders", summary="List what the caller bought.")
async def list_my_orders(call: Call, query: OrderFilter) -> OrderPage:
    async with call.market.database.connection() as con:
        return await list_purchases(con, call.principal, query)


@endpoint(
    "GET",
    "/v1/shops/{shop}/orders",
    service="orders",
    scope="orders:read",
    summary="List what a shop sold.",
)
async def list_shop_orders(call: Call, shop: ShopId, query: OrderFilter) -> OrderPage:
    async with call.market.database.connection() as con:
        return await list_sales(con, shop, call.principal, query)


@endpoint(
    "GET",
    "/v1/orders/{order}",
    service="orders",
    summary="Show an order and what the caller may do with it.",
)
async def get_one_order(call: Call, order: OrderId) -> OrderView:
    async with call.market.database.connection() as con:
        return await get_order(con, order, call.principal)


@endpoint(
    "GET",
    "/v1/orders/{order}/timeline",
    service="orders",
    summary="Tell what happened to an order, oldest first.",
)
async def get_order_timeline(call: Call, order: OrderId, query: TimelineQuery) -> TimelinePage:
    async with call.market.database.connection() as con:
        return await read_timeline(
            con, order, call.principal, after=query.cursor, limit=query.limit
        )


@endpoint(
    "POST",
    "/v1/orders/{order}/commands",
    service="orders",
    summary="Accept, ship, deliver, complete or cancel an order.",
)
async def command_order(call: Call, order: OrderId, body: OrderCommand) -> OrderView:
    """Needs an `Idempotency-Key`. A repeat with the same key answers with the order as it is by then.

    A command that comes too early or too late is a conflict whose `details` say where the order is now.
    """
    key = call.idempotency_key
    if key is None:
        raise InvalidInput(
            "idempotency.key_missing",
            "Send an Idempotency-Key with a command, and the same one when you repeat it.",
            field="Idempotency-Key",
        )
    return await call.actors.command_order(call.principal, order, body, idempotency_key=key)


ENDPOINTS: Final = (
    check_out_cart,
    get_order_group,
    list_my_orders,
    list_shop_orders,
    get_one_order,
    get_order_timeline,
    command_order,
)
