"""Pricing a basket: every share exact to the minor unit, in every currency."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feira.platform.domain.checkout import BasketLine, price_group
from feira.platform.domain.ids import ShopId, VariantId
from feira.platform.domain.money import MINOR_DIGITS, format_money


def line(shop: int, variant: int, *, price: int, quantity: int = 1) -> BasketLine:
    return BasketLine(
        variant_id=VariantId(UUID(int=variant)),
        shop_id=ShopId(UUID(int=shop)),
        quantity=quantity,
        unit_price_minor=price,
    )


def three_equal_shops(price: int) -> list[BasketLine]:
    return [line(shop, shop, price=price) for shop in (1, 2, 3)]


@pytest.mark.parametrize(
    ("currency", "discount_minor", "shares"),
    [
        ("EUR", 10_000, ["33.34 EUR", "33.33 EUR", "33.33 EUR"]),
        ("JPY", 100, ["34 JPY", "33 JPY", "33 JPY"]),
        ("KWD", 100_000, ["33.334 KWD", "33.333 KWD", "33.333 KWD"]),
    ],
)
def test_a_hundred_is_split_among_three_shops_to_the_last_unit(
    currency: str, discount_minor: int, shares: list[str]
) -> None:
    price = price_group(
        three_equal_shops(1_000_000), commission_basis_points=0, discount_minor=discount_minor
    )
    assert [format_money(order.discount_minor, currency) for order in price.orders] == shares
    assert sum(order.discount_minor for order in price.orders) == discount_minor


def test_commission_is_rounded_half_up_on_each_line() -> None:
    price = price_group(
        [line(1, 1, price=5), line(1, 2, price=15), line(1, 3, price=4)],
        commission_basis_points=1_000,
    )
    (order,) = price.orders
    assert [priced.commission_minor for priced in order.lines] == [1, 2, 0]
    assert order.commission_minor == 3


def test_orders_come_in_the_order_in_which_their_shops_stand_in_the_basket() -> None:
    price = price_group(
        [line(2, 1, price=100, quantity=3), line(1, 2, price=50), line(2, 3, price=1)],
        commission_basis_points=1_000,
    )
    assert [(order.shop_id.int, order.total_minor) for order in price.orders] == [(2, 301), (1, 50)]
    assert price.total_minor == 351


def test_a_discount_beyond_the_items_makes_them_free_and_no_more() -> None:
    price = price_group(three_equal_shops(10), commission_basis_points=1_000, discount_minor=99)
    assert [order.total_minor for order in price.orders] == [0, 0, 0]
    assert [order.commission_minor for order in price.orders] == [0, 0, 0]


lines = st.builds(
    line,
    st.integers(1, 4),
    st.integers(1, 10_000),
    price=st.integers(0, 10**9),
    quantity=st.integers(1, 999),
)


@settings(deadline=None)
@given(
    basket=st.lists(lines, min_size=1, max_size=12),
    basis_points=st.integers(0, 10_000),
    discount_minor=st.integers(0, 10**12),
    shipping_minor=st.integers(0, 10**9),
    tax_minor=st.integers(0, 10**9),
)
def test_the_parts_always_add_up_to_the_whole(
    basket: list[BasketLine],
    basis_points: int,
    discount_minor: int,
    shipping_minor: int,
    tax_minor: int,
) -> None:
    price = price_group(
        basket,
        commission_basis_points=basis_points,
        discount_minor=discount_minor,
        shipping_minor=shipping_minor,
        tax_minor=tax_minor,
    )
    items_minor = sum(item.unit_price_minor * item.quantity for item in basket)
    used = min(discount_minor, items_minor)
    assert price.total_minor == items_minor + shipping_minor + tax_minor - used
    assert sum(order.discount_minor for order in price.orders) == used
    for order in price.orders:
        assert order.items_minor == sum(priced.total_minor for priced in order.lines)
        assert order.discount_minor == sum(priced.discount_minor for priced in order.lines)
        assert order.commission_minor == sum(priced.commission_minor for priced in order.lines)
        assert all(0 <= priced.discount_minor <= priced.total_minor for priced in order.lines)
        assert 0 <= order.commission_minor <= order.total_minor


def test_every_currency_of_the_market_has_zero_to_three_minor_digits() -> None:
    assert set(MINOR_DIGITS.values()) == {0, 2, 3}
