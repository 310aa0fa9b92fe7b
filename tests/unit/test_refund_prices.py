"""What refunds come to: whatever is given back in whatever parts, it adds up to what was paid, to the minor unit."""

from __future__ import annotations

import random
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain.ids import OrderLineId
from feira.platform.domain.order_commands import LineQuantity
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.refunds import (
    LinePart,
    RefundOrder,
    RefundPrice,
    Sold,
    SoldLine,
    line_shares,
    price_refund,
)


def line(number: int, quantity: int, total_minor: int) -> SoldLine:
    return SoldLine(line=OrderLineId(UUID(int=number)), quantity=quantity, total_minor=total_minor)


def sold(*lines: SoldLine, total_minor: int, shipping_minor: int = 0) -> Sold:
    return Sold(
        total_minor=total_minor,
        shipping_minor=shipping_minor,
        shipping_back_minor=0,
        left_minor=total_minor,
        lines=lines,
    )


def give(order: Sold, **wanted: object) -> RefundPrice | Rejection:
    return price_refund(order, msgspec.convert({"reason": "a test"} | wanted, RefundOrder))


def after(order: Sold, price: RefundPrice) -> Sold:
    parts = {part.line: part for part in price.lines}
    return msgspec.structs.replace(
        order,
        left_minor=order.left_minor - price.amount_minor,
        shipping_back_minor=order.shipping_back_minor + price.shipping_minor,
        lines=tuple(
            msgspec.structs.replace(
                one,
                back=one.back + parts[one.line].quantity,
                back_minor=one.back_minor + parts[one.line].amount_minor,
            )
            if one.line in parts
            else one
            for one in order.lines
        ),
    )


def units(*wanted: tuple[int, int]) -> list[dict[str, object]]:
    return [{"line": str(UUID(int=number)), "quantity": quantity} for number, quantity in wanted]


@pytest.mark.parametrize(
    ("share", "amounts"),
    # 10.00 EUR over three units; 100 JPY, which has no smaller coin; 1.000 KWD over seven.
    [(1_000, [333, 334, 333]), (100, [33, 34, 33]), (1_000, [143, 143, 143, 142, 143, 143, 143])],
)
def test_units_given_back_one_by_one_add_up_to_their_line(share: int, amounts: list[int]) -> None:
    order = sold(line(1, len(amounts), share), total_minor=share)
    found: list[int] = []
    for _ in amounts:
        price = give(order, lines=units((1, 1)))
        assert isinstance(price, RefundPrice)
        found.append(price.amount_minor)
        order = after(order, price)
    assert found == amounts
    assert order.left_minor == 0


def test_a_discount_is_shared_out_over_the_lines_and_shipping_is_given_back_only_when_asked() -> (
    None
):
    # 30.00 and 70.00, less 10.00, and 4.00 of shipping.
    order = sold(line(1, 1, 3_000), line(2, 2, 7_000), total_minor=9_400, shipping_minor=400)
    assert list(line_shares(order).values()) == [2_700, 6_300]
    assert give(order, lines=units((2, 1))) == RefundPrice(
        amount_minor=3_150,
        lines=price_of(order, (2, 1)),
    )
    with_shipping = give(order, lines=units((1, 1)), shipping=True)
    assert isinstance(with_shipping, RefundPrice)
    assert (with_shipping.amount_minor, with_shipping.shipping_minor) == (3_100, 400)
    again = give(after(order, with_shipping), shipping=True)
    assert isinstance(again, Rejection)
    assert again.code == "refund.nothing_left"


def price_of(order: Sold, *wanted: tuple[int, int]) -> tuple[LinePart, ...]:
    price = give(order, lines=units(*wanted))
    assert isinstance(price, RefundPrice)
    return price.lines


@pytest.mark.parametrize(
    ("wanted", "code", "field"),
    [
        ({"amount_minor": 1_001}, "refund.exceeds_order", "$.amount_minor"),
        ({"amount_minor": 5, "shipping": True}, "refund.amount_or_lines", "$.amount_minor"),
        ({"lines": units((1, 4))}, "refund.too_many_units", "$.lines[0].quantity"),
        ({"lines": units((9, 1))}, "order.unknown_line", "$.lines[0].line"),
        ({"lines": units((1, 1), (1, 1))}, "order.line_twice", "$.lines[1]"),
    ],
)
def test_what_cannot_be_given_back_is_refused_and_says_why(
    wanted: dict[str, object], code: str, field: str
) -> None:
    outcome = give(sold(line(1, 3, 1_000), total_minor=1_000), **wanted)
    assert isinstance(outcome, Rejection)
    assert (outcome.code, outcome.field) == (code, field)


def test_what_an_amount_took_before_is_not_given_back_again_by_line() -> None:
    order = sold(line(1, 2, 1_000), total_minor=1_000)
    goodwill = give(order, amount_minor=600)
    assert isinstance(goodwill, RefundPrice)
    both = give(after(order, goodwill), lines=units((1, 2)))
    assert isinstance(both, Rejection)
    assert both.code == "refund.exceeds_order"
    rest = give(after(order, goodwill))
    assert rest == RefundPrice(amount_minor=400)


@given(
    totals=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 10**9)), min_size=1, max_size=6),
    shipping=st.integers(0, 10**6),
    discount=st.integers(0, 10**6),
    seed=st.integers(0, 2**32),
)
def test_an_order_given_back_unit_by_unit_gives_back_exactly_its_total(
    totals: list[tuple[int, int]], shipping: int, discount: int, seed: int
) -> None:
    lines = [
        line(number, quantity, unit * quantity)
        for number, (quantity, unit) in enumerate(totals, start=1)
    ]
    items = sum(one.total_minor for one in lines)
    order = sold(
        *lines,
        total_minor=items - min(discount, items) + shipping,
        shipping_minor=shipping,
    )
    chosen = random.Random(seed)  # noqa: S311: a test's dice
    given_minor = 0
    for _ in range(sum(one.quantity for one in lines)):
        open_lines = [one for one in order.lines if one.back < one.quantity]
        one = chosen.choice(open_lines)
        count = chosen.randint(1, one.quantity - one.back)
        price = price_refund(
            order,
            RefundOrder(reason="x", lines=[LineQuantity(line=one.line, quantity=count)]),
        )
        if isinstance(price, Rejection):
            # Units that a discount made free.
            assert price.code == "refund.nothing_left"
            order = msgspec.structs.replace(
                order,
                lines=tuple(
                    msgspec.structs.replace(each, back=each.back + count) if each is one else each
                    for each in order.lines
                ),
            )
        else:
            given_minor += price.amount_minor
            order = after(order, price)
        if all(each.back == each.quantity for each in order.lines):
            break
    assert order.left_minor == shipping
    assert given_minor + shipping == order.total_minor
