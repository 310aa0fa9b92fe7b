"""What a basket costs: one order for each shop, every share exact to the minor unit.

    lines -> the shop's promotions -> the market's promotions -> delivery of each shop -> tax of each shop -> totals

Whatever belongs to several lines or shops is split by largest remainder: the parts always add up, in currencies
with two minor digits as in those with none (JPY) or three (KWD). Frozen on the order, none of it changes later.

    buyer pays     total = items - discount + shipping + tax on top
    shop receives  total + subsidy - commission, the subsidy being the discounts that the market pays for
    commission     on each line after the shop's own discounts; neither on delivery nor on tax on top of prices
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from feira.platform.domain.commission import LineCommission
from feira.platform.domain.ids import CommissionRuleId, ProductId, PromotionId, ShopId, VariantId
from feira.platform.domain.promotions import (
    PromotedLine,
    Promotion,
    Refusal,
    Saving,
    combinations,
    off_lines,
    off_shipping,
    why_not,
)
from feira.platform.domain.shipping import Destination, Parcel, ShippingRate
from feira.platform.domain.taxes import UNTAXED, LineTax, Taxable, Taxes, TaxMode, TaxRequest

ShippingProblem = Literal["no_method_reaches", "unknown_method"]


class BasketLine(msgspec.Struct, frozen=True, kw_only=True):
    """So many units of a variant at its present price. `categories` are slugs, the nearest first."""

    variant_id: VariantId
    product_id: ProductId
    shop_id: ShopId
    quantity: int
    unit_price_minor: int
    categories: tuple[str, ...] = ()
    weight_g: int = 0

    @property
    def total_minor(self) -> int:
        return self.unit_price_minor * self.quantity


class PricingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """All that prices depend on beside the basket.

    `commission` says what the market takes of a line for which the shop gets an amount. `ships` gives the ways to send a parcel: None where the shop asks nothing for delivery and knows no methods, empty
    where none of its methods goes there. Without a destination nothing is asked and delivery and tax are open.
    """

    currency: str
    now: datetime
    commission: Callable[[BasketLine, int], LineCommission]
    destination: Destination | None = None
    promotions: tuple[Promotion, ...] = ()
    chosen_methods: Mapping[ShopId, str] = {}
    tax_modes: Mapping[ShopId, TaxMode] = {}
    ships: Callable[[Parcel], tuple[ShippingRate, ...] | None] = lambda _parcel: None
    taxes: Callable[[TaxRequest], Taxes] = lambda request: Taxes(
        lines=(UNTAXED,) * len(request.lines), shipping=UNTAXED
    )


class LinePrice(msgspec.Struct, frozen=True, kw_only=True):
    """`total_minor` is before discounts; `subsidy_minor` is the part of `discount_minor` that the market pays.

    `tax` is inside what is paid where the shop's prices include it, else on top.
    """

    variant_id: VariantId
    quantity: int
    unit_price_minor: int
    total_minor: int
    discount_minor: int
    subsidy_minor: int
    tax: LineTax
    commission_rule_id: CommissionRuleId | None
    tax_on_top: bool
    commission_basis_points: int
    commission_minor: int

    @property
    def paid_minor(self) -> int:
        """What the buyer pays for the line, and gets for giving it back."""
        on_top = self.tax.tax_minor if self.tax_on_top else 0
        return self.total_minor - self.discount_minor + on_top


class OrderDiscount(msgspec.Struct, frozen=True, kw_only=True):
    """What one promotion takes off one order, `shipping_minor` of it off its delivery."""

    promotion: Promotion
    amount_minor: int
    shipping_minor: int


class OrderPrice(msgspec.Struct, frozen=True, kw_only=True):
    """One shop's part: `total_minor = items + shipping + tax - discount`.

    `tax_minor` is on top of the prices, `tax_included_minor` inside them. `methods` are the ways to send it, null
    where the shop has none and asks nothing.
    """

    shop_id: ShopId
    lines: tuple[LinePrice, ...]
    discounts: tuple[OrderDiscount, ...]
    methods: tuple[ShippingRate, ...] | None
    method: ShippingRate | None
    shipping_problem: ShippingProblem | None
    shipping_tax: LineTax
    items_minor: int
    shipping_minor: int
    tax_minor: int
    tax_included_minor: int
    discount_minor: int
    subsidy_minor: int
    total_minor: int
    commission_minor: int


class GroupPrice(msgspec.Struct, frozen=True, kw_only=True):
    """Orders in the order in which their shops first appear in the basket; why promotions do not apply, by id."""

    orders: tuple[OrderPrice, ...]
    total_minor: int
    refused: dict[PromotionId, Refusal]


class _Sent(msgspec.Struct, frozen=True, kw_only=True):
    """How one shop's part goes. `price_minor` is before free delivery."""

    methods: tuple[ShippingRate, ...] | None = None
    method: ShippingRate | None = None
    problem: ShippingProblem | None = None

    @property
    def price_minor(self) -> int:
        return 0 if self.method is None else self.method.price_minor


