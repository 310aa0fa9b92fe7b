"""Carts of users and of guests.

A guest's cart opens with an opaque token that only the guest holds (a hash of it rests here). The first
signed-in use that carries the token pours the guest's cart into the user's, once: the token then opens nothing.
Prices and stock in a cart are never promises; every look at it checks them again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import NotFound, Rejected
from feira.platform.domain.ids import CartId, ProductId, ShopId, UserId, VariantId
from feira.platform.domain.money import Money
from feira.platform.domain.order_commands import QUANTITY_MAX
from feira.services.products.catalogue import SellableVariant, load_sellable
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("carts")

LINES_MAX: Final = 100
_TOKEN_BYTES: Final = 32


class SetCartLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of a variant the cart shall hold; 0 takes it out."""

    quantity: Annotated[int, Meta(ge=0, le=QUANTITY_MAX)]


class CartLineView(msgspec.Struct, frozen=True, kw_only=True):
    """`unit_price_minor` is today's; `price_changed` says that `seen_price_minor` was another.

    `available` units can be had now; a line that is not `sellable` any more has to be taken out.
    """

    variant_id: VariantId
    product_id: ProductId
    shop_id: ShopId
    shop_name: str
    title: str
    sku: str
    options: dict[str, str]
    quantity: int
    unit_price_minor: int
    seen_price_minor: int
    total_minor: int
    currency: str
    price_changed: bool
    available: int
    sellable: bool


class CartView(msgspec.Struct, frozen=True, kw_only=True):
    """`totals` of the sellable lines by currency, before discounts, delivery and taxes: a quote has those.

    `token` is the guest's key to a cart that was just made, and never said again.
    """

    version: int
    lines: list[CartLineView]
    totals: list[Money]
    token: str | None = None


class CartRow(msgspec.Struct, frozen=True, kw_only=True):
    id: CartId
    version: int
    updated_at: datetime


class CartLineRow(msgspec.Struct, frozen=True, kw_only=True):
    variant_id: VariantId
    quantity: int
    seen_price_minor: int
    added_at: datetime


class OwnLineRow(CartLineRow, frozen=True, kw_only=True):
    """A locked line with its cart."""

    cart_id: CartId


@dataclass(frozen=True, kw_only=True, slots=True)
class Shopper:
    """Whose cart is meant: a user's, with the guest token of before they signed in, or a guest's."""

    user_id: UserId | None
    guest_token: str | None

    @property
    def brings_guest_cart(self) -> bool:
        return self.user_id is not None and self.guest_token is not None


async def read_cart(con: Connection, shopper: Shopper) -> CartView:
    """Return the cart with today's prices and stock; who has none sees an empty one."""
    cart = await _find(con, shopper)
    if cart is None:
        return CartView(version=0, lines=[], totals=[])
    return await _view(con, cart)


async def merge_guest_cart(tx: Tx, user_id: UserId, guest_token: str) -> None:
    """Pour a guest's cart into the user's; a token that opens none (any more) changes nothing.

    Quantities add up, to 999 at most; lines past the cart's 100 stay behind. What the user had seen of a
    price counts for more than what the guest had.
    """
    guest = await fetch_one(tx.con, SQL["lock_guest_cart"], CartRow, _hash(guest_token))
    if guest is None:
        return
    await tx.con.execute(SQL["ensure_user_cart"], user_id)
    own = await lock_user_cart(tx, user_id)
    assert own is not None, "the cart that was ensured is there"
    await tx.con.execute(SQL["merge_lines"], own.id, guest.id, QUANTITY_MAX, LINES_MAX)
    await tx.con.execute(SQL["delete_cart"], guest.id)
    await tx.con.execute(SQL["touch_cart"], own.id)


async def set_line(
    tx: Tx, shopper: Shopper, variant_id: VariantId, wanted: SetCartLine
) -> CartView:
    """Set, change or remove a line. A guest without a cart gets one, and its token in the answer.

    Raises:
        NotFound: `cart.unknown_variant`.
        Rejected: `cart.not_sellable`, `cart.too_long`.
    """
    cart, token = await _lock_or_make(tx, shopper)
    if wanted.quantity == 0:
        await tx.con.execute(SQL["delete_lines"], cart.id, [variant_id])
    else:
        variant = await _require_sellable(tx.con, variant_id)
        lines = await read_lines(tx.con, cart.id)
        if len(lines) >= LINES_MAX and variant_id not in {line.variant_id for line in lines}:
            raise Rejected(
                "cart.too_long",
                f"A cart holds {LINES_MAX} different items; check some of them out first.",
            )
        await tx.con.execute(
            SQL["put_line"], cart.id, variant_id, wanted.quantity, variant.price_minor
        )
    await tx.con.execute(SQL["touch_cart"], cart.id)
    view = await read_cart(tx.con, shopper if token is None else _guest(token))
    return msgspec.structs.replace(view, token=token)


