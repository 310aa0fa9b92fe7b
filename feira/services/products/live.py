"""What watchers of a product begin with: its prices and what is left."""

from __future__ import annotations

import msgspec

from feira.platform.domain.ids import ProductId, VariantId
from feira.services.products.rows import SQL
from feira.sql.loader import Connection, fetch_all


class LiveVariant(msgspec.Struct, frozen=True, kw_only=True):
    """What anyone may know of an active variant; 1 available is the last one."""

    variant: VariantId
    price_minor: int
    available: int


async def read_live_variants(con: Connection, product: ProductId) -> list[LiveVariant]:
    """Return a product's active variants in the order in which buyers see them."""
    return await fetch_all(con, SQL["read_live_variants"], LiveVariant, product)