def price_group(basket: Sequence[BasketLine], terms: PricingTerms) -> GroupPrice:
    """Price a basket of one currency."""
    assert basket, "a checkout has lines"
    by_shop: dict[ShopId, list[BasketLine]] = {}
    for line in basket:
        by_shop.setdefault(line.shop_id, []).append(line)
    # Shop by shop from here on, so that a line's place is the same everywhere.
    lines = [line for of_shop in by_shop.values() for line in of_shop]
    refused: dict[PromotionId, Refusal] = {}
    savings: list[Saving] = []
    sent: dict[ShopId, _Sent] = {}
    for shop_id in by_shop:
        own = [promotion for promotion in terms.promotions if promotion.shop_id == shop_id]
        saved, sent[shop_id] = _of_shop(shop_id, lines, own, terms, refused)
        savings += saved
    savings += _of_market(lines, savings, sent, terms, refused)
    orders = [_price_order(shop_id, lines, savings, sent[shop_id], terms) for shop_id in by_shop]
    for promotion in terms.promotions:
        if promotion.shop_id is not None and promotion.shop_id not in by_shop:
            refused[promotion.id] = "nothing_fits"
    return GroupPrice(
        orders=tuple(orders),
        total_minor=sum(order.total_minor for order in orders),
        refused=refused,
    )


def _of_shop(
    shop_id: ShopId,
    lines: Sequence[BasketLine],
    own: Sequence[Promotion],
    terms: PricingTerms,
    refused: dict[PromotionId, Refusal],
) -> tuple[list[Saving], _Sent]:
    """Choose a shop's promotions and how it sends."""
    promoted = _promoted(lines, [])

    def use(chosen: Sequence[Promotion]) -> tuple[list[Saving], _Sent]:
        taken = off_lines(chosen, promoted)
        discount = sum(sum(parts) for _, parts in taken)
        sent = _send(shop_id, lines, discount, terms)
        paid = off_shipping(chosen, promoted, {shop_id: sent.price_minor})
        return _savings(taken, paid), sent

    options = [use(chosen) for chosen in combinations(_applicable(own, promoted, terms, refused))]
    best = max(options, key=lambda option: _saved(option[0]))
    _refuse_rest(own, best[0], refused)
    return best


def _of_market(
    lines: Sequence[BasketLine],
    savings: Sequence[Saving],
    sent: Mapping[ShopId, _Sent],
    terms: PricingTerms,
    refused: dict[PromotionId, Refusal],
) -> list[Saving]:
    """Choose the market's promotions, on what the shops' left."""
    of_market = [promotion for promotion in terms.promotions if promotion.shop_id is None]
    promoted = _promoted(lines, savings)
    left = {
        shop: one.price_minor - sum(saving.shipping.get(shop, 0) for saving in savings)
        for shop, one in sent.items()
    }
    options = [
        _savings(off_lines(chosen, promoted), off_shipping(chosen, promoted, left))
        for chosen in combinations(_applicable(of_market, promoted, terms, refused))
    ]
    best = max(options, key=_saved)
    _refuse_rest(of_market, best, refused)
    return best


def _applicable(
    promotions: Sequence[Promotion],
    lines: Sequence[PromotedLine],
    terms: PricingTerms,
    refused: dict[PromotionId, Refusal],
) -> list[Promotion]:
    applicable: list[Promotion] = []
    for promotion in promotions:
        reason = why_not(promotion, lines, currency=terms.currency, now=terms.now)
        if reason is None:
            applicable.append(promotion)
        else:
            refused[promotion.id] = reason
    return applicable


def _refuse_rest(
    promotions: Sequence[Promotion],
    used: Sequence[Saving],
    refused: dict[PromotionId, Refusal],
) -> None:
    in_use = {saving.promotion.id for saving in used}
    alone = any(not saving.promotion.stackable for saving in used)
    for promotion in promotions:
        if promotion.id not in in_use and promotion.id not in refused:
            lost = alone or not promotion.stackable
            refused[promotion.id] = "not_combinable" if lost and in_use else "nothing_to_save"


def _savings(
    taken: Sequence[tuple[Promotion, tuple[int, ...]]],
    paid: Mapping[PromotionId, dict[ShopId, int]],
) -> list[Saving]:
    """Those that save anything."""
    savings = [
        Saving(promotion=promotion, lines=parts, shipping=paid.get(promotion.id, {}))
        for promotion, parts in taken
    ]
    return [saving for saving in savings if saving.total_minor > 0]


def _saved(savings: Sequence[Saving]) -> int:
    return sum(saving.total_minor for saving in savings)


def _promoted(lines: Sequence[BasketLine], savings: Sequence[Saving]) -> list[PromotedLine]:
    return [
        PromotedLine(
            shop_id=line.shop_id,
            product_id=line.product_id,
            categories=line.categories,
            left_minor=line.total_minor - sum(saving.lines[place] for saving in savings),
        )
        for place, line in enumerate(lines)
    ]


