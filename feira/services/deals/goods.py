"""What an offer is about, and whether it can be had: looked at when an offer is made, and again when it is accepted."""

from __future__ import annotations

from feira.platform.domain.errors import Conflict, InvalidInput, NotFound
from feira.platform.domain.ids import AddressId, ShopId, UserId, VariantId
from feira.platform.domain.offers import Side
from feira.services.deals.rows import SQL
from feira.services.orders.states import SQL as ORDERS_SQL
from feira.services.orders.views import ShippingAddress
from feira.services.products.catalogue import SellableVariant, load_sellable
from feira.sql.loader import Connection, fetch_one


async def require_goods(
    con: Connection, shop_id: ShopId, variant_id: VariantId, currency: str
) -> SellableVariant:
    """Return a variant that the shop sells right now in this currency. Whether there is stock is not asked.

    Raises:
        NotFound: `offer.unknown_variant`: not there, or another shop's.
        Conflict: `offer.shop_closed`, `offer.not_sellable`, `offer.currency_changed`.
    """
    found = await load_sellable(con, [variant_id])
    if not found or found[0].shop_id != shop_id:
        raise NotFound(
            "offer.unknown_variant",
            "This shop has no such item; look at the product again.",
            field="$.variant",
        )
    variant = found[0]
    if not variant.sellable:
        if not await con.fetchval(SQL["is_open_shop"], shop_id):
            raise Conflict("offer.shop_closed", f"{variant.shop_name} does not trade right now.")
        raise Conflict("offer.not_sellable", f"{variant.title} is not for sale right now.")
    if variant.currency != currency:
        raise Conflict(
            "offer.currency_changed",
            f"{variant.title} is sold in {variant.currency}: make an offer in that.",
            field="$.currency",
            details={"currency": variant.currency},
        )
    return variant


async def read_destination(
    con: Connection, buyer_id: UserId, side: Side, address: AddressId | None
) -> ShippingAddress | None:
    """Return the address that a buyer names, as it is now; None where none is named.

    Raises:
        NotFound: `address.not_found`.
        InvalidInput: `offer.not_your_address`: the shop's side names one.
    """
    if address is None:
        return None
    if side == "seller":
        raise InvalidInput(
            "offer.not_your_address", "The buyer says where it goes.", field="$.address"
        )
    found = await fetch_one(con, ORDERS_SQL["read_address"], ShippingAddress, address, buyer_id)
    if found is None:
        raise NotFound(
            "address.not_found",
            "You have no such address; choose one of yours.",
            field="$.address",
        )
    return found


def address_needed() -> InvalidInput:
    """A buyer has to say where it goes before anybody can say yes."""
    return InvalidInput(
        "offer.address_needed",
        "Say where it shall go: the other side's yes makes an order.",
        field="$.address",
    )
