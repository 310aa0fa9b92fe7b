"""Promotions: what they take off a basket, when they apply, and why they do not.

A shop pays for its own promotions: they lower its price. The market pays for its: the shop gets the difference.
Each of the two combines its stackable promotions, or uses a single one that is not, whichever saves the buyer more;
the shop's and the market's always combine. Within a combination percentages come first, then fixed amounts, each on
what the ones before it left; free delivery comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.ids import ProductId, PromotionId, ShopId
from feira.platform.domain.money import allocate, share

PromotionKind = Literal["percent", "fixed", "free_shipping"]
Funder = Literal["shop", "market"]
PromotionCode = Annotated[
    str, Meta(min_length=3, max_length=40, pattern=r"^[A-Z0-9][A-Z0-9_-]*(?![\s\S])")
]
Refusal = Literal[
    "unknown",
    "inactive",
    "not_started",
    "ended",
    "used_up",
    "used_by_you",
    "other_currency",
    "nothing_fits",
    "below_minimum",
    "nothing_to_save",
    "not_combinable",
]

REFUSALS: Final[dict[Refusal, str]] = {
    "unknown": "There is no such code; check how it is written.",
    "inactive": "This code is switched off.",
    "not_started": "This code is not valid yet.",
    "ended": "This code is not valid any more.",
    "used_up": "This code was used as often as it may be.",
    "used_by_you": "You have used this code as often as one person may.",
    "other_currency": "This code is for another currency.",
    "nothing_fits": "Nothing in this basket goes with this code.",
    "below_minimum": "The basket is below what this code asks for.",
    "nothing_to_save": "There is nothing left that this code could take off.",
    "not_combinable": "This code does not combine with the discounts that save you more.",
}


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """`shop_id` is null for the market's. No `code`: it applies by itself.

    It counts what is of its `products`, `categories` (and what is below them) and `shops`; an empty set leaves that
    open. `uses_left` and `uses_left_for_you` are null where nothing limits them.
    """

    id: PromotionId
    shop_id: ShopId | None
    code: str | None
    name: str
    kind: PromotionKind
    basis_points: int = 0
    amount_minor: int = 0
    cap_minor: int | None = None
    currency: str | None = None
    minimum_minor: int = 0
    products: frozenset[ProductId] = frozenset()
    categories: frozenset[str] = frozenset()
    shops: frozenset[ShopId] = frozenset()
    stackable: bool = True
    active: bool = True
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    uses_left: int | None = None
    uses_left_for_you: int | None = None

    @property
    def funded_by(self) -> Funder:
        return "market" if self.shop_id is None else "shop"


class PromotedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as promotions see it. `left_minor` is what earlier discounts left of it."""

    shop_id: ShopId
    product_id: ProductId
    categories: tuple[str, ...]
    left_minor: int


class Saving(msgspec.Struct, frozen=True, kw_only=True):
    """What one promotion takes off each line, and off each shop's delivery."""

    promotion: Promotion
    lines: tuple[int, ...]
    shipping: dict[ShopId, int]

    @property
    def total_minor(self) -> int:
        return sum(self.lines) + sum(self.shipping.values())


def why_not(
    promotion: Promotion, lines: Sequence[PromotedLine], *, currency: str, now: datetime
) -> Refusal | None:
    """Say why a promotion does not apply to a basket, whatever else does; None where it does."""
    if not promotion.active:
        return "inactive"
    if promotion.starts_at is not None and now < promotion.starts_at:
        return "not_started"
    if promotion.ends_at is not None and now >= promotion.ends_at:
        return "ended"
    if promotion.uses_left is not None and promotion.uses_left <= 0:
        return "used_up"
    if promotion.uses_left_for_you is not None and promotion.uses_left_for_you <= 0:
        return "used_by_you"
    if promotion.currency not in {None, currency}:
        return "other_currency"
    fitting = [line.left_minor for line in lines if fits(promotion, line)]
    if not fitting:
        return "nothing_fits"
    if sum(fitting) < promotion.minimum_minor:
        return "below_minimum"
    return None


def fits(promotion: Promotion, line: PromotedLine) -> bool:
    """Whether a promotion counts this line."""
    return (
        promotion.shop_id in {None, line.shop_id}
        and (not promotion.shops or line.shop_id in promotion.shops)
        and (not promotion.products or line.product_id in promotion.products)
        and (not promotion.categories or not promotion.categories.isdisjoint(line.categories))
    )


def combinations(promotions: Sequence[Promotion]) -> list[tuple[Promotion, ...]]:
    """What one payer's promotions can be used as: all that stack, or one that does not. Ordered, never empty."""
    ordered = sorted(promotions, key=lambda promotion: (_ORDER[promotion.kind], promotion.id))
    stacked = tuple(promotion for promotion in ordered if promotion.stackable)
    return [stacked, *((promotion,) for promotion in ordered if not promotion.stackable)]


def off_lines(
    promotions: Sequence[Promotion], lines: Sequence[PromotedLine]
) -> list[tuple[Promotion, tuple[int, ...]]]:
    """Take a combination off the lines, one promotion after the other; free delivery takes nothing here."""
    left = [line.left_minor for line in lines]
    taken: list[tuple[Promotion, tuple[int, ...]]] = []
    for promotion in promotions:
        weights = [
            amount if fits(promotion, line) else 0 for line, amount in zip(lines, left, strict=True)
        ]
        whole = _off(promotion, sum(weights))
        parts = allocate(whole, weights) if whole else [0] * len(left)
        left = [amount - part for amount, part in zip(left, parts, strict=True)]
        taken.append((promotion, tuple(parts)))
    return taken


def off_shipping(
    promotions: Sequence[Promotion],
    lines: Sequence[PromotedLine],
    shipping_left: dict[ShopId, int],
) -> dict[PromotionId, dict[ShopId, int]]:
    """Which shops' delivery each promotion of a combination pays; the first to come pays it."""
    left = dict(shipping_left)
    paid: dict[PromotionId, dict[ShopId, int]] = {}
    for promotion in promotions:
        if promotion.kind != "free_shipping":
            continue
        shops = {line.shop_id for line in lines if fits(promotion, line)}
        paid[promotion.id] = {shop: left[shop] for shop in left if shop in shops and left[shop] > 0}
        for shop in paid[promotion.id]:
            left[shop] = 0
    return paid


_ORDER: Final[dict[PromotionKind, int]] = {"percent": 0, "fixed": 1, "free_shipping": 2}


def _off(promotion: Promotion, amount_minor: int) -> int:
    match promotion.kind:
        case "percent":
            off = share(amount_minor, promotion.basis_points)
        case "fixed":
            off = promotion.amount_minor
        case "free_shipping":
            off = 0
    if promotion.cap_minor is not None:
        off = min(off, promotion.cap_minor)
    return min(off, amount_minor)
