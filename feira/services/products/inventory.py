"""Stock as its shop's team counts it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import Conflict, InvalidInput, Rejected
from feira.platform.domain.ids import ProductId, ShopId, VariantId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.products import ON_HAND_MAX, OnHand
from feira.services.products.access import require_on_product
from feira.services.products.rows import SQL, found
from feira.services.products.stock import (
    Change,
    StockLevel,
    lock_stock,
    move_stock,
    write_movements,
)
from feira.sql.database import Tx
from feira.sql.loader import fetch_one


class StockCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `set`, what was counted, or `adjust`, what came in (or, negative, went out)."""

    set: OnHand | None = None
    adjust: Annotated[int, Meta(ge=-ON_HAND_MAX, le=ON_HAND_MAX)] | None = None


class StockView(msgspec.Struct, frozen=True, kw_only=True):
    """`available` is what buyers can get: on hand, less what unpaid orders hold."""

    variant_id: VariantId
    on_hand: int
    reserved: int
    available: int


class _VariantOwner(msgspec.Struct, frozen=True, kw_only=True):
    product_id: ProductId
    shop_id: ShopId


async def count_stock(
    tx: Tx, principal: Principal, variant_id: VariantId, count: StockCount
) -> StockView:
    """Set or adjust what is on hand.

    Raises:
        NotFound: `product.not_found`, for other people's too.
        InvalidInput: `stock.set_or_adjust`: give one of the two.
        Conflict: `stock.below_reserved`: orders hold more than would be left; `details` has the state.
        Rejected: `stock.too_much`.
    """
    if (count.set is None) == (count.adjust is None):
        raise InvalidInput("stock.set_or_adjust", "Give either set or adjust.", field="$")
    owner = found(await fetch_one(tx.con, SQL["read_variant_owner"], _VariantOwner, variant_id))
    await require_on_product(tx.con, owner.shop_id, principal, "stock.write")
    levels = await lock_stock(tx, [variant_id])
    level = levels[variant_id]
    on_hand = level.on_hand + (count.adjust or 0) if count.set is None else count.set
    check_on_hand(level, on_hand)
    difference = on_hand - level.on_hand
    if difference:
        await write_movements(tx, {variant_id: difference}, "adjusted", principal.user_id)
        await move_stock(tx, levels, {variant_id: Change(on_hand=difference)})
    return StockView(
        variant_id=variant_id,
        on_hand=on_hand,
        reserved=level.reserved,
        available=on_hand - level.reserved,
    )


def check_on_hand(level: StockLevel, on_hand: int, *, field: str = "$") -> None:
    """Pass when that many may be on hand.

    Raises:
        Conflict: `stock.below_reserved`.
        Rejected: `stock.too_much`.
    """
    if on_hand < level.reserved:
        raise Conflict(
            "stock.below_reserved",
            f"Orders hold {level.reserved} of these; stock cannot go down to {on_hand}.",
            field=field,
            details={"on_hand": level.on_hand, "reserved": level.reserved},
        )
    if on_hand > ON_HAND_MAX:
        raise Rejected("stock.too_much", f"Stock goes up to {ON_HAND_MAX:,}.", field=field)
