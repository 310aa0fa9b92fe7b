"""Refunds of an order: those that were given, and another one."""

from __future__ import annotations

from typing import Final

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import OrderId
from feira.platform.domain.refund_events import Refund
from feira.platform.domain.refunds import RefundOrder
from feira.services.returns.refunds import OrderRefunds, list_refunds, refund_order
from feira.sql.database import Tx


@endpoint(
    "GET",
    "/v1/orders/{order}/refunds",
    service="orders",
    summary="List what was given back of an order, and what still can be.",
)
async def read_refunds(call: Call, order: OrderId) -> OrderRefunds:
    async with call.market.database.connection() as con:
        return await list_refunds(con, call.principal, order)


@endpoint(
    "POST",
    "/v1/orders/{order}/refunds",
    service="orders",
    status=201,
    summary="Give money of an order back to its buyer.",
)
async def make_refund(call: Call, order: OrderId, body: RefundOrder) -> Refund:
    """An amount, so many units of lines with or without the shipping, or all that is left; by the shop or support.

    Before the order is completed it comes out of the money that is held; later out of what the shop has in clearance
    or ready, and what that does not cover, the shop owes. The market gives its commission on the part back.
    """

    async def work(tx: Tx) -> Refund:
        return await refund_order(tx, call.principal, order, body)

    return await call.transact(Refund, work)


ENDPOINTS: Final = (read_refunds, make_refund)
