"""What a basket costs: one order for each shop, every share exact to the minor unit.

An amount that belongs to the whole checkout (a voucher, a delivery paid once) is split over the orders by the
value of their items, and an order's share over its lines, both by largest remainder: the parts always add up,
in currencies with two minor digits as in those with none (JPY) or three (KWD).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from feira.platform.domain.commission import commission_on
from feira.platform.domain.ids import ShopId, VariantId
from feira.platform.domain.money import allocate


class BasketLine(msgspec.Struct, frozen=True, kw_only=True):
    """So many units of a variant at its present price."""

    variant_id: VariantId
    shop_id: ShopId
    quantity: int
    unit_price_minor: int


class LinePrice(msgspec.Struct, frozen=True, kw_only=True):
    """`total_minor` is before the discount; the commission is on what is paid for the line."""

    variant_id: VariantId
    quantity: int
    unit_price_minor: int
    total_minor: int
    discount_minor: int
    commission_basis_points: int
    commission_minor: int


class OrderPrice(msgspec.Struct, frozen=True, kw_only=True):
    """One shop's part: `total_minor = items + shipping + tax - discount`."""

    shop_id: ShopId
    lines: tuple[LinePrice, ...]
    items_minor: int
    shipping_minor: int
    tax_minor: int
    discount_minor: int
    total_minor: int
    commission_minor: int


class GroupPrice(msgspec.Struct, frozen=True, kw_only=True):
    """Orders in the order in which their shops first appear in the basket."""

    orders: tuple[OrderPrice, ...]
    total_minor: int


def price_group(
    basket: Sequence[BasketLine],
    *,
    commission_basis_points: int,
    discount_minor: int = 0,
    shipping_minor: int = 0,
    tax_minor: int = 0,
) -> GroupPrice:
    """Price a basket of one currency. The three amounts are those of the whole checkout.

    A discount never exceeds the items: more of it is not used.
    """
    assert basket, "a checkout has lines"
    by_shop: dict[ShopId, list[BasketLine]] = {}
    for line in basket:
        by_shop.setdefault(line.shop_id, []).append(line)
    items = [sum(_total(line) for line in lines) for lines in by_shop.values()]
    shares = zip(
        by_shop.items(),
        allocate(min(discount_minor, sum(items)), items),
        allocate(shipping_minor, items),
        allocate(tax_minor, items),
        strict=True,
    )
    orders = tuple(
        _price_order(
            shop_id,
            lines,
            commission_basis_points=commission_basis_points,
            discount_minor=discount,
            shipping_minor=shipping,
            tax_minor=tax,
        )
        for (shop_id, lines), discount, shipping, tax in shares
    )
    return GroupPrice(orders=orders, total_minor=sum(order.total_minor for order in orders))


def _price_order(
    shop_id: ShopId,
    lines: Sequence[BasketLine],
    *,
    commission_basis_points: int,
    discount_minor: int,
    shipping_minor: int,
    tax_minor: int,
) -> OrderPrice:
    totals = [_total(line) for line in lines]
    priced = tuple(
        LinePrice(
            variant_id=line.variant_id,
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
            total_minor=total,
            discount_minor=discount,
            commission_basis_points=commission_basis_points,
            commission_minor=commission_on(total - discount, commission_basis_points),
        )
        for line, total, discount in zip(
            lines, totals, allocate(discount_minor, totals), strict=True
        )
    )
    items_minor = sum(totals)
    return OrderPrice(
        shop_id=shop_id,
        lines=priced,
        items_minor=items_minor,
        shipping_minor=shipping_minor,
        tax_minor=tax_minor,
        discount_minor=discount_minor,
        total_minor=items_minor + shipping_minor + tax_minor - discount_minor,
        commission_minor=sum(line.commission_minor for line in priced),
    )


def _total(line: BasketLine) -> int:
    return line.unit_price_minor * line.quantity
