"""Reading what prices depend on, one query for each kind of thing, and pricing a basket with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from feira.platform.domain.checkout import BasketLine, GroupPrice, PricingTerms, price_group
from feira.platform.domain.commission import LineCommission
from feira.platform.domain.ids import CategoryId, ShopId, UserId
from feira.platform.domain.promotions import REFUSALS, Promotion, Refusal
from feira.platform.domain.shipping import (
    Destination,
    Parcel,
    ShippingRate,
    TableMethod,
    table_rates,
)
from feira.platform.domain.taxes import Taxes, TaxMode, TaxRate, TaxRequest, table_taxes
from feira.services.orders.outside import Said
from feira.services.payments.commission import Sold, open_book
from feira.services.products.catalogue import SellableVariant
from feira.sql.loader import Connection, fetch_all, load_queries

SQL: Final = load_queries("pricing")
CODES_MAX: Final = 5
NOTHING_SAID: Final = Said()


class PricedItem(msgspec.Struct, frozen=True, kw_only=True):
    """So many units of a variant, at the price that buyer and shop agreed on."""

    variant: SellableVariant
    quantity: int
    unit_price_minor: int


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the buyer brings: where it goes, codes, and how each shop shall send it."""

    destination: Destination | None
    codes: tuple[str, ...] = ()
    methods: Mapping[ShopId, str] = {}
    buyer_id: UserId | None = None


class CodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a code does to a basket: `saved_minor`, or, where it does nothing, why (`reason` and a sentence)."""

    code: str
    name: str
    saved_minor: int
    reason: Refusal | None
    message: str


class PricedBasket(msgspec.Struct, frozen=True, kw_only=True):
    """A basket's price, and what became of each code that was given."""

    price: GroupPrice
    codes: list[CodeReport]


class _ShopTerms(msgspec.Struct, frozen=True, kw_only=True):
    shop_id: ShopId
    tax_mode: TaxMode | None
    methods: msgspec.Raw


class _CategoryPath(msgspec.Struct, frozen=True, kw_only=True):
    id: CategoryId
    slugs: tuple[str, ...]


_methods: Final = msgspec.json.Decoder(tuple[TableMethod, ...])


async def price_basket(
    con: Connection,
    items: Sequence[PricedItem],
    wishes: Wishes,
    *,
    now: datetime,
    said: Said = NOTHING_SAID,
) -> PricedBasket:
    """Price items of one currency as a checkout of this moment would. Nothing is locked or counted.

    Where `said` has open questions afterwards, the price is not to be used.
    """
    shop_ids = list(dict.fromkeys(item.variant.shop_id for item in items))
    codes = list(dict.fromkeys(code.upper() for code in wishes.codes))
    shops = {
        row.shop_id: row
        for row in await fetch_all(con, SQL["read_shop_terms"], _ShopTerms, shop_ids)
    }
    promotions = await fetch_all(
        con, SQL["read_promotions"], Promotion, shop_ids, codes, wishes.buyer_id
    )
    modes: dict[ShopId, TaxMode] = {
        shop.shop_id: shop.tax_mode for shop in shops.values() if shop.tax_mode is not None
    }
    rates = await _tax_rates(con, wishes.destination, modes)
    by_category = bool(modes) or any(promotion.categories for promotion in promotions)
    basket = await _basket(con, items, by_category=by_category)
    currency = items[0].variant.currency
    terms = PricingTerms(
        currency=currency,
        now=now,
        commission=await _commission(con, basket, currency, now),
        destination=wishes.destination,
        promotions=tuple(promotions),
        chosen_methods=wishes.methods,
        tax_modes=modes,
        ships=_Ways(
            {shop_id: _methods.decode(row.methods) for shop_id, row in shops.items()}, said
        ),
        taxes=said.taxes if said.has_tax_service else _TaxTable(rates),
    )
    price = price_group(basket, terms)
    return PricedBasket(price=price, codes=[_report(code, promotions, price) for code in codes])


