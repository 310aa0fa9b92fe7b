"""Which rule wins, and what it takes, to the minor unit."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain.commission import (
    CommissionItem,
    CommissionRule,
    CommissionTerms,
    commission_by,
    line_commission,
    ranked,
)
from feira.platform.domain.commission_shadows import Goods, ShadowWarning, warn_of
from feira.platform.domain.ids import CategoryId, CommissionRuleId, ProductId, ShopId

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SHOP, OTHER_SHOP = ShopId(UUID(int=1)), ShopId(UUID(int=2))
VASE, OTHER_THING = ProductId(UUID(int=11)), ProductId(UUID(int=12))
HOME, CERAMICS, SHOES = (CategoryId(UUID(int=number)) for number in (21, 22, 23))
GOODS = Goods(
    categories={HOME: (HOME,), CERAMICS: (CERAMICS, HOME), SHOES: (SHOES,)},
    products={VASE: (SHOP, (CERAMICS, HOME)), OTHER_THING: (OTHER_SHOP, (SHOES,))},
)
ITEM = CommissionItem(
    product_id=VASE,
    shop_id=SHOP,
    categories=(CERAMICS, HOME),
    currency="EUR",
    unit_price_minor=5_000,
)


def rule(number: int, **conditions: Any) -> CommissionRule:
    conditions = {"basis_points": 1_000, "valid_from": NOW - DAY} | conditions
    return CommissionRule(id=CommissionRuleId(UUID(int=number)), **conditions)


DEFAULT = rule(1)


@pytest.mark.parametrize(
    ("currency", "amount_minor", "terms", "expected"),
    [
        ("EUR", 10_000, {"basis_points": 1_000}, 1_000),  # 100.00 at 10 %
        ("EUR", 3_335, {"basis_points": 1_000}, 334),  # half a cent goes up
        ("EUR", 3_334, {"basis_points": 1_000}, 333),
        ("EUR", 1_999, {"basis_points": 1_250}, 250),  # 249.875
        ("EUR", 1_000, {"basis_points": 500, "fixed_minor": 35}, 85),  # 5 % + 0.35
        ("EUR", 100, {"basis_points": 500, "min_minor": 50}, 50),
        ("EUR", 100_000, {"basis_points": 1_000, "max_minor": 2_500}, 2_500),
        # Bounds come after rounding: 24.5 -> 25, not 24.
        ("EUR", 245, {"basis_points": 1_000, "min_minor": 25}, 25),
        ("EUR", 255, {"basis_points": 1_000, "max_minor": 25}, 25),
        ("EUR", 20, {"basis_points": 0, "fixed_minor": 35}, 20),  # never more than the line
        ("EUR", 0, {"basis_points": 1_000, "fixed_minor": 35, "min_minor": 50}, 0),
        ("EUR", 10_000, {"basis_points": 0}, 0),
        ("EUR", 10_000, {"basis_points": 10_000}, 10_000),
        ("JPY", 5, {"basis_points": 1_000}, 1),  # 0.5 yen goes up
        ("JPY", 4, {"basis_points": 1_000}, 0),
        ("JPY", 1_980, {"basis_points": 825, "fixed_minor": 30}, 193),  # 163.35 + 30
        ("JPY", 999, {"basis_points": 1_000, "min_minor": 120}, 120),
        ("KWD", 12_345, {"basis_points": 1_000}, 1_235),  # 12.345 dinars: three digits
        ("KWD", 12_344, {"basis_points": 1_000}, 1_234),
        ("KWD", 750, {"basis_points": 667, "fixed_minor": 100}, 150),  # 50.025 + 100
        ("KWD", 1_000_000, {"basis_points": 250, "max_minor": 20_000}, 20_000),
    ],
)
def test_commission_is_rounded_half_up_and_then_bounded(
    currency: str, amount_minor: int, terms: dict[str, Any], expected: int
) -> None:
    assert commission_by(CommissionTerms(**terms), amount_minor) == expected


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        ({}, {"currency": "EUR"}),
        ({"currency": "EUR"}, {"currency": "EUR", "price_from_minor": 100}),
        ({"currency": "EUR", "price_from_minor": 100}, {"category_id": HOME}),
        ({"category_id": HOME}, {"category_id": CERAMICS}),
        ({"category_id": CERAMICS, "currency": "EUR"}, {"shop_id": SHOP}),
        ({"shop_id": SHOP, "currency": "EUR"}, {"shop_id": SHOP, "category_id": HOME}),
        ({"shop_id": SHOP, "category_id": CERAMICS}, {"product_id": VASE}),
        ({"product_id": VASE}, {"product_id": VASE, "currency": "EUR"}),
        ({"valid_from": NOW - 2 * DAY}, {"valid_from": NOW - DAY}),
        # Of two that differ in nothing, the one that was added later.
        ({}, {}),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_more_specific_rule_wins(
    weaker: dict[str, Any], stronger: dict[str, Any], *, turned: bool
) -> None:
    rules = [rule(2, **weaker), rule(3, **stronger)]
    found = ranked(rules[::-1] if turned else rules, ITEM, NOW)
    assert [one.id.int for one in found] == [3, 2]


@pytest.mark.parametrize(
    "conditions",
    [
        {"product_id": OTHER_THING},
        {"shop_id": OTHER_SHOP},
        {"category_id": SHOES},
        {"currency": "USD"},
        {"currency": "EUR", "price_from_minor": 5_001},
        {"currency": "EUR", "price_below_minor": 5_000},
        {"valid_from": NOW + DAY},
        {"valid_until": NOW},
    ],
)
def test_a_rule_that_does_not_fit_says_nothing(conditions: dict[str, Any]) -> None:
    said = line_commission([DEFAULT, rule(2, basis_points=0, **conditions)], ITEM, 10_000, NOW)
    assert (said.rule, said.commission_minor) == (DEFAULT, 1_000)


@pytest.mark.parametrize(
    "conditions",
    [
        {"currency": "EUR", "price_from_minor": 5_000, "price_below_minor": 5_001},
        {"valid_from": NOW, "valid_until": NOW + DAY},
    ],
)
def test_bounds_include_where_they_begin(conditions: dict[str, Any]) -> None:
    said = line_commission([DEFAULT, rule(2, basis_points=0, **conditions)], ITEM, 10_000, NOW)
    assert said.commission_minor == 0


def shadows(of: CommissionRule, *others: CommissionRule) -> ShadowWarning | None:
    return warn_of(of, [of, *others], GOODS, NOW)


def by(*numbers: int) -> ShadowWarning:
    return ShadowWarning(
        kind="shadowed", by=tuple(CommissionRuleId(UUID(int=number)) for number in numbers)
    )


def test_a_rule_is_shadowed_by_a_later_one_with_the_same_conditions() -> None:
    old, new = rule(2, shop_id=SHOP), rule(3, shop_id=SHOP, valid_from=NOW)
    assert shadows(old, new, DEFAULT) == by(3)
    assert shadows(new, old, DEFAULT) is None
    assert shadows(DEFAULT, old, new) is None


def test_a_rule_wins_before_the_later_one_begins_or_after_it_ends() -> None:
    old = rule(2, shop_id=SHOP)
    assert shadows(old, rule(3, shop_id=SHOP, valid_from=NOW + DAY)) is None
    assert shadows(old, rule(3, shop_id=SHOP, valid_from=NOW, valid_until=NOW + DAY)) is None
    short = rule(2, shop_id=SHOP, valid_until=NOW + DAY)
    assert shadows(short, rule(3, shop_id=SHOP, valid_from=NOW, valid_until=NOW + DAY)) == by(3)


def test_several_rules_shadow_one_together() -> None:
    eur = rule(2, currency="EUR")
    low = rule(3, currency="EUR", price_below_minor=1_000)
    high = rule(4, currency="EUR", price_from_minor=1_000)
    assert shadows(eur, low, high) == by(3, 4)
    assert shadows(eur, low, rule(4, currency="EUR", price_from_minor=1_001)) is None


def test_rules_on_every_category_below_shadow_those_above_only_where_nothing_else_is_sold() -> None:
    home = rule(2, category_id=HOME)
    assert shadows(home, rule(3, category_id=CERAMICS)) is None, "goods may be in HOME itself"
    late = rule(4, category_id=HOME, valid_from=NOW)
    assert shadows(home, rule(3, category_id=CERAMICS), late) == by(3, 4)


def test_a_product_rule_is_weighed_where_the_product_is() -> None:
    assert shadows(rule(2, product_id=VASE), rule(3, shop_id=SHOP)) is None
    late = rule(3, product_id=VASE, category_id=HOME)
    assert shadows(rule(2, product_id=VASE), late) == by(3)
    assert shadows(rule(2, product_id=VASE), rule(3, product_id=VASE, shop_id=SHOP)) == by(3)


@pytest.mark.parametrize(
    "conditions",
    [
        {"product_id": VASE, "shop_id": OTHER_SHOP},
        {"product_id": VASE, "category_id": SHOES},
        {"product_id": ProductId(UUID(int=99))},
        {"category_id": CategoryId(UUID(int=99))},
    ],
)
def test_conditions_that_exclude_each_other_are_said(conditions: dict[str, Any]) -> None:
    assert shadows(rule(2, **conditions), DEFAULT) == ShadowWarning(kind="fits_nothing")


def test_a_rule_that_is_over_needs_no_warning() -> None:
    assert shadows(rule(2, shop_id=SHOP, valid_until=NOW), rule(3, shop_id=SHOP)) is None


@given(data=st.data())
def test_no_rule_with_a_warning_ever_wins(data: st.DataObject) -> None:
    """Sampled: whatever is sold, wherever, at whatever price, then or later."""
    option = st.fixed_dictionaries(
        {
            "product_id": st.sampled_from([None, None, VASE, OTHER_THING]),
            "shop_id": st.sampled_from([None, SHOP, OTHER_SHOP]),
            "category_id": st.sampled_from([None, HOME, CERAMICS, SHOES]),
            "currency": st.sampled_from([None, "EUR", "JPY"]),
            "price_from_minor": st.sampled_from([None, 10, 20]),
            "price_below_minor": st.sampled_from([None, 30, 40]),
            "valid_from": st.sampled_from([NOW - DAY, NOW, NOW + DAY]),
            "valid_until": st.sampled_from([None, NOW + 2 * DAY]),
        }
    )
    chosen = data.draw(st.lists(option, min_size=1, max_size=6))
    rules = [DEFAULT, *(rule(number, **one) for number, one in enumerate(chosen, start=2))]
    hopeless = {one.id for one in rules if warn_of(one, rules, GOODS, NOW) is not None}
    for _ in range(20):
        product = data.draw(st.sampled_from([VASE, OTHER_THING]))
        shop, way = GOODS.products[product]
        item = CommissionItem(
            product_id=product,
            shop_id=shop,
            categories=way,
            currency=data.draw(st.sampled_from(["EUR", "JPY", "USD"])),
            unit_price_minor=data.draw(st.integers(0, 50)),
        )
        at = data.draw(st.sampled_from([NOW, NOW + DAY, NOW + 3 * DAY]))
        assert line_commission(rules, item, 100, at).rule.id not in hopeless