def _send(
    shop_id: ShopId, lines: Sequence[BasketLine], discount_minor: int, terms: PricingTerms
) -> _Sent:
    """Ask for a shop's methods and take the chosen one, or the cheapest."""
    if terms.destination is None:
        return _Sent()
    own = [line for line in lines if line.shop_id == shop_id]
    methods = terms.ships(
        Parcel(
            shop_id=shop_id,
            currency=terms.currency,
            destination=terms.destination,
            weight_g=sum(line.weight_g * line.quantity for line in own),
            units=sum(line.quantity for line in own),
            goods_minor=sum(line.total_minor for line in own) - discount_minor,
        )
    )
    chosen = terms.chosen_methods.get(shop_id)
    if methods is None:
        return _Sent(problem=None if chosen is None else "unknown_method")
    if not methods:
        return _Sent(methods=methods, problem="no_method_reaches")
    if chosen is None:
        return _Sent(methods=methods, method=min(methods, key=lambda method: method.price_minor))
    found = next((method for method in methods if method.method_id == chosen), None)
    return _Sent(methods=methods, method=found, problem=None if found else "unknown_method")


def _price_order(
    shop_id: ShopId,
    lines: Sequence[BasketLine],
    savings: Sequence[Saving],
    sent: _Sent,
    terms: PricingTerms,
) -> OrderPrice:
    places = [place for place, line in enumerate(lines) if line.shop_id == shop_id]
    own = [lines[place] for place in places]
    discounts = _discounts(shop_id, places, savings)
    by_shop = _taken(places, [saving for saving in savings if saving.promotion.shop_id is not None])
    by_market = _taken(places, [saving for saving in savings if saving.promotion.shop_id is None])
    shipping_by_shop = sum(
        discount.shipping_minor for discount in discounts if discount.promotion.shop_id is not None
    )
    # What the shop gets for each line.
    bases = [line.total_minor - off for line, off in zip(own, by_shop, strict=True)]
    taxes = _taxes(shop_id, own, bases, sent.price_minor - shipping_by_shop, terms)
    commissions = [terms.commission(line, base) for line, base in zip(own, bases, strict=True)]
    is_on_top = terms.tax_modes.get(shop_id) == "exclusive"
    priced = tuple(
        LinePrice(
            variant_id=line.variant_id,
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
            total_minor=line.total_minor,
            discount_minor=off + subsidy,
            subsidy_minor=subsidy,
            tax=tax,
            tax_on_top=is_on_top,
            commission_rule_id=commission.rule.id,
            commission_basis_points=commission.rule.basis_points,
            commission_minor=commission.commission_minor,
        )
        for line, off, subsidy, commission, tax in zip(
            own, by_shop, by_market, commissions, taxes.lines, strict=True
        )
    )
    items_minor = sum(line.total_minor for line in own)
    discount_minor = sum(discount.amount_minor for discount in discounts)
    on_top = taxes.total_minor if is_on_top else 0
    return OrderPrice(
        shop_id=shop_id,
        lines=priced,
        discounts=discounts,
        methods=sent.methods,
        method=sent.method,
        shipping_problem=sent.problem,
        shipping_tax=taxes.shipping,
        items_minor=items_minor,
        shipping_minor=sent.price_minor,
        tax_minor=on_top,
        tax_included_minor=taxes.total_minor - on_top,
        discount_minor=discount_minor,
        subsidy_minor=sum(
            discount.amount_minor for discount in discounts if discount.promotion.shop_id is None
        ),
        total_minor=items_minor + sent.price_minor + on_top - discount_minor,
        commission_minor=sum(line.commission_minor for line in priced),
    )


def _discounts(
    shop_id: ShopId, places: Sequence[int], savings: Sequence[Saving]
) -> tuple[OrderDiscount, ...]:
    discounts = (
        OrderDiscount(
            promotion=saving.promotion,
            amount_minor=sum(saving.lines[place] for place in places)
            + saving.shipping.get(shop_id, 0),
            shipping_minor=saving.shipping.get(shop_id, 0),
        )
        for saving in savings
    )
    return tuple(discount for discount in discounts if discount.amount_minor > 0)


def _taken(places: Sequence[int], savings: Sequence[Saving]) -> list[int]:
    return [sum(saving.lines[place] for saving in savings) for place in places]


def _taxes(
    shop_id: ShopId,
    lines: Sequence[BasketLine],
    bases: Sequence[int],
    shipping_minor: int,
    terms: PricingTerms,
) -> Taxes:
    mode = terms.tax_modes.get(shop_id)
    if mode is None or terms.destination is None:
        return Taxes(lines=(UNTAXED,) * len(lines), shipping=UNTAXED)
    return terms.taxes(
        TaxRequest(
            shop_id=shop_id,
            currency=terms.currency,
            mode=mode,
            destination=terms.destination,
            lines=tuple(
                Taxable(categories=line.categories, amount_minor=base)
                for line, base in zip(lines, bases, strict=True)
            ),
            shipping_minor=shipping_minor,
        )
    )
