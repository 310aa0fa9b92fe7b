"""Commission rules that can never win, found before anybody wonders why they do not.

Rules cut what may be sold into cells within which nothing changes: the moments at which one begins or ends, the
currencies and prices that one names, the categories below one's own. A rule that wins in none of the cells in which
it fits is shadowed, be it by one other rule or by several together. Products and shops that no rule names are a
rule's best chance: whatever fits them fits all others as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import product
from typing import Final, Literal
from uuid import UUID

import msgspec

from feira.platform.domain.commission import CommissionItem, CommissionRule, ranked
from feira.platform.domain.ids import CategoryId, CommissionRuleId, ProductId, ShopId
from feira.platform.domain.money import MINOR_DIGITS

# No rule names them.
_SOME_SHOP: Final = ShopId(UUID(int=0))
_SOME_PRODUCT: Final = ProductId(UUID(int=0))


class Goods(msgspec.Struct, frozen=True, kw_only=True):
    """What rules may name, as it is: each category's way up (itself first), and products' shops and ways up."""

    categories: Mapping[CategoryId, tuple[CategoryId, ...]]
    products: Mapping[ProductId, tuple[ShopId, tuple[CategoryId, ...]]]


class ShadowWarning(msgspec.Struct, frozen=True, kw_only=True):
    """`shadowed`: these other rules win wherever it fits. `fits_nothing`: its conditions exclude each other."""

    kind: Literal["shadowed", "fits_nothing"]
    by: tuple[CommissionRuleId, ...] = ()


def warn_of(
    rule: CommissionRule, rules: Sequence[CommissionRule], goods: Goods, now: datetime
) -> ShadowWarning | None:
    """Why a rule can never win from now on; None where it can, or is over."""
    if rule.valid_until is not None and rule.valid_until <= now:
        return None
    rivals = [other for other in rules if other.id != rule.id and _may_meet(rule, other)]
    winners: set[CommissionRuleId] = set()
    for at, item in _cells(rule, rivals, goods, now):
        best = ranked([rule, *rivals], item, at)
        if not best or rule not in best:
            continue
        if best[0].id == rule.id:
            return None
        winners.add(best[0].id)
    if not winners:
        return ShadowWarning(kind="fits_nothing")
    return ShadowWarning(kind="shadowed", by=tuple(sorted(winners)))


def _may_meet(rule: CommissionRule, other: CommissionRule) -> bool:
    """Whether another rule could ever fit what this one fits in its best case."""
    return (
        other.product_id in {None, rule.product_id}
        and (other.shop_id in {None, rule.shop_id} or rule.product_id is not None)
        and (other.currency is None or rule.currency in {None, other.currency})
    )


def _cells(
    rule: CommissionRule, rivals: Sequence[CommissionRule], goods: Goods, now: datetime
) -> Iterator[tuple[datetime, CommissionItem]]:
    for at, currency, price, (shop, categories) in product(
        _moments(rule, rivals, now),
        _currencies(rule, rivals),
        _prices(rule, rivals),
        _places(rule, goods),
    ):
        yield (
            at,
            CommissionItem(
                product_id=rule.product_id or _SOME_PRODUCT,
                shop_id=shop,
                categories=categories,
                currency=currency,
                unit_price_minor=price,
            ),
        )


def _moments(
    rule: CommissionRule, rivals: Iterable[CommissionRule], now: datetime
) -> set[datetime]:
    changes = {rule.valid_from, now}
    for other in rivals:
        changes |= {other.valid_from, other.valid_until or now}
    return {at for at in changes if at >= now and rule.is_valid(at)}


def _currencies(rule: CommissionRule, rivals: Iterable[CommissionRule]) -> set[str]:
    if rule.currency is not None:
        return {rule.currency}
    named = {other.currency for other in rivals if other.currency is not None}
    # All that nobody names are alike.
    unnamed = next((code for code in MINOR_DIGITS if code not in named), None)
    return named | ({unnamed} if unnamed else set())


def _prices(rule: CommissionRule, rivals: Iterable[CommissionRule]) -> set[int]:
    lowest = rule.price_from_minor or 0
    changes = {lowest}
    for other in rivals:
        changes |= {
            price
            for price in (other.price_from_minor, other.price_below_minor)
            if price is not None
        }
    below = rule.price_below_minor
    return {price for price in changes if price >= lowest and (below is None or price < below)}


def _places(rule: CommissionRule, goods: Goods) -> list[tuple[ShopId, tuple[CategoryId, ...]]]:
    if rule.product_id is not None:
        # A product that is not there any more is sold by nobody.
        own = goods.products.get(rule.product_id)
        return [] if own is None else [own]
    shop = rule.shop_id or _SOME_SHOP
    if rule.category_id is None:
        return [(shop, ())]
    return [(shop, way) for way in goods.categories.values() if rule.category_id in way]
