"""What a cart would cost right now, sent somewhere, with codes and ways of sending: the figures that a checkout expects.

Nothing is locked, counted or promised. Guests may ask too.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from feira.platform.domain.checkout import GroupPrice, OrderPrice, ShippingProblem
from feira.platform.domain.countries import require_country
from feira.platform.domain.errors import InvalidInput, NotFound
from feira.platform.domain.ids import AddressId, ShopId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.shipping import Destination, ShippingRate
from feira.services.market import Market
from feira.services.orders.carts import Shopper, load_variants, merge_guest_cart, read_shopper_lines
from feira.services.orders.checkout import (
    CheckOut,
    Codes,
    ShippingChoices,
    choose_items,
    chosen_methods,
)
from feira.services.orders.discounts import DiscountView
from feira.services.orders.outside import Said, ask
from feira.services.orders.pricing import (
    NOTHING_SAID,
    SQL,
    CodeReport,
    PricedBasket,
    PricedItem,
    Wishes,
    price_basket,
)
from feira.services.users import fields
from feira.sql.loader import Connection, fetch_one


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it would go, for who has no address here yet."""

    country: fields.Country
    region: fields.OptionalLine = ""
    postal_code: Annotated[str, Meta(max_length=16)] = ""


class QuoteCart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without an address or a place, delivery and taxes stay open. `currency` picks one where the cart holds several."""

    address_id: AddressId | None = None
    place: Place | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    codes: Codes = []
    shipping: ShippingChoices = []


class ShopQuote(msgspec.Struct, frozen=True, kw_only=True):
    """One shop's part: `total_minor = items + shipping + tax - discount`.

    `tax_minor` is on top of the prices, `tax_included_minor` inside them. `methods` is null where the shop asks nothing
    for delivery; `shipping_problem` says why it cannot be sent as asked.
    """

    shop_id: ShopId
    shop_name: str
    items_minor: int
    discounts: list[DiscountView]
    discount_minor: int
    methods: list[ShippingRate] | None
    method_id: str | None
    shipping_problem: ShippingProblem | None
    shipping_minor: int
    tax_minor: int
    tax_included_minor: int
    total_minor: int


class QuoteView(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of all shops; `total_minor` is what a checkout with the same wishes expects.

    `is_complete`: where it goes is known, and everything can be sent there.
    """

    currency: str
    shops: list[ShopQuote]
    codes: list[CodeReport]
    items_minor: int
    discount_minor: int
    shipping_minor: int
    tax_minor: int
    tax_included_minor: int
    total_minor: int
    is_complete: bool


class _Priced(msgspec.Struct, frozen=True, kw_only=True):
    items: list[PricedItem]
    basket: PricedBasket
    destination: Destination | None


async def quote_cart(
    market: Market, principal: Principal | None, shopper: Shopper, wanted: QuoteCart
) -> QuoteView:
    """Price what can be bought of a cart.

    Raises:
        NotFound: `address.not_found`.
        InvalidInput: `quote.address_and_place`, `address.unknown_country`, `checkout.shipping_chosen_twice`.
        Rejected: `checkout.empty_cart`, `checkout.mixed_currencies`.
        Unavailable: a carrier or tax service is away.
    """
    priced = await _price(market, principal, shopper, wanted, _nothing_yet(market))
    return _view(priced)


async def ask_outside(
    market: Market, principal: Principal, shopper: Shopper, wanted: CheckOut
) -> Said:
    """Have carriers and tax services answer about a cart before its checkout's transaction begins.

    Raises:
        Unavailable: one of them is away. And whatever `quote_cart` raises.
    """
    if market.carriers is None and market.tax_service is None:
        return NOTHING_SAID
    user_id, token = shopper.user_id, shopper.guest_token
    if user_id is not None and token is not None:
        # The questions are about the cart as the checkout will find it.
        await market.database.transact(lambda tx: merge_guest_cart(tx, user_id, token))
    said = _nothing_yet(market)
    question = QuoteCart(
        address_id=wanted.address_id,
        currency=wanted.currency,
        codes=wanted.codes,
        shipping=wanted.shipping,
    )
    await _price(market, principal, shopper, question, said)
    return said


def _nothing_yet(market: Market) -> Said:
    return Said(market.carriers, market.tax_service)


async def _price(
    market: Market, principal: Principal | None, shopper: Shopper, wanted: QuoteCart, said: Said
) -> _Priced:
    methods = chosen_methods(wanted.shipping)

    async def price() -> _Priced:
        async with market.database.connection() as con:
            destination = await _destination(con, principal, wanted)
            lines = await read_shopper_lines(con, shopper)
            variants = await load_variants(con, [line.variant_id for line in lines])
            buyable = [line for line in lines if variants[line.variant_id].sellable]
            items = choose_items(buyable, variants, wanted.currency)
            wishes = Wishes(
                destination=destination,
                codes=tuple(wanted.codes),
                methods=methods,
                buyer_id=shopper.user_id,
            )
            now = await con.fetchval(SQL["read_now"])
            basket = await price_basket(con, items, wishes, now=now, said=said)
        return _Priced(items=list(items), basket=basket, destination=destination)

    return await ask(said, price)


async def _destination(
    con: Connection, principal: Principal | None, wanted: QuoteCart
) -> Destination | None:
    if wanted.address_id is not None and wanted.place is not None:
        raise InvalidInput(
            "quote.address_and_place", "Give an address or a place, not both.", field="$.place"
        )
    if wanted.address_id is not None:
        user_id = None if principal is None else principal.user_id
        found = await fetch_one(
            con, SQL["read_address_place"], Destination, wanted.address_id, user_id
        )
        if found is None:
            raise NotFound(
                "address.not_found",
                "You have no such address; choose one of yours.",
                field="$.address_id",
            )
        return found
    if wanted.place is None:
        return None
    require_country(wanted.place.country, field="$.place.country")
    return Destination(
        country=wanted.place.country,
        region=wanted.place.region,
        postal_code=wanted.place.postal_code,
    )


def _view(priced: _Priced) -> QuoteView:
    price: GroupPrice = priced.basket.price
    names = {item.variant.shop_id: item.variant.shop_name for item in priced.items}
    stuck = any(order.shipping_problem is not None for order in price.orders)
    return QuoteView(
        currency=priced.items[0].variant.currency,
        shops=[_shop(order, names[order.shop_id]) for order in price.orders],
        codes=priced.basket.codes,
        items_minor=sum(order.items_minor for order in price.orders),
        discount_minor=sum(order.discount_minor for order in price.orders),
        shipping_minor=sum(order.shipping_minor for order in price.orders),
        tax_minor=sum(order.tax_minor for order in price.orders),
        tax_included_minor=sum(order.tax_included_minor for order in price.orders),
        total_minor=price.total_minor,
        is_complete=priced.destination is not None and not stuck,
    )


def _shop(order: OrderPrice, name: str) -> ShopQuote:
    return ShopQuote(
        shop_id=order.shop_id,
        shop_name=name,
        items_minor=order.items_minor,
        discounts=[
            DiscountView(
                promotion_id=discount.promotion.id,
                name=discount.promotion.name,
                code=discount.promotion.code,
                funded_by=discount.promotion.funded_by,
                amount_minor=discount.amount_minor,
            )
            for discount in order.discounts
        ],
        discount_minor=order.discount_minor,
        methods=None if order.methods is None else list(order.methods),
        method_id=None if order.method is None else order.method.method_id,
        shipping_problem=order.shipping_problem,
        shipping_minor=order.shipping_minor,
        tax_minor=order.tax_minor,
        tax_included_minor=order.tax_included_minor,
        total_minor=order.total_minor,
    )
