"""Checkout: a cart becomes one group, one order for each shop, one payment for all, and held stock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from feira.platform.domain.checkout import BasketLine, GroupPrice, OrderPrice, price_group
from feira.platform.domain.errors import Conflict, NotFound, Rejected
from feira.platform.domain.ids import AddressId, OrderGroupId, OrderId, PaymentId, UserId, VariantId
from feira.platform.domain.money import format_money
from feira.platform.domain.order_events import OrderCreated
from feira.platform.domain.order_state import Deadline
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.topics import order_topic
from feira.platform.runtime.config import Config
from feira.services.orders.carts import (
    OwnLineRow,
    load_variants,
    lock_user_lines,
    merge_guest_cart,
    take_out,
)
from feira.services.orders.rows import SQL
from feira.services.orders.views import ShippingAddress
from feira.services.payments.commission import platform_basis_points
from feira.services.payments.payments import open_payment
from feira.services.products.catalogue import SellableVariant
from feira.services.products.stock import Hold, reserve
from feira.sql.database import Tx
from feira.sql.loader import fetch_one


class CheckOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Buy what is in the cart. `currency` picks the lines of one where the cart holds several.

    `expected_total_minor` is what the buyer agreed to pay: the cart's total of that currency.
    """

    address_id: AddressId
    expected_total_minor: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None


class CheckedOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkout made."""

    group_id: OrderGroupId
    payment_id: PaymentId


class _Item(msgspec.Struct, frozen=True, kw_only=True):
    line: OwnLineRow
    variant: SellableVariant


class _OpenedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The orders stand as their shops were given."""

    group_id: OrderGroupId
    order_ids: list[OrderId]


async def check_out(
    tx: Tx,
    config: Config,
    principal: Principal,
    wanted: CheckOut,
    *,
    guest_token: str | None = None,
) -> CheckedOut:
    """Turn the caller's cart into orders that wait for their money, all or nothing.

    Raises:
        NotAllowed: `auth.email_unverified`.
        NotFound: `address.not_found`.
        Rejected: `checkout.empty_cart`, `checkout.mixed_currencies`, `checkout.not_sellable`,
            `checkout.nothing_to_pay`, `stock.insufficient`; `details` name the lines.
        Conflict: `checkout.price_changed`, `checkout.total_changed`; `details` give the present total.
    """
    require("order.place", principal)
    if guest_token is not None:
        await merge_guest_cart(tx, principal.user_id, guest_token)
    address = await fetch_one(
        tx.con, SQL["read_address"], ShippingAddress, wanted.address_id, principal.user_id
    )
    if address is None:
        raise NotFound(
            "address.not_found",
            "You have no such address; choose one of yours.",
            field="$.address_id",
        )
    # Two checkouts of one cart take turns: the second finds it empty.
    lines = await lock_user_lines(tx, principal.user_id)
    items = _choose(lines, await load_variants(tx.con, [line.variant_id for line in lines]), wanted)
    price = price_group(
        [_basket_line(item) for item in items],
        commission_basis_points=await platform_basis_points(tx.con),
    )
    currency = items[0].variant.currency
    _require_agreed(items, price, wanted, currency)
    checked_out = await _open_group(
        tx, config, principal.user_id, address, items=items, price=price, currency=currency
    )
    await take_out(tx, lines[0].cart_id, [item.line.variant_id for item in items])
    return checked_out


def _choose(
    lines: Sequence[OwnLineRow],
    variants: Mapping[VariantId, SellableVariant],
    wanted: CheckOut,
) -> list[_Item]:
    items = [_Item(line=line, variant=variants[line.variant_id]) for line in lines]
    if wanted.currency is not None:
        items = [item for item in items if item.variant.currency == wanted.currency]
    if not items:
        raise Rejected(
            "checkout.empty_cart", "There is nothing to buy in the cart; add an item first."
        )
    currencies = sorted({item.variant.currency for item in items})
    if len(currencies) > 1:
        raise Rejected(
            "checkout.mixed_currencies",
            f"One checkout has one currency, and the cart has {', '.join(currencies)}: "
            "say which in `currency`, and check the rest out after it.",
            field="$.currency",
            details={"currencies": currencies},
        )
    unsellable = [item for item in items if not item.variant.sellable]
    if unsellable:
        raise Rejected(
            "checkout.not_sellable",
            "Some items are not for sale any more; take them out of the cart.",
            details={
                "lines": [
                    {"variant_id": item.variant.variant_id, "title": item.variant.title}
                    for item in unsellable
                ]
            },
        )
    return items


