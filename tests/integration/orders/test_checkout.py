"""Checkout: one payment, one order for each shop, stock held, all or nothing."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from feira.platform.domain.errors import Conflict, FeiraError, NotAllowed, NotFound, Rejected
from feira.platform.domain.order_state import Deadline
from feira.platform.domain.topics import order_topic
from feira.services.orders.checkout import CheckedOut, CheckOut, check_out
from feira.services.users.addresses import delete_address
from feira.sql.database import Tx
from feira.sql.idempotency import once
from tests.integration.orders.stage import Stage, patiently


async def test_three_sellers_give_one_payment_and_three_orders(stage: Stage) -> None:
    shops = [await stage.shop() for _ in range(3)]
    prices = (3_333, 3_333, 3_334)
    variants = [
        await stage.variant(shop, price_minor=price)
        for shop, price in zip(shops, prices, strict=True)
    ]
    second_of_first = await stage.variant(shops[0], price_minor=5)
    buyer = await stage.buyer()
    made, ids = await stage.buy(buyer, *variants, second_of_first)

    view = await stage.group(made, buyer.principal)
    assert [order.shop_id for order in view.orders] == [shop.id for shop in shops]
    assert [order.total_minor for order in view.orders] == [3_338, 3_333, 3_334]
    assert view.group.total_minor == view.payment.amount_minor == 10_005
    assert {order.status for order in view.orders} == {"pending_payment"}
    assert view.orders[0].deadlines == (Deadline(kind="hold", due_at=view.group.hold_ends_at),)
    assert view.group.shipping_address.city == "Lisboa"
    # 10 % of each line, half up: 333.3 and 0.5.
    seller = await stage.order(ids[0], shops[0].owner)
    assert seller.commission_minor == 333 + 1
    assert view.orders[0].commission_minor is None, "the market's share is not the buyer's business"
    for variant in variants:
        assert await stage.stock(variant) == (10, 1)
    assert (await stage.cart(buyer.shopper)).lines == []
    (created,) = await stage.events(order_topic(ids[0]))
    assert b'"order.created"' in bytes(created.body)


async def test_fifty_buyers_for_the_last_unit_give_one_order(stage: Stage) -> None:
    variant = await stage.variant(await stage.shop(), on_hand=1)
    buyers = [await stage.buyer() for _ in range(50)]
    for buyer in buyers:
        await stage.put(buyer, variant)

    results = await asyncio.gather(
        *(patiently(lambda b=buyer: stage.check_out(b)) for buyer in buyers)
    )

    winners = [result for result in results if isinstance(result, CheckedOut)]
    losers = [result for result in results if isinstance(result, FeiraError)]
    assert len(winners) == 1
    assert {error.code for error in losers} == {"stock.insufficient"}
    assert len(losers) == 49
    assert await stage.stock(variant) == (1, 1)


async def test_baskets_of_the_same_goods_in_opposite_order_do_not_lock_each_other_out(
    stage: Stage,
) -> None:
    shop = await stage.shop()
    first, second = await stage.variant(shop, on_hand=100), await stage.variant(shop, on_hand=100)
    buyers = [await stage.buyer() for _ in range(12)]
    for index, buyer in enumerate(buyers):
        for variant in (first, second) if index % 2 else (second, first):
            await stage.put(buyer, variant)
    results = await asyncio.gather(
        *(patiently(lambda b=buyer: stage.check_out(b)) for buyer in buyers)
    )
    assert all(isinstance(result, CheckedOut) for result in results)
    assert await stage.stock(first) == await stage.stock(second) == (100, 12)


async def test_one_item_too_few_fails_the_whole_checkout(stage: Stage) -> None:
    plenty, scarce = (
        await stage.variant(await stage.shop(), on_hand=10),
        await stage.variant(await stage.shop(), on_hand=1),
    )
    buyer = await stage.buyer()
    await stage.put(buyer, plenty, 2)
    await stage.put(buyer, scarce, 2)
    with pytest.raises(Rejected) as error:
        await stage.check_out(buyer)
    assert error.value.code == "stock.insufficient"
    assert await stage.stock(plenty) == (10, 0)
    assert len((await stage.cart(buyer.shopper)).lines) == 2


async def test_two_clicks_at_once_make_one_checkout(stage: Stage) -> None:
    variant = await stage.variant(await stage.shop())
    buyer = await stage.buyer()
    await stage.put(buyer, variant)
    results = await asyncio.gather(
        *(patiently(lambda: stage.check_out(buyer)) for _ in range(4)), return_exceptions=True
    )
    made = [result for result in results if isinstance(result, CheckedOut)]
    assert len(made) == 1
    assert await stage.stock(variant) == (10, 1)


async def test_a_repeated_key_gives_the_first_group_again(stage: Stage) -> None:
    variant = await stage.variant(await stage.shop(), price_minor=700)
    buyer = await stage.buyer()
    await stage.put(buyer, variant)
    wanted = CheckOut(address_id=buyer.address, expected_total_minor=700)

    async def keyed(tx: Tx) -> CheckedOut:
        return await once(
            tx,
            user=buyer.principal.user_id,
            key="checkout-1",
            request_sha256=b"same",
            returns=CheckedOut,
            work=lambda tx: check_out(tx, stage.market.config, buyer.principal, wanted),
        )

    first = await stage.transact(keyed)
    await stage.put(buyer, variant)
    assert await stage.transact(keyed) == first
    assert await stage.stock(variant) == (10, 1)


async def test_a_changed_price_must_be_agreed_to(stage: Stage) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_000)
    buyer = await stage.buyer()
    await stage.put(buyer, variant, 2)
    await stage.set_price(shop, variant, 1_100)
    seen = CheckOut(address_id=buyer.address, expected_total_minor=2_000)
    with pytest.raises(Conflict) as error:
        await stage.transact(lambda tx: check_out(tx, stage.market.config, buyer.principal, seen))
    assert error.value.code == "checkout.price_changed"
    assert error.value.details["total_minor"] == 2_200
    assert error.value.details["lines"] == [
        {"variant_id": variant, "seen_price_minor": 1_000, "unit_price_minor": 1_100}
    ]
    agreed = msgspec.structs.replace(seen, expected_total_minor=2_200)
    made = await stage.transact(
        lambda tx: check_out(tx, stage.market.config, buyer.principal, agreed)
    )
    assert (await stage.group(made, buyer.principal)).group.total_minor == 2_200


async def test_a_cart_that_changed_elsewhere_is_not_bought_unseen(stage: Stage) -> None:
    variant = await stage.variant(await stage.shop(), price_minor=1_000)
    buyer = await stage.buyer()
    await stage.put(buyer, variant, 3)
    seen = CheckOut(address_id=buyer.address, expected_total_minor=2_000)
    with pytest.raises(Conflict) as error:
        await stage.transact(lambda tx: check_out(tx, stage.market.config, buyer.principal, seen))
    assert error.value.code == "checkout.total_changed"


async def test_one_checkout_has_one_currency_and_the_buyer_says_which(stage: Stage) -> None:
    euros = await stage.variant(await stage.shop(currency="EUR"), price_minor=500)
    yen = await stage.variant(await stage.shop(currency="JPY"), price_minor=33)
    buyer = await stage.buyer()
    await stage.put(buyer, euros)
    await stage.put(buyer, yen)
    with pytest.raises(Rejected) as error:
        await stage.check_out(buyer)
    assert error.value.code == "checkout.mixed_currencies"
    assert error.value.details["currencies"] == ["EUR", "JPY"]

    made = await stage.check_out(buyer, currency="JPY")
    view = await stage.group(made, buyer.principal)
    assert (view.group.currency, view.group.total_minor) == ("JPY", 33)
    # 10 % of 33 yen is 3.3: yen have no smaller part.
    assert [line.currency for line in (await stage.cart(buyer.shopper)).lines] == ["EUR"]


async def test_an_empty_cart_an_unverified_buyer_and_a_foreign_address_are_refused(
    stage: Stage,
) -> None:
    variant = await stage.variant(await stage.shop(), price_minor=700)
    buyer, other = await stage.buyer(), await stage.buyer()
    wanted = CheckOut(address_id=buyer.address, expected_total_minor=700)
    config = stage.market.config

    with pytest.raises(Rejected) as empty:
        await stage.transact(lambda tx: check_out(tx, config, buyer.principal, wanted))
    assert empty.value.code == "checkout.empty_cart"

    await stage.put(buyer, variant)
    foreign = msgspec.structs.replace(wanted, address_id=other.address)
    with pytest.raises(NotFound) as not_yours:
        await stage.transact(lambda tx: check_out(tx, config, buyer.principal, foreign))
    assert not_yours.value.code == "address.not_found"

    unverified = msgspec.structs.replace(
        buyer.principal, roles=buyer.principal.roles - {"verified"}
    )
    with pytest.raises(NotAllowed) as unconfirmed:
        await stage.transact(lambda tx: check_out(tx, config, unverified, wanted))
    assert unconfirmed.value.code == "auth.email_unverified"


async def test_an_order_keeps_its_address_when_the_book_loses_it(stage: Stage) -> None:
    variant = await stage.variant(await stage.shop())
    buyer = await stage.buyer()
    made, _ = await stage.buy(buyer, variant)
    await stage.transact(lambda tx: delete_address(tx, buyer.principal.user_id, buyer.address))
    view = await stage.group(made, buyer.principal)
    assert view.group.shipping_address.line1 == "Rua 1"


async def test_a_checkout_is_its_buyers_and_no_strangers_or_shops(stage: Stage) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop)
    buyer = await stage.buyer()
    made, _ = await stage.buy(buyer, variant)
    for stranger in (shop.owner, await stage.person()):
        with pytest.raises(NotFound) as error:
            await stage.group(made, stranger)
        assert error.value.code == "order_group.not_found"
    assert (await stage.group(made, await stage.person("support"))).group.id == made.group_id
