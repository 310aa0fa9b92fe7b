"""What a shop's team begins with when it watches: how many orders are under way."""

from __future__ import annotations

import msgspec

from feira.platform.domain.ids import ShopId
from feira.platform.domain.order_state import OrderStatus
from feira.services.orders.states import SQL
from feira.sql.loader import Connection, fetch_all


class OrderCount(msgspec.Struct, frozen=True, kw_only=True):
    status: OrderStatus
    count: int


async def count_orders_under_way(con: Connection, shop: ShopId) -> list[OrderCount]:
    """Count a shop's orders that are not over, by status."""
    return await fetch_all(con, SQL["count_orders_under_way"], OrderCount, shop)
