"""Carts of users and guests."""

from __future__ import annotations

import asyncio

import pytest

from feira.platform.domain.errors import NotFound, Rejected
from feira.platform.domain.ids import VariantId
from feira.services.orders.carts import (
    CartView,
    SetCartLine,
    Shopper,
    merge_guest_cart,
    set_line,
)
from feira.services.products.catalogue import read_product
from feira.services.products.editing import archive
from feira.sql.database import Tx
from tests.integration.orders.stage import Shop, Stage


async def put(stage: Stage, shopper: Shopper, variant: VariantId, quantity: int) -> CartView:
    wanted = SetCartLine(quantity=quantity)
    return await stage.transact(lambda tx: set_line(tx, shopper, variant, wanted))


def guest(token: str | None = None) -> Shopper:
    return Shopper(user_id=None, guest_token=token)


def quantities(cart: CartView) -> dict[VariantId, int]:
    return {line.variant_id: line.quantity for line in cart.lines}


async def test_a_guests_token_opens_their_cart_and_rests_only_as_a_hash(stage: Stage) -> None:
    variant = await stage.variant(await stage.shop())
    made = await put(stage, guest(), variant, 2)
    assert made.token is not None
    changed = await put(stage, guest(made.token), variant, 3)
    assert changed.token is None, "a token is said once"
    assert quantities(await stage.cart(guest(made.token))) == {variant: 3}
    async with stage.database.connection() as con:
        hashes = await con.fetch("SELECT guest_token_sha256 FROM carts WHERE user_id IS NULL")
    assert made.token.encode() not in {row["guest_token_sha256"] for row in hashes}


async def test_a_made_up_token_opens_nothing_and_is_never_taken_over(stage: Stage) -> None:
    variant = await stage.variant(await stage.shop())
    assert (await stage.cart(guest("made-up"))).lines == []
    made = await put(stage, guest("made-up"), variant, 1)
    assert made.token not in {None, "made-up"}


async def test_signing_in_pours_the_guests_cart_into_the_users_once(stage: Stage) -> None:
    shop = await stage.shop()
    both, guests_only = await stage.variant(shop), await stage.variant(shop)
    buyer = await stage.buyer()
    await stage.put(buyer, both, 900)
    token = (await put(stage, guest(), both, 200)).token
    assert token is not None
    await put(stage, guest(token), guests_only, 2)

    async def merge(tx: Tx, token: str = token) -> None:
        await merge_guest_cart(tx, buyer.principal.user_id, token)

    await asyncio.gather(*(stage.transact(merge) for _ in range(5)))

    assert quantities(await stage.cart(buyer.shopper)) == {both: 999, guests_only: 2}
    assert (await stage.cart(guest(token))).lines == []


async def test_the_first_change_that_carries_the_token_merges_too(stage: Stage) -> None:
    shop = await stage.shop()
    first, second = await stage.variant(shop), await stage.variant(shop)
    buyer = await stage.buyer()
    token = (await put(stage, guest(), first, 1)).token
    with_token = Shopper(user_id=buyer.principal.user_id, guest_token=token)
    cart = await put(stage, with_token, second, 4)
    assert quantities(cart) == {first: 1, second: 4}


async def test_zero_takes_a_line_out(stage: Stage) -> None:
    variant = await stage.variant(await stage.shop())
    buyer = await stage.buyer()
    await stage.put(buyer, variant, 2)
    assert (await stage.put(buyer, variant, 0)).lines == []


async def test_a_cart_shows_todays_price_and_stock_beside_what_was_seen(stage: Stage) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_000, on_hand=3)
    buyer = await stage.buyer()
    (line,) = (await stage.put(buyer, variant, 2)).lines
    assert (line.price_changed, line.available, line.sellable, line.total_minor) == (
        False,
        3,
        True,
        2_000,
    )
    await stage.set_price(shop, variant, 1_250)
    cart = await stage.cart(buyer.shopper)
    (line,) = cart.lines
    assert (line.price_changed, line.seen_price_minor, line.unit_price_minor) == (
        True,
        1_000,
        1_250,
    )
    assert [(total.currency, total.amount_minor) for total in cart.totals] == [("EUR", 2_500)]


async def test_what_is_not_for_sale_any_more_says_so_and_costs_nothing(stage: Stage) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop)
    buyer = await stage.buyer()
    await stage.put(buyer, variant)
    await archive_product(stage, shop, variant)
    cart = await stage.cart(buyer.shopper)
    assert [line.sellable for line in cart.lines] == [False]
    assert cart.totals == []
    with pytest.raises(Rejected) as error:
        await stage.put(buyer, variant, 2)
    assert error.value.code == "cart.not_sellable"


async def test_an_unknown_variant_is_not_found(stage: Stage) -> None:
    buyer = await stage.buyer()
    unknown = VariantId(buyer.principal.user_id)
    with pytest.raises(NotFound) as error:
        await stage.put(buyer, unknown)
    assert error.value.code == "cart.unknown_variant"


async def test_concurrent_changes_of_one_cart_all_count(stage: Stage) -> None:
    shop = await stage.shop()
    variants = [await stage.variant(shop) for _ in range(6)]
    buyer = await stage.buyer()
    await asyncio.gather(*(stage.put(buyer, variant, 1) for variant in variants))
    cart = await stage.cart(buyer.shopper)
    assert set(quantities(cart)) == set(variants)


async def archive_product(stage: Stage, shop: Shop, variant: VariantId) -> None:
    async def work(tx: Tx) -> None:
        product = await read_product(tx.con, stage.product_of(variant), shop.owner, str)
        await archive(tx, shop.owner, product.id, product.version)

    await stage.transact(work)
