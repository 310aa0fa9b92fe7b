"""The market's share of a sale, and which rule says how much.

A rule has conditions (product, shop, category with all below it, currency, price of one unit) and terms (percent,
fixed, at least, at most). Of all rules that fit a line the most specific one wins, alone:

    product > shop > category, the nearest > price band > currency > the later `valid_from` > the later id

The first difference decides: a rule for a shop beats one for a category, whatever else the latter names; one for the
shop and the category beats both. A rule without conditions is the market's default; there always is one.

A line's commission is frozen when the order is placed; how much of it a refund gives back is `Sale.part`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec

from feira.platform.domain.ids import CategoryId, CommissionRuleId, ProductId, ShopId
from feira.platform.domain.money import share


class CommissionTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Of a line: `basis_points` of what is paid for it, plus `fixed_minor`, within `min_minor` and `max_minor`.

    Amounts are in the rule's currency; a rule that applies to every currency has none.
    """

    basis_points: int
    fixed_minor: int = 0
    min_minor: int | None = None
    max_minor: int | None = None


class CommissionRule(CommissionTerms, frozen=True, kw_only=True):
    """Conditions that are null fit everything. Bands are `from <= price < below`, validity `from <= now < until`."""

    id: CommissionRuleId
    label: str = ""
    product_id: ProductId | None = None
    shop_id: ShopId | None = None
    category_id: CategoryId | None = None
    currency: str | None = None
    price_from_minor: int | None = None
    price_below_minor: int | None = None
    valid_from: datetime
    valid_until: datetime | None = None

    @property
    def is_default(self) -> bool:
        """Whether it fits everything."""
        return not any(
            condition is not None
            for condition in (
                self.product_id,
                self.shop_id,
                self.category_id,
                self.currency,
                self.price_from_minor,
                self.price_below_minor,
            )
        )

    def is_valid(self, at: datetime) -> bool:
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)


class CommissionItem(msgspec.Struct, frozen=True, kw_only=True):
    """What rules look at. `categories` are the product's own and those above it, the nearest first."""

    product_id: ProductId
    shop_id: ShopId
    categories: tuple[CategoryId, ...]
    currency: str
    unit_price_minor: int


class LineCommission(NamedTuple):
    """What an order line freezes."""

    rule: CommissionRule
    commission_minor: int


class _Rank(NamedTuple):
    product: bool
    shop: bool
    nearness: int
    band: bool
    currency: bool
    valid_from: datetime
    id: CommissionRuleId


def fits(rule: CommissionRule, item: CommissionItem, at: datetime) -> bool:
    """Whether a rule says anything about an item at this moment."""
    return (
        rule.is_valid(at)
        and rule.product_id in {None, item.product_id}
        and rule.shop_id in {None, item.shop_id}
        and (rule.category_id is None or rule.category_id in item.categories)
        and rule.currency in {None, item.currency}
        and (rule.price_from_minor is None or rule.price_from_minor <= item.unit_price_minor)
        and (rule.price_below_minor is None or item.unit_price_minor < rule.price_below_minor)
    )


def ranked(
    rules: Iterable[CommissionRule], item: CommissionItem, at: datetime
) -> list[CommissionRule]:
    """The rules that fit an item, the one that wins first."""
    return sorted(
        (rule for rule in rules if fits(rule, item, at)),
        key=lambda rule: _rank(rule, item),
        reverse=True,
    )


def line_commission(
    rules: Iterable[CommissionRule], item: CommissionItem, amount_minor: int, at: datetime
) -> LineCommission:
    """What the market takes of a line for which `amount_minor` is paid, and the rule that says so."""
    fitting = ranked(rules, item, at)
    assert fitting, "there always is a default"
    return LineCommission(fitting[0], commission_by(fitting[0], amount_minor))


def commission_by(terms: CommissionTerms, amount_minor: int) -> int:
    """Commission on an amount: the percentage rounded half-up, then the bounds; never more than the amount."""
    assert amount_minor >= 0, "commission is taken on sales"
    commission = share(amount_minor, terms.basis_points) + terms.fixed_minor
    if terms.min_minor is not None:
        commission = max(commission, terms.min_minor)
    if terms.max_minor is not None:
        commission = min(commission, terms.max_minor)
    return min(commission, amount_minor)


def _rank(rule: CommissionRule, item: CommissionItem) -> _Rank:
    return _Rank(
        product=rule.product_id is not None,
        shop=rule.shop_id is not None,
        # Zero is the product's own category; no category is further away than any.
        nearness=-item.categories.index(rule.category_id)
        if rule.category_id is not None
        else -len(item.categories) - 1,
        band=rule.price_from_minor is not None or rule.price_below_minor is not None,
        currency=rule.currency is not None,
        valid_from=rule.valid_from,
        id=rule.id,
    )
