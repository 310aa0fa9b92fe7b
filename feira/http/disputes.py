"""Disputes: what both sides see of one, and support's queue. Commands on the order open, argue and end them."""

from __future__ import annotations

from typing import Final

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import DisputeId, OrderId
from feira.services.orders.disputes import (
    DisputeFilter,
    DisputePage,
    Disputes,
    claim,
    list_disputes,
    list_queue,
)
from feira.sql.database import Tx


@endpoint(
    "GET",
    "/v1/orders/{order}/disputes",
    service="orders",
    summary="Show the disputes about an order and all evidence.",
)
async def get_disputes(call: Call, order: OrderId) -> Disputes:
    """Files are read with `GET /v1/attachments/{attachment}` by the members of the dispute's conversation."""
    async with call.market.database.connection() as con:
        return await list_disputes(con, order, call.principal)


@endpoint(
    "GET",
    "/v1/admin/disputes",
    service="orders",
    summary="List disputes for support, those that wait longest first.",
)
async def get_queue(call: Call, query: DisputeFilter) -> DisputePage:
    async with call.market.database.connection() as con:
        return await list_queue(con, call.principal, query)


@endpoint(
    "POST",
    "/v1/admin/disputes/{dispute}/claim",
    service="orders",
    summary="Look after a dispute and join its conversation.",
)
async def claim_dispute(call: Call, dispute: DisputeId) -> Disputes:
    async def work(tx: Tx) -> Disputes:
        return await claim(tx, call.principal, dispute)

    return await call.transact(Disputes, work)


ENDPOINTS: Final = (get_disputes, get_queue, claim_dispute)