async def price_agreed(
    con: Connection, item: PricedItem, to: Destination, now: datetime
) -> GroupPrice:
    """Price what a buyer and a shop agreed on: delivery and tax are inside, and no promotion changes it."""
    shops = await fetch_all(con, SQL["read_shop_terms"], _ShopTerms, [item.variant.shop_id])
    modes: dict[ShopId, TaxMode] = {
        shop.shop_id: "inclusive" for shop in shops if shop.tax_mode is not None
    }
    basket = await _basket(con, [item], by_category=bool(modes))
    currency = item.variant.currency
    terms = PricingTerms(
        currency=currency,
        now=now,
        commission=await _commission(con, basket, currency, now),
        destination=to,
        tax_modes=modes,
        taxes=_TaxTable(await _tax_rates(con, to, modes)),
    )
    return price_group(basket, terms)


async def _commission(
    con: Connection, basket: Sequence[BasketLine], currency: str, now: datetime
) -> Callable[[BasketLine, int], LineCommission]:
    """The market's rules of this moment for a basket."""

    def sold(line: BasketLine) -> Sold:
        return Sold(
            product_id=line.product_id,
            shop_id=line.shop_id,
            unit_price_minor=line.unit_price_minor,
        )

    book = await open_book(con, [sold(line) for line in basket], currency, now)
    return lambda line, amount_minor: book.of(sold(line), amount_minor)


class _TaxTable:
    """The market's rates as a tax service."""

    def __init__(self, rates: Sequence[TaxRate]) -> None:
        self._rates = rates

    def __call__(self, request: TaxRequest) -> Taxes:
        return table_taxes(self._rates, request)


class _Ways:
    """The shops' tables, and what carriers said beside them."""

    def __init__(self, methods: Mapping[ShopId, tuple[TableMethod, ...]], said: Said) -> None:
        self._methods = methods
        self._said = said

    def __call__(self, parcel: Parcel) -> tuple[ShippingRate, ...] | None:
        methods = self._methods.get(parcel.shop_id, ())
        if not methods and not self._said.has_carriers:
            return None
        return (*table_rates(methods, parcel), *self._said.rates(parcel))


async def _tax_rates(
    con: Connection, destination: Destination | None, modes: Mapping[ShopId, TaxMode]
) -> list[TaxRate]:
    if destination is None or not modes:
        return []
    return await fetch_all(con, SQL["read_tax_rates"], TaxRate, destination.country)


async def _basket(
    con: Connection, items: Sequence[PricedItem], *, by_category: bool
) -> list[BasketLine]:
    paths: dict[CategoryId | None, tuple[str, ...]] = {}
    ids = {item.variant.category_id for item in items} - {None}
    if by_category and ids:
        rows = await fetch_all(con, SQL["read_category_paths"], _CategoryPath, list(ids))
        paths = {row.id: row.slugs for row in rows}
    return [
        BasketLine(
            variant_id=item.variant.variant_id,
            product_id=item.variant.product_id,
            shop_id=item.variant.shop_id,
            quantity=item.quantity,
            unit_price_minor=item.unit_price_minor,
            categories=paths.get(item.variant.category_id, ()),
            weight_g=item.variant.weight_g,
        )
        for item in items
    ]


def _report(code: str, promotions: Iterable[Promotion], price: GroupPrice) -> CodeReport:
    """Several shops may have the same code: what any of them saves counts, or else the last that was refused."""
    named = [promotion for promotion in promotions if promotion.code == code]
    ids = {promotion.id for promotion in named}
    saved_minor = sum(
        discount.amount_minor
        for order in price.orders
        for discount in order.discounts
        if discount.promotion.id in ids
    )
    reasons: list[Refusal] = [
        price.refused[promotion.id] for promotion in named if promotion.id in price.refused
    ]
    if not reasons:
        reasons.append("unknown")
    reason = None if saved_minor else reasons[-1]
    return CodeReport(
        code=code,
        name=named[0].name if named else "",
        saved_minor=saved_minor,
        reason=reason,
        message="" if reason is None else REFUSALS[reason],
    )
