"""Returns, exchanges and claims: ask for one, look at them, and take the next step."""

from __future__ import annotations

from typing import Final

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import OrderId, ReturnId, ShopId
from feira.platform.domain.return_commands import AnyReturnCommand, RequestReturn
from feira.services.returns.returns import (
    OrderReturns,
    ReturnView,
    command_return,
    get_return,
    list_returns,
    request_return,
)
from feira.services.returns.windows import (
    ReturnWindow,
    SetReturnWindow,
    read_window,
    set_window,
)
from feira.sql.database import Tx


@endpoint(
    "GET",
    "/v1/orders/{order}/returns",
    service="orders",
    summary="List the returns and claims of an order, and what may still be asked for.",
)
async def read_order_returns(call: Call, order: OrderId) -> OrderReturns:
    async with call.market.database.connection() as con:
        return await list_returns(con, call.market.config, call.principal, order)


@endpoint(
    "POST",
    "/v1/orders/{order}/returns",
    service="orders",
    status=201,
    summary="Ask to give something back, for the money or for something else, or claim what went wrong.",
)
async def make_return(call: Call, order: OrderId, body: RequestReturn) -> ReturnView:
    """For the buyer, until the order's window closes. The order's log and the conversation tell of each step.

    A request that the shop does not answer in time is approved.
    """

    async def work(tx: Tx) -> ReturnView:
        return await request_return(tx, call.market.config, call.principal, order, body)

    return await call.transact(ReturnView, work)


@endpoint(
    "GET",
    "/v1/returns/{return_id}",
    service="orders",
    summary="Show a return and what the caller may do about it.",
)
async def read_one_return(call: Call, return_id: ReturnId) -> ReturnView:
    async with call.market.database.connection() as con:
        return await get_return(con, call.market.config, call.principal, return_id)


@endpoint(
    "POST",
    "/v1/returns/{return_id}/commands",
    service="orders",
    summary="Approve, decline, withdraw, send, receive or settle a return.",
)
async def command_one_return(call: Call, return_id: ReturnId, body: AnyReturnCommand) -> ReturnView:
    """A command that comes too early or too late is a conflict whose `details` say where the return is now."""

    async def work(tx: Tx) -> ReturnView:
        return await command_return(tx, call.market.config, call.principal, return_id, body)

    return await call.transact(ReturnView, work)


@endpoint(
    "GET",
    "/v1/shops/{shop}/return-window",
    service="orders",
    summary="How long a shop takes things back after delivery.",
    signed_in=False,
)
async def read_return_window(call: Call, shop: ShopId) -> ReturnWindow:
    async with call.market.database.connection() as con:
        return await read_window(con, shop)


@endpoint(
    "PUT",
    "/v1/shops/{shop}/return-window",
    service="orders",
    summary="Change how long a shop takes things back.",
)
async def put_return_window(call: Call, shop: ShopId, body: SetReturnWindow) -> ReturnWindow:
    """Holds for orders that are placed from now on."""

    async def work(tx: Tx) -> ReturnWindow:
        return await set_window(tx, call.principal, shop, body)

    return await call.transact(ReturnWindow, work)


ENDPOINTS: Final = (
    read_order_returns,
    make_return,
    read_one_return,
    command_one_return,
    read_return_window,
    put_return_window,
)
