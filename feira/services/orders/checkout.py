"""Checkout: a cart becomes one group, one order for each shop, one payment for all, and held stock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from feira.platform.domain.checkout import GroupPrice
from feira.platform.domain.errors import Conflict, NotFound, Rejected
from feira.platform.domain.ids import AddressId, OrderGroupId, PaymentId, VariantId
from feira.platform.domain.money import format_money
from feira.platform.domain.permissions import Principal, require
from feira.platform.runtime.config import Config
from feira.services.orders.carts import (
    OwnLineRow,
    load_variants,
    lock_user_lines,
    merge_guest_cart,
    take_out,
)
from feira.services.orders.placement import PricedItem, Terms, place, price_items
from feira.services.orders.rows import SQL
from feira.services.orders.views import ShippingAddress
from feira.services.products.catalogue import SellableVariant
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


class _Item(PricedItem, frozen=True, kw_only=True):
    """A line of the cart at today's price."""

    seen_price_minor: int


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
    price = await price_items(tx.con, items)
    _require_agreed(items, price, wanted)
    terms = Terms(
        buyer_id=principal.user_id,
        address=address,
        hold_s=config.order_hold_s,
        auto_accept_s=config.order_auto_accept_s,
        actor=principal.user_id,
    )
    placed = await place(tx, terms, items, price)
    await take_out(tx, lines[0].cart_id, [item.variant.variant_id for item in items])
    return CheckedOut(group_id=placed.group_id, payment_id=placed.payment_id)


def _choose(
    lines: Sequence[OwnLineRow],
    variants: Mapping[VariantId, SellableVariant],
    wanted: CheckOut,
) -> list[_Item]:
    items = [_item(line, variants[line.variant_id]) for line in lines]
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


def _item(line: OwnLineRow, variant: SellableVariant) -> _Item:
    return _Item(
        variant=variant,
        quantity=line.quantity,
        unit_price_minor=variant.price_minor,
        seen_price_minor=line.seen_price_minor,
    )


def _require_agreed(items: Sequence[_Item], price: GroupPrice, wanted: CheckOut) -> None:
    if price.total_minor == 0:
        raise Rejected("checkout.nothing_to_pay", "There is nothing to pay for these items.")
    if price.total_minor == wanted.expected_total_minor:
        return
    changed = [item for item in items if item.unit_price_minor != item.seen_price_minor]
    currency = items[0].variant.currency
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
                    "seen_price_minor": item.seen_price_minor,
                    "unit_price_minor": item.unit_price_minor,
                }
                for item in changed
            ],
        },
    )
