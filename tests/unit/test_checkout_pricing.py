"""Pricing a basket: every share exact to the minor unit, in every currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feira.platform.domain.checkout import BasketLine, GroupPrice, PricingTerms, price_group
from feira.platform.domain.commission import CommissionRule, LineCommission, commission_by
from feira.platform.domain.ids import CommissionRuleId, ProductId, PromotionId, ShopId, VariantId
from feira.platform.domain.money import MINOR_DIGITS, format_money
from feira.platform.domain.promotions import Promotion
from feira.platform.domain.shipping import (
    Bracket,
    Destination,
    Parcel,
    ShippingRate,
    TableMethod,
    Zone,
    table_rates,
)
from feira.platform.domain.taxes import TaxMode, TaxRate, table_taxes

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LISBON = Destination(country="PT", region="Lisboa", postal_code="1000-001")
RATES = (
    TaxRate(country="PT", basis_points=2_300, name="IVA"),
    TaxRate(country="PT", category="books", basis_points=600, name="IVA"),
    TaxRate(country="PT", region="Madeira", basis_points=2_200, name="IVA"),
)


def shop(number: int) -> ShopId:
    return ShopId(UUID(int=number))


def line(
    of_shop: int,
    variant: int,
    *,
    price: int,
    quantity: int = 1,
    categories: tuple[str, ...] = (),
    weight_g: int = 0,
) -> BasketLine:
    return BasketLine(
        variant_id=VariantId(UUID(int=variant)),
        product_id=ProductId(UUID(int=variant)),
        shop_id=shop(of_shop),
        quantity=quantity,
        unit_price_minor=price,
        categories=categories,
        weight_g=weight_g,
    )


def promotion(number: int, of_shop: int | None = None, **rest: Any) -> Promotion:
    return Promotion(
        id=PromotionId(UUID(int=number)),
        shop_id=None if of_shop is None else shop(of_shop),
        code=rest.pop("code", None),
        name=f"Promotion {number}",
        kind=rest.pop("kind", "fixed"),
        **rest,
    )


def terms(
    *promotions: Promotion,
    commission: int = 1_000,
    currency: str = "EUR",
    methods: Mapping[int, Sequence[TableMethod]] | None = None,
    chosen: Mapping[int, str] | None = None,
    taxed: Mapping[int, TaxMode] | None = None,
    destination: Destination | None = LISBON,
) -> PricingTerms:
    tables = {shop(number): tuple(of_shop) for number, of_shop in (methods or {}).items()}

    def ships(parcel: Parcel) -> tuple[ShippingRate, ...] | None:
        table = tables.get(parcel.shop_id)
        return None if table is None else table_rates(table, parcel)

    rule = CommissionRule(id=CommissionRuleId(UUID(int=1)), basis_points=commission, valid_from=NOW)
    return PricingTerms(
        currency=currency,
        now=NOW,
        commission=lambda _line, amount_minor: LineCommission(
            rule, commission_by(rule, amount_minor)
        ),
        destination=destination,
        promotions=promotions,
        chosen_methods={shop(number): method for number, method in (chosen or {}).items()},
        tax_modes={shop(number): mode for number, mode in (taxed or {}).items()},
        ships=ships,
        taxes=lambda request: table_taxes(RATES, request),
    )


def post(name: str = "post", *, price: int, free_from: int | None = None) -> TableMethod:
    zone = Zone(brackets=(Bracket(price_minor=price),), free_from_minor=free_from)
    return TableMethod(id=name, name=name, kind="flat", zones=(zone,), days_min=1, days_max=3)


def three_equal_shops(price: int) -> list[BasketLine]:
    return [line(number, number, price=price) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("currency", "discount_minor", "shares"),
    [
        ("EUR", 10_000, ["33.34 EUR", "33.33 EUR", "33.33 EUR"]),
        ("JPY", 100, ["34 JPY", "33 JPY", "33 JPY"]),
        ("KWD", 100_000, ["33.334 KWD", "33.333 KWD", "33.333 KWD"]),
    ],
)
def test_a_hundred_off_is_split_among_three_shops_to_the_last_unit(
    currency: str, discount_minor: int, shares: list[str]
) -> None:
    off = promotion(1, amount_minor=discount_minor, currency=currency)
    price = price_group(three_equal_shops(1_000_000), terms(off, commission=0, currency=currency))
    assert [format_money(order.discount_minor, currency) for order in price.orders] == shares
    assert sum(order.discount_minor for order in price.orders) == discount_minor


@pytest.mark.parametrize(
    ("currency", "price_minor", "tax", "net", "commission"),
    [
        # 9.99 with 23 % inside: 8.1219... net; a tenth is 0.999.
        ("EUR", 999, "1.87 EUR", "8.12 EUR", "1.00 EUR"),
        # 999 yen: 812.19... net; 99.9.
        ("JPY", 999, "187 JPY", "812 JPY", "100 JPY"),
        # 9.995 dinars: 8.1260... net; 0.9995.
        ("KWD", 9_995, "1.869 KWD", "8.126 KWD", "1.000 KWD"),
        # Half a unit goes up: 1.23 has 0.23 inside; a tenth of 0.05 is 0.005.
        ("EUR", 123, "0.23 EUR", "1.00 EUR", "0.12 EUR"),
        ("EUR", 5, "0.01 EUR", "0.04 EUR", "0.01 EUR"),
    ],
)
def test_tax_inside_a_price_and_commission_are_rounded_half_up_in_every_currency(
    currency: str, price_minor: int, tax: str, net: str, commission: str
) -> None:
    (order,) = price_group(
        [line(1, 1, price=price_minor)], terms(currency=currency, taxed={1: "inclusive"})
    ).orders
    assert order.total_minor == price_minor
    assert order.tax_minor == 0
    assert format_money(order.tax_included_minor, currency) == tax
    assert format_money(price_minor - order.tax_included_minor, currency) == net
    assert format_money(order.commission_minor, currency) == commission


def test_tax_on_top_is_computed_once_for_each_rate_and_its_lines_add_up_to_it() -> None:
    things = [line(1, number, price=333) for number in (1, 2, 3)]
    book = line(1, 4, price=1_000, categories=("poetry", "books"))
    (order,) = price_group(
        [*things, book], terms(methods={1: [post(price=500)]}, taxed={1: "exclusive"})
    ).orders
    # 23 % of 3 * 3.33 + 5.00 delivery = 3.4477, not three times 0.77 and 1.15.
    standard = [*(priced.tax.tax_minor for priced in order.lines[:3]), order.shipping_tax.tax_minor]
    assert sum(standard) == 345
    assert standard == [77, 77, 76, 115]
    assert order.lines[3].tax.tax_minor == 60
    assert order.tax_minor == 405
    assert order.total_minor == 999 + 1_000 + 500 + 405


def test_the_nearest_category_has_its_rate_and_a_region_comes_before_its_country() -> None:
    madeira = Destination(country="PT", region="madeira")
    basket = [line(1, 1, price=1_000), line(1, 2, price=1_000, categories=("books",))]
    for destination, rates in ((madeira, [2_200, 600]), (LISBON, [2_300, 600])):
        (order,) = price_group(
            basket, terms(taxed={1: "exclusive"}, destination=destination)
        ).orders
        assert [priced.tax.basis_points for priced in order.lines] == rates
    (abroad,) = price_group(
        basket, terms(taxed={1: "exclusive"}, destination=Destination(country="DE"))
    ).orders
    assert abroad.tax_minor == 0


def test_commission_is_rounded_half_up_on_each_line() -> None:
    price = price_group([line(1, 1, price=5), line(1, 2, price=15), line(1, 3, price=4)], terms())
    (order,) = price.orders
    assert [priced.commission_minor for priced in order.lines] == [1, 2, 0]
    assert order.commission_minor == 3


def test_orders_come_in_the_order_in_which_their_shops_stand_in_the_basket() -> None:
    price = price_group(
        [line(2, 1, price=100, quantity=3), line(1, 2, price=50), line(2, 3, price=1)], terms()
    )
    assert [(order.shop_id.int, order.total_minor) for order in price.orders] == [(2, 301), (1, 50)]
    assert price.total_minor == 351


def test_a_discount_beyond_the_items_makes_them_free_and_no_more() -> None:
    off = promotion(1, amount_minor=99, currency="EUR")
    price = price_group(three_equal_shops(10), terms(off))
    assert [order.total_minor for order in price.orders] == [0, 0, 0]
    # The market pays for it: each shop has its ten, less the commission.
    assert [order.subsidy_minor for order in price.orders] == [10, 10, 10]
    assert [order.commission_minor for order in price.orders] == [1, 1, 1]


def test_who_pays_for_a_discount_decides_what_the_shop_and_the_commission_lose() -> None:
    own = promotion(1, 1, kind="percent", basis_points=2_000)
    of_market = promotion(2, kind="percent", basis_points=1_000)
    (order,) = price_group(
        [line(1, 1, price=10_000)], terms(own, of_market, taxed={1: "inclusive"})
    ).orders
    # 100.00 - 20.00 by the shop; the market takes 8.00 off what is left, and pays it.
    assert order.discount_minor == 2_800
    assert order.subsidy_minor == 800
    assert order.total_minor == 7_200
    assert order.commission_minor == 800
    shop_receives = order.total_minor + order.subsidy_minor - order.commission_minor
    assert shop_receives == 8_000 - 800
    # Taxed is what the shop gets: 80.00 with 23 % inside.
    assert order.tax_included_minor == 1_496


def test_a_shop_combines_what_stacks_or_uses_one_alone_whichever_saves_more() -> None:
    basket = [line(1, 1, price=10_000)]
    ten = promotion(1, 1, kind="percent", basis_points=1_000)
    five_off = promotion(2, 1, amount_minor=500, currency="EUR")
    alone = promotion(3, 1, kind="percent", basis_points=1_400, stackable=False)
    stacked = price_group(basket, terms(ten, five_off, alone))
    assert stacked.orders[0].discount_minor == 1_500
    assert stacked.refused == {alone.id: "not_combinable"}

    better = msgspec.structs.replace(alone, basis_points=1_600)
    single = price_group(basket, terms(ten, five_off, better))
    assert single.orders[0].discount_minor == 1_600
    assert single.refused == {ten.id: "not_combinable", five_off.id: "not_combinable"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"active": False}, "inactive"),
        ({"starts_at": NOW + timedelta(seconds=1)}, "not_started"),
        ({"ends_at": NOW}, "ended"),
        ({"uses_left": 0}, "used_up"),
        ({"uses_left_for_you": 0}, "used_by_you"),
        ({"currency": "JPY"}, "other_currency"),
        ({"products": frozenset({ProductId(UUID(int=9))})}, "nothing_fits"),
        ({"categories": frozenset({"books"})}, "nothing_fits"),
        ({"shops": frozenset({shop(2)})}, "nothing_fits"),
        ({"minimum_minor": 1_001, "currency": "EUR"}, "below_minimum"),
        ({"kind": "free_shipping", "basis_points": 0}, "nothing_to_save"),
    ],
)
def test_a_code_says_why_it_does_not_apply(change: dict[str, Any], reason: str) -> None:
    good = promotion(1, kind="percent", basis_points=1_000, code="SPRING")
    basket = [line(1, 1, price=1_000)]
    assert price_group(basket, terms(good)).refused == {}
    spoiled = msgspec.structs.replace(good, **change)
    assert price_group(basket, terms(spoiled)).refused == {good.id: reason}


def test_a_discount_reaches_only_what_it_is_for_and_its_cap() -> None:
    for_books = promotion(
        1,
        kind="percent",
        basis_points=5_000,
        categories=frozenset({"books"}),
        cap_minor=100,
        currency="EUR",
    )
    basket = [
        line(1, 1, price=1_000),
        line(1, 2, price=150, categories=("poetry", "books")),
        line(2, 3, price=150, categories=("books",)),
    ]
    first, second = price_group(basket, terms(for_books)).orders
    assert [priced.discount_minor for priced in first.lines] == [0, 50]
    assert [priced.discount_minor for priced in second.lines] == [50]


def test_delivery_is_the_cheapest_unless_another_is_chosen_and_free_above_a_value() -> None:
    methods = {1: [post("express", price=900), post("slow", price=400, free_from=5_000)]}
    basket = [line(1, 1, price=4_999)]
    assert price_group(basket, terms(methods=methods)).total_minor == 5_399
    express = price_group(basket, terms(methods=methods, chosen={1: "express"}))
    assert express.orders[0].shipping_minor == 900
    above = [line(1, 1, price=5_000)]
    assert price_group(above, terms(methods=methods)).total_minor == 5_000
    # The shop's own discount brings the goods below it again, the market's does not.
    own, of_market = (promotion(1, number, amount_minor=1, currency="EUR") for number in (1, None))
    assert price_group(above, terms(own, methods=methods)).orders[0].shipping_minor == 400
    assert price_group(above, terms(of_market, methods=methods)).orders[0].shipping_minor == 0


def test_free_delivery_is_paid_by_whoever_gives_it() -> None:
    methods = {1: [post(price=400)], 2: [post(price=300)]}
    basket = [line(1, 1, price=1_000), line(2, 2, price=1_000)]
    own = promotion(1, 1, kind="free_shipping")
    of_market = promotion(2, kind="free_shipping")
    first, second = price_group(basket, terms(own, of_market, methods=methods)).orders
    assert (first.discount_minor, first.subsidy_minor, first.total_minor) == (400, 0, 1_000)
    assert (second.discount_minor, second.subsidy_minor, second.total_minor) == (300, 300, 1_000)


def test_a_shop_without_methods_asks_nothing_and_one_that_does_not_go_there_says_so() -> None:
    zone = Zone(countries=("DE",), brackets=(Bracket(price_minor=1),))
    german = TableMethod(id="dhl", name="DHL", kind="flat", zones=(zone,), days_min=1, days_max=2)
    basket = [line(1, 1, price=1_000), line(2, 2, price=1_000)]
    price = price_group(basket, terms(methods={2: [german]}, chosen={1: "pigeon"}))
    assert [order.shipping_problem for order in price.orders] == [
        "unknown_method",
        "no_method_reaches",
    ]
    open_yet = price_group(basket, terms(methods={2: [german]}, destination=None))
    assert [order.shipping_problem for order in open_yet.orders] == [None, None]


# Anything at all: the sums are exact.
lines = st.builds(
    line,
    st.integers(1, 4),
    st.integers(1, 10_000),
    price=st.integers(0, 10**9),
    quantity=st.integers(1, 999),
    categories=st.sampled_from([(), ("books",), ("poetry", "books")]),
)
promotions = st.lists(
    st.one_of(
        st.builds(
            promotion,
            st.integers(1, 10**6),
            st.sampled_from([None, 1, 2, 3]),
            kind=st.just("percent"),
            basis_points=st.integers(1, 10_000),
            stackable=st.booleans(),
            categories=st.sampled_from([frozenset[str](), frozenset({"books"})]),
        ),
        st.builds(
            promotion,
            st.integers(1, 10**6),
            st.sampled_from([None, 1, 2, 3]),
            amount_minor=st.integers(1, 10**12),
            currency=st.just("EUR"),
            stackable=st.booleans(),
        ),
        st.builds(
            promotion,
            st.integers(1, 10**6),
            st.sampled_from([None, 1, 2, 3]),
            kind=st.just("free_shipping"),
            stackable=st.booleans(),
        ),
    ),
    max_size=5,
    unique_by=lambda one: one.id,
)
modes: st.SearchStrategy[dict[int, TaxMode]] = st.dictionaries(
    st.integers(1, 4), st.sampled_from(["inclusive", "exclusive"])
)
tables = st.dictionaries(
    st.integers(1, 4), st.lists(st.builds(post, price=st.integers(0, 10**7)), max_size=1)
)


@settings(deadline=None)
@given(
    basket=st.lists(lines, min_size=1, max_size=12),
    used=promotions,
    commission=st.integers(0, 10_000),
    taxed=modes,
    methods=tables,
)
def test_the_parts_always_add_up_to_the_whole(
    basket: list[BasketLine],
    used: list[Promotion],
    commission: int,
    taxed: dict[int, TaxMode],
    methods: dict[int, list[TableMethod]],
) -> None:
    price = price_group(basket, terms(*used, commission=commission, taxed=taxed, methods=methods))
    assert sum(order.items_minor for order in price.orders) == sum(
        item.total_minor for item in basket
    )
    assert price.total_minor == sum(order.total_minor for order in price.orders)
    _require_exact_orders(price)
    given_off = {discount.promotion.id for order in price.orders for discount in order.discounts}
    assert given_off.isdisjoint(price.refused)
    assert given_off | set(price.refused) == {one.id for one in used}


def _require_exact_orders(price: GroupPrice) -> None:
    for order in price.orders:
        off_lines = sum(priced.discount_minor for priced in order.lines)
        off_shipping = sum(discount.shipping_minor for discount in order.discounts)
        taxed = sum(priced.tax.tax_minor for priced in order.lines) + order.shipping_tax.tax_minor
        assert order.items_minor == sum(priced.total_minor for priced in order.lines)
        assert order.discount_minor == off_lines + off_shipping
        assert order.discount_minor == sum(d.amount_minor for d in order.discounts)
        assert off_shipping <= order.shipping_minor
        assert order.tax_minor + order.tax_included_minor == taxed
        assert order.total_minor == (
            order.items_minor + order.shipping_minor + order.tax_minor - order.discount_minor
        )
        assert order.total_minor >= 0
        shipping_tax = order.shipping_tax.tax_minor if order.tax_minor else 0
        assert order.total_minor == (
            sum(priced.paid_minor for priced in order.lines)
            + (order.shipping_minor - off_shipping + shipping_tax)
        )
        assert order.commission_minor == sum(priced.commission_minor for priced in order.lines)
        assert 0 <= order.subsidy_minor <= order.discount_minor
        assert 0 <= order.commission_minor <= order.total_minor + order.subsidy_minor
        for priced in order.lines:
            assert 0 <= priced.subsidy_minor <= priced.discount_minor <= priced.total_minor


def test_every_currency_of_the_market_has_zero_to_three_minor_digits() -> None:
    assert set(MINOR_DIGITS.values()) == {0, 2, 3}