async def lock_user_cart(tx: Tx, user_id: UserId) -> CartRow | None:
    """Make changes of one user's cart take turns."""
    return await fetch_one(tx.con, SQL["lock_user_cart"], CartRow, user_id)


async def lock_user_lines(tx: Tx, user_id: UserId) -> list[OwnLineRow]:
    """Return the lines of a user's cart in the order in which they were added; checkouts of one cart take turns."""
    return await fetch_all(tx.con, SQL["lock_user_lines"], OwnLineRow, user_id)


async def read_lines(con: Connection, cart_id: CartId) -> list[CartLineRow]:
    """Return a cart's lines in the order in which they were added."""
    return await fetch_all(con, SQL["read_lines"], CartLineRow, cart_id)


async def read_shopper_lines(con: Connection, shopper: Shopper) -> list[CartLineRow]:
    """Return the lines of whoever's cart is meant; none where there is no cart."""
    cart = await _find(con, shopper)
    return [] if cart is None else await read_lines(con, cart.id)


async def take_out(tx: Tx, cart_id: CartId, variant_ids: Sequence[VariantId]) -> None:
    """Remove what was bought."""
    await tx.con.execute(SQL["take_out"], cart_id, variant_ids)


async def load_variants(
    con: Connection, variant_ids: Sequence[VariantId]
) -> Mapping[VariantId, SellableVariant]:
    """Return today's state of variants by id."""
    if not variant_ids:
        return {}
    variants = await load_sellable(con, list(variant_ids))
    return {variant.variant_id: variant for variant in variants}


async def _find(con: Connection, shopper: Shopper) -> CartRow | None:
    if shopper.user_id is not None:
        return await fetch_one(con, SQL["user_cart"], CartRow, shopper.user_id)
    if shopper.guest_token is not None:
        return await fetch_one(con, SQL["guest_cart"], CartRow, _hash(shopper.guest_token))
    return None


async def _lock_or_make(tx: Tx, shopper: Shopper) -> tuple[CartRow, str | None]:
    if shopper.user_id is not None:
        if shopper.guest_token is not None:
            await merge_guest_cart(tx, shopper.user_id, shopper.guest_token)
        await tx.con.execute(SQL["ensure_user_cart"], shopper.user_id)
        cart = await lock_user_cart(tx, shopper.user_id)
        assert cart is not None, "the cart that was ensured is there"
        return cart, None
    if shopper.guest_token is not None:
        token_sha256 = _hash(shopper.guest_token)
        cart = await fetch_one(tx.con, SQL["lock_guest_cart"], CartRow, token_sha256)
        if cart is not None:
            return cart, None
    # A token that opens nothing (merged, or made up) is never taken over: the market chooses tokens.
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    cart = await fetch_one(tx.con, SQL["insert_guest_cart"], CartRow, _hash(token))
    assert cart is not None, "the insert returns the cart"
    return cart, token


async def _require_sellable(con: Connection, variant_id: VariantId) -> SellableVariant:
    variant = (await load_variants(con, [variant_id])).get(variant_id)
    if variant is None:
        raise NotFound("cart.unknown_variant", "There is no such item; look at the product again.")
    if not variant.sellable:
        raise Rejected("cart.not_sellable", f"{variant.title} is not for sale right now.")
    return variant


async def _view(con: Connection, cart: CartRow) -> CartView:
    rows = await read_lines(con, cart.id)
    variants = await load_variants(con, [row.variant_id for row in rows])
    lines = [_line_view(row, variants[row.variant_id]) for row in rows]
    totals: dict[str, int] = {}
    for line in lines:
        if line.sellable:
            totals[line.currency] = totals.get(line.currency, 0) + line.total_minor
    return CartView(
        version=cart.version,
        lines=lines,
        totals=[
            Money(amount_minor=amount_minor, currency=currency)
            for currency, amount_minor in totals.items()
        ],
    )


def _line_view(row: CartLineRow, variant: SellableVariant) -> CartLineView:
    return CartLineView(
        variant_id=row.variant_id,
        product_id=variant.product_id,
        shop_id=variant.shop_id,
        shop_name=variant.shop_name,
        title=variant.title,
        sku=variant.sku,
        options=variant.options,
        quantity=row.quantity,
        unit_price_minor=variant.price_minor,
        seen_price_minor=row.seen_price_minor,
        total_minor=variant.price_minor * row.quantity,
        currency=variant.currency,
        price_changed=variant.price_minor != row.seen_price_minor,
        available=variant.available,
        sellable=variant.sellable,
    )


def _guest(token: str) -> Shopper:
    return Shopper(user_id=None, guest_token=token)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
