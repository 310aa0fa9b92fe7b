"""Checkout: a cart becomes one group, one order for each shop, one payment for all, and held stock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from feira.platform.domain.checkout import GroupPrice
from feira.platform.domain.errors import Conflict, InvalidInput, NotFound, Rejected
from feira.platform.domain.ids import AddressId, OrderGroupId, PaymentId, ShopId, VariantId
from feira.platform.domain.money import format_money
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.promotions import PromotionCode
from feira.platform.domain.shipping import Destination
from feira.platform.runtime.config import Config
from feira.services.orders.carts import (
    LINES_MAX,
    CartLineRow,
    load_variants,
    lock_user_lines,
    merge_guest_cart,
    take_out,
)
from feira.services.orders.outside import Said
from feira.services.orders.placement import Terms, order_terms, place
from feira.services.orders.pricing import (
    CODES_MAX,
    NOTHING_SAID,
    PricedBasket,
    PricedItem,
    Wishes,
    price_basket,
)
from feira.services.orders.states import SQL
from feira.services.orders.views import ShippingAddress
from feira.services.products.catalogue import SellableVariant
from feira.sql.database import Tx
from feira.sql.loader import fetch_one


class ShippingChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one shop shall send its part: the `method_id` of one of the methods that the quote names."""

    shop_id: ShopId
    method_id: Annotated[str, Meta(min_length=1, max_length=200)]


Codes = Annotated[list[PromotionCode], Meta(max_length=CODES_MAX)]
ShippingChoices = Annotated[list[ShippingChoice], Meta(max_length=LINES_MAX)]


class CheckOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Buy what is in the cart. `currency` picks the lines of one where the cart holds several.

    `expected_total_minor` is what the buyer agreed to pay: the `total_minor` of a quote with the same codes and
    choices. A shop that `shipping` leaves out sends by its cheapest method.
    """

    address_id: AddressId
    expected_total_minor: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    codes: Codes = []
    shipping: ShippingChoices = []


class CheckedOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkout made."""

    group_id: OrderGroupId
    payment_id: PaymentId


class CartItem(PricedItem, frozen=True, kw_only=True):
    """A line of the cart at today's price, and what the buyer saw."""

    seen_price_minor: int


async def check_out(
    tx: Tx,
    config: Config,
    principal: Principal,
    wanted: CheckOut,
    *,
    guest_token: str | None = None,
    said: Said = NOTHING_SAID,
) -> CheckedOut:
    """Turn the caller's cart into orders that wait for their money, all or nothing.

    `said` is what services outside answered about this cart before.

    Raises:
        NotAllowed: `auth.email_unverified`.
        NotFound: `address.not_found`.
        Rejected: `checkout.empty_cart`, `checkout.mixed_currencies`, `checkout.not_sellable`,
            `checkout.nothing_to_pay`, `checkout.shipping_unavailable`, `stock.insufficient`; `details` name the
            lines or shops.
        Conflict: `checkout.price_changed`, `checkout.total_changed`; `details` give the present total and what
            became of the codes. `checkout.promotion_used_up`, `checkout.cart_changed`.
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
    items = choose_items(
        lines, await load_variants(tx.con, [line.variant_id for line in lines]), wanted.currency
    )
    wishes = Wishes(
        destination=place_of(address),
        codes=tuple(wanted.codes),
        methods=chosen_methods(wanted.shipping),
        buyer_id=principal.user_id,
    )
    priced = await price_basket(tx.con, items, wishes, now=tx.now, said=said)
    if said.is_open:
        raise Conflict(
            "checkout.cart_changed",
            "The cart changed while it was being checked out; look at it again.",
            retry_after_s=1,
        )
    price = priced.price
    _require_sendable(price)
    _require_agreed(items, priced, wanted)
    terms = Terms(
        buyer_id=principal.user_id,
        address=address,
        hold_s=config.order_hold_s,
        order=order_terms(config),
        actor=principal.user_id,
    )
    placed = await place(tx, terms, items, price)
    await take_out(tx, lines[0].cart_id, [item.variant.variant_id for item in items])
    return CheckedOut(group_id=placed.group_id, payment_id=placed.payment_id)


def place_of(address: ShippingAddress) -> Destination:
    """An address as far as prices depend on it."""
    return Destination(
        country=address.country, region=address.region, postal_code=address.postal_code
    )


def chosen_methods(choices: Sequence[ShippingChoice]) -> dict[ShopId, str]:
    """The buyer's choices by shop.

    Raises:
        InvalidInput: `checkout.shipping_chosen_twice`.
    """
    methods = {choice.shop_id: choice.method_id for choice in choices}
    if len(methods) < len(choices):
        raise InvalidInput(
            "checkout.shipping_chosen_twice",
            "Choose one way of sending for each shop.",
            field="$.shipping",
        )
    return methods


def choose_items(
    lines: Sequence[CartLineRow],
    variants: Mapping[VariantId, SellableVariant],
    currency: str | None,
) -> list[CartItem]:
    """Pick the lines of one currency, at today's prices.

    Raises:
        Rejected: `checkout.empty_cart`, `checkout.mixed_currencies`, `checkout.not_sellable`.
    """
    items = [_item(line, variants[line.variant_id]) for line in lines]
    if currency is not None:
        items = [item for item in items if item.variant.currency == currency]
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


def _item(line: CartLineRow, variant: SellableVariant) -> CartItem:
    return CartItem(
        variant=variant,
        quantity=line.quantity,
        unit_price_minor=variant.price_minor,
        seen_price_minor=line.seen_price_minor,
    )


def _require_sendable(price: GroupPrice) -> None:
    stuck = [order for order in price.orders if order.shipping_problem is not None]
    if stuck:
        raise Rejected(
            "checkout.shipping_unavailable",
            "Not everything can be sent there that way; choose another way of sending, or another address.",
            field="$.shipping",
            details={
                "shops": [
                    {"shop_id": order.shop_id, "problem": order.shipping_problem} for order in stuck
                ]
            },
        )


def _require_agreed(items: Sequence[CartItem], priced: PricedBasket, wanted: CheckOut) -> None:
    price = priced.price
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
            "codes": [msgspec.to_builtins(code) for code in priced.codes],
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
