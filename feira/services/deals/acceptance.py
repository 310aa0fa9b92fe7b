"""From a yes to an order: at the agreed price, through the same door as any checkout."""

from __future__ import annotations

from feira.platform.domain.errors import Conflict, Rejected
from feira.platform.domain.permissions import Principal, require
from feira.platform.runtime.config import Config
from feira.services.deals.access import Party
from feira.services.deals.goods import address_needed, require_goods
from feira.services.deals.rows import SQL, OfferRow
from feira.services.orders.checkout import place_of
from feira.services.orders.placement import Placed, Terms, order_terms, place
from feira.services.orders.pricing import PricedItem, price_agreed
from feira.services.orders.views import ShippingAddress
from feira.sql.database import Tx


async def place_order(
    tx: Tx,
    config: Config,
    principal: Principal,
    party: Party,
    offer: OfferRow,
    address: ShippingAddress | None,
) -> Placed:
    """Place the order that a locked offer promises, in the name of the side that says yes.

    A buyer who says yes is here to pay. One whose offer the shop accepts may be asleep, and has longer.

    Raises:
        InvalidInput: `offer.address_needed`.
        NotAllowed: `auth.email_unverified`.
        Conflict: `offer.out_of_stock`, `offer.not_sellable`, `offer.shop_closed`, `offer.currency_changed`,
            `offer.buyer_unavailable`.
    """
    if address is None:
        raise address_needed()
    if party.side == "buyer":
        require("order.place", principal)
    elif not await tx.con.fetchval(SQL["may_buy"], party.buyer_id):
        raise Conflict("offer.buyer_unavailable", "The buyer cannot order anything right now.")
    goods = await require_goods(tx.con, party.shop_id, offer.variant_id, offer.currency)
    item = PricedItem(
        variant=goods, quantity=offer.quantity, unit_price_minor=offer.unit_price_minor
    )
    terms = Terms(
        buyer_id=party.buyer_id,
        address=address,
        hold_s=config.order_hold_s if party.side == "buyer" else config.deal_hold_s,
        order=order_terms(config),
        actor=principal.user_id,
        actor_role=party.side,
        # Sockets and sellers are answered without waiting for the payment provider.
        intent_by_job=True,
    )
    price = await price_agreed(tx.con, item, place_of(address), tx.now)
    try:
        return await place(tx, terms, [item], price)
    except Rejected as rejected:
        if rejected.code != "stock.insufficient":
            raise
        raise Conflict(
            "offer.out_of_stock",
            f"There is not enough left of {goods.title} for this offer.",
            details=rejected.details,
        ) from rejected