def _require_agreed(
    items: Sequence[_Item], price: GroupPrice, wanted: CheckOut, currency: str
) -> None:
    if price.total_minor == 0:
        raise Rejected("checkout.nothing_to_pay", "There is nothing to pay for these items.")
    if price.total_minor == wanted.expected_total_minor:
        return
    changed = [item for item in items if item.variant.price_minor != item.line.seen_price_minor]
    total = format_money(price.total_minor, currency)
    raise Conflict(
        "checkout.price_changed" if changed else "checkout.total_changed",
        f"The total is {total} now; look at the cart again and check out at that total.",
        field="$.expected_total_minor",
        details={
            "total_minor": price.total_minor,
            "currency": currency,
            "lines": [
                {
                    "variant_id": item.variant.variant_id,
                    "seen_price_minor": item.line.seen_price_minor,
                    "unit_price_minor": item.variant.price_minor,
                }
                for item in changed
            ],
        },
    )


async def _open_group(
    tx: Tx,
    config: Config,
    buyer_id: UserId,
    address: ShippingAddress,
    *,
    items: Sequence[_Item],
    price: GroupPrice,
    currency: str,
) -> CheckedOut:
    hold_ends_at = tx.now + timedelta(seconds=config.order_hold_s)
    variants = {item.variant.variant_id: item.variant for item in items}
    opened = await fetch_one(
        tx.con,
        SQL["open_group"],
        _OpenedGroup,
        buyer_id,
        currency,
        price.total_minor,
        address,
        hold_ends_at,
        config.order_auto_accept_s,
        *_order_columns(price.orders),
        *_line_columns(price.orders, variants),
    )
    assert opened is not None, "an aggregate gives one row"
    placed = list(zip(opened.order_ids, price.orders, strict=True))
    for order_id, order in placed:
        tx.emit(
            order_topic(order_id), _created(tx, order_id, buyer_id, order, currency, hold_ends_at)
        )
    payment_id = await open_payment(tx, opened.group_id, price.total_minor, currency)
    holds = [
        Hold(order_id=order_id, variant_id=line.variant_id, quantity=line.quantity)
        for order_id, order in placed
        for line in order.lines
    ]
    # Last, because stock is what others wait for.
    await reserve(tx, holds, hold_ends_at)
    return CheckedOut(group_id=opened.group_id, payment_id=payment_id)


def _order_columns(orders: Sequence[OrderPrice]) -> tuple[list[object], ...]:
    return (
        [order.shop_id for order in orders],
        [order.items_minor for order in orders],
        [order.shipping_minor for order in orders],
        [order.tax_minor for order in orders],
        [order.discount_minor for order in orders],
        [order.total_minor for order in orders],
        [order.commission_minor for order in orders],
    )


def _line_columns(
    orders: Sequence[OrderPrice], variants: Mapping[VariantId, SellableVariant]
) -> tuple[list[object], ...]:
    """All lines, each with its shop, which tells whose order it belongs to, and its place there."""
    lines = [
        (order.shop_id, line, variants[line.variant_id], position)
        for order in orders
        for position, line in enumerate(order.lines)
    ]
    return (
        [shop_id for shop_id, _, _, _ in lines],
        [line.variant_id for _, line, _, _ in lines],
        [variant.product_id for _, _, variant, _ in lines],
        [variant.title for _, _, variant, _ in lines],
        [variant.sku for _, _, variant, _ in lines],
        [variant.options for _, _, variant, _ in lines],
        [line.quantity for _, line, _, _ in lines],
        [line.unit_price_minor for _, line, _, _ in lines],
        [line.total_minor for _, line, _, _ in lines],
        [line.commission_basis_points for _, line, _, _ in lines],
        [line.commission_minor for _, line, _, _ in lines],
        [position for _, _, _, position in lines],
    )


def _created(
    tx: Tx,
    order_id: OrderId,
    buyer_id: UserId,
    order: OrderPrice,
    currency: str,
    hold_ends_at: datetime,
) -> OrderCreated:
    return OrderCreated(
        order=order_id,
        version=1,
        status="pending_payment",
        payment_status="none",
        fulfilment_status="none",
        deadlines=(Deadline(kind="hold", due_at=hold_ends_at),),
        updated_at=tx.now,
        actor_role="buyer",
        actor=buyer_id,
        reason="",
        total_minor=order.total_minor,
        currency=currency,
    )


def _basket_line(item: _Item) -> BasketLine:
    return BasketLine(
        variant_id=item.variant.variant_id,
        shop_id=item.variant.shop_id,
        quantity=item.line.quantity,
        unit_price_minor=item.variant.price_minor,
    )
