"""What promotions took off orders, as it was frozen on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from feira.platform.domain.ids import OrderId, PromotionId
from feira.platform.domain.promotions import Funder
from feira.services.orders.pricing import SQL
from feira.sql.loader import Connection, fetch_all


class DiscountView(msgspec.Struct, frozen=True, kw_only=True):
    """What a promotion takes off a shop's part; the market's cost the shop nothing."""

    promotion_id: PromotionId
    name: str
    code: str | None
    funded_by: Funder
    amount_minor: int


class _Row(DiscountView, frozen=True, kw_only=True):
    order_id: OrderId


async def read_discounts(
    con: Connection, ids: Sequence[OrderId]
) -> defaultdict[OrderId, list[DiscountView]]:
    """Return the discounts of orders by order, the largest first."""
    found: defaultdict[OrderId, list[DiscountView]] = defaultdict(list)
    for row in await fetch_all(con, SQL["read_discounts"], _Row, ids):
        found[row.order_id].append(msgspec.convert(row, DiscountView, from_attributes=True))
    return found
