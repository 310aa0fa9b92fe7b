"""Stock under many buyers at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from feira.platform.domain.errors import Conflict, FeiraError, NotFound, Rejected
from feira.platform.domain.ids import OrderId, VariantId
from feira.services.products.inventory import StockCount, count_stock
from feira.services.products.stock import (
    Hold,
    release,
    release_expired,
    reserve,
    restock,
    sell,
)
from feira.services.products.variants import NewVariant
from feira.sql.database import Tx
from tests.integration.products.goods import Goods, Shop, hold

LATER = datetime(2100, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def new_order() -> OrderId:
    return OrderId(uuid4())


async def take(goods: Goods, *holds: Hold, until: datetime = LATER) -> FeiraError | None:
    """Reserve as a patient client would, and say why not."""
    while True:
        try:
            await goods.transact(lambda tx: reserve(tx, holds, until))
        except FeiraError as error:
            if error.retryable or error.code in {"database.busy", "database.contended"}:
                await asyncio.sleep(0.02)
                continue
            return error
        return None


async def test_of_a_hundred_buyers_at_once_exactly_five_get_the_five_units(goods: Goods) -> None:
    product = await goods.product(await goods.shop(), on_hand=5)
    variant = product.variants[0].id
    answers = await asyncio.gather(*(take(goods, hold(variant)) for _ in range(100)))
    assert answers.count(None) == 5
    assert {answer.code for answer in answers if answer} == {"stock.insufficient"}
    assert await goods.stock(variant) == (5, 5)


async def test_baskets_of_the_same_goods_in_any_order_never_wait_in_a_ring(goods: Goods) -> None:
    shop = await goods.shop()
    variants = [(await goods.product(shop, on_hand=1_000)).variants[0].id for _ in range(4)]

    tries = 0

    async def buy(turn: int) -> None:
        order = new_order()
        mine = variants[turn % 4 :] + variants[: turn % 4]
        if turn % 2:
            mine.reverse()
        basket = [hold(variant, order=order) for variant in mine]

        async def work(tx: Tx) -> None:
            nonlocal tries
            tries += 1
            await reserve(tx, basket, LATER)

        await goods.transact(work)

    await asyncio.gather(*(buy(turn) for turn in range(60)))
    # A deadlock would have made a transaction run twice.
    assert tries == 60
    for variant in variants:
        assert await goods.stock(variant) == (1_000, 60)


async def test_a_basket_is_held_whole_or_not_at_all(goods: Goods) -> None:
    shop = await goods.shop()
    plenty = (await goods.product(shop, on_hand=9)).variants[0].id
    scarce = (await goods.product(shop, on_hand=1)).variants[0].id
    order = new_order()
    answer = await take(goods, hold(plenty, 2, order=order), hold(scarce, 2, order=order))
    assert isinstance(answer, Rejected)
    assert answer.details == {
        "variants": [{"variant_id": str(scarce), "wanted": 2, "available": 1}]
    }
    assert await goods.stock(plenty) == (9, 0)


async def test_demand_for_one_variant_is_summed_over_a_basket(goods: Goods) -> None:
    variant = (await goods.product(await goods.shop(), on_hand=5)).variants[0].id
    answer = await take(goods, hold(variant, 3), hold(variant, 3))
    assert answer is not None
    assert answer.code == "stock.insufficient"
    assert await take(goods, hold(variant, 3), hold(variant, 2)) is None
    assert await goods.stock(variant) == (5, 5)


async def test_a_variant_that_nobody_knows_is_out_of_stock(goods: Goods) -> None:
    answer = await take(goods, hold(VariantId(uuid4())))
    assert answer is not None
    assert answer.code == "stock.insufficient"


async def test_selling_releasing_and_restocking_count_once_however_often_they_are_asked(
    goods: Goods,
) -> None:
    variant = (await goods.product(await goods.shop(), on_hand=5)).variants[0].id
    sold, dropped = new_order(), new_order()
    assert await take(goods, hold(variant, 2, order=sold), hold(variant, 1, order=dropped)) is None
    for _ in range(2):
        await goods.transact(lambda tx: sell(tx, [sold]))
        await goods.transact(lambda tx: release(tx, [dropped]))
    assert await goods.stock(variant) == (3, 0)
    await goods.transact(lambda tx: release(tx, [sold]))
    assert await goods.stock(variant) == (3, 0)
    for _ in range(2):
        await goods.transact(lambda tx: restock(tx, [sold, dropped]))
    assert await goods.stock(variant) == (5, 0)


async def test_a_payment_a_cancellation_and_an_expiry_of_one_order_have_one_winner(
    goods: Goods,
) -> None:
    variant = (await goods.product(await goods.shop(), on_hand=40)).variants[0].id
    orders = [new_order() for _ in range(20)]
    for order in orders:
        assert await take(goods, hold(variant, 2, order=order), until=LONG_AGO) is None
    await asyncio.gather(
        *(goods.transact(lambda tx, o=order: release(tx, [o])) for order in orders),
        *(goods.transact(lambda tx: release_expired(tx, skus_max=10)) for _ in range(10)),
    )
    assert await goods.stock(variant) == (40, 0)


async def test_expired_holds_are_let_go_and_young_ones_kept(goods: Goods) -> None:
    variant = (await goods.product(await goods.shop(), on_hand=5)).variants[0].id
    just_over = datetime.now(UTC) - timedelta(seconds=30)
    assert await take(goods, hold(variant, 1), until=LONG_AGO) is None
    assert await take(goods, hold(variant, 1), until=just_over) is None
    assert await take(goods, hold(variant, 1)) is None
    await goods.transact(lambda tx: release_expired(tx, skus_max=1_000))
    assert await goods.stock(variant) == (5, 2)


async def test_expired_holds_of_stock_that_somebody_has_locked_are_passed_by(goods: Goods) -> None:
    variant = (await goods.product(await goods.shop(), on_hand=5)).variants[0].id
    assert await take(goods, hold(variant, 1), until=LONG_AGO) is None
    async with goods.market.database.connection() as con, con.transaction():
        await con.execute("SELECT FROM stock WHERE variant_id = $1 FOR UPDATE", variant)
        async with asyncio.timeout(2):
            await goods.transact(lambda tx: release_expired(tx, skus_max=1_000))
    assert await goods.stock(variant) == (5, 1)
    await goods.transact(lambda tx: release_expired(tx, skus_max=1_000))
    assert await goods.stock(variant) == (5, 0)


async def test_a_late_payment_takes_what_is_still_there_or_hears_that_it_is_lost(
    goods: Goods,
) -> None:
    variant = (await goods.product(await goods.shop(), on_hand=3)).variants[0].id
    lucky, late = new_order(), new_order()
    assert await take(goods, hold(variant, 2, order=lucky), until=LONG_AGO) is None
    await goods.transact(lambda tx: release_expired(tx, skus_max=1_000))
    await goods.transact(lambda tx: sell(tx, [lucky]))
    assert await goods.stock(variant) == (1, 0)

    assert await take(goods, hold(variant, 1, order=late), until=LONG_AGO) is None
    await goods.transact(lambda tx: release_expired(tx, skus_max=1_000))
    assert await take(goods, hold(variant, 1)) is None
    with pytest.raises(Rejected) as caught:
        await goods.transact(lambda tx: sell(tx, [late]))
    assert caught.value.code == "stock.hold_lost"
    assert await goods.stock(variant) == (1, 1)


async def test_every_change_of_what_is_available_is_told(goods: Goods) -> None:
    product = await goods.product(await goods.shop(), on_hand=2)
    variant, order = product.variants[0].id, new_order()
    assert await take(goods, hold(variant, 2, order=order)) is None
    await goods.transact(lambda tx: sell(tx, [order]))
    await goods.transact(lambda tx: restock(tx, [order]))
    told = [msgspec.json.decode(event) for event in await goods.events(product.id)]
    changed = [event for event in told if event["kind"] == "product.stock_changed"]
    assert [event["available"] for event in changed] == [0, 2]
    assert {event["variant"] for event in changed} == {str(variant)}


async def test_search_is_asked_to_look_again_only_when_the_last_one_goes_or_comes_back(
    goods: Goods,
) -> None:
    product = await goods.product(await goods.shop(), on_hand=3)
    variant, order = product.variants[0].id, new_order()
    before = len(await goods.sync_jobs(product.id))
    assert await take(goods, hold(variant, 2)) is None
    assert len(await goods.sync_jobs(product.id)) == before
    assert await take(goods, hold(variant, 1, order=order)) is None
    assert len(await goods.sync_jobs(product.id)) == before + 1
    await goods.transact(lambda tx: release(tx, [order]))
    keys = await goods.sync_jobs(product.id)
    assert len(keys) == before + 2
    assert keys[-1] == f"search:{product.id}:{before + 2}"


class TestCounting:
    async def count(self, goods: Goods, shop: Shop, variant: VariantId, count: StockCount) -> int:
        view = await goods.transact(lambda tx: count_stock(tx, shop.owner, variant, count))
        return view.on_hand

    async def test_stock_is_set_and_adjusted_with_a_movement_each(self, goods: Goods) -> None:
        shop = await goods.shop()
        variant = (await goods.product(shop, on_hand=5)).variants[0].id
        assert await self.count(goods, shop, variant, StockCount(set=12)) == 12
        assert await self.count(goods, shop, variant, StockCount(adjust=-2)) == 10
        assert await self.count(goods, shop, variant, StockCount(set=10)) == 10
        assert await goods.stock(variant) == (10, 0)
        async with goods.market.database.connection() as con:
            moved = await con.fetch(
                "SELECT quantity, actor_id FROM stock_movements WHERE variant_id = $1 ORDER BY id",
                variant,
            )
        assert [record["quantity"] for record in moved] == [5, 7, -2]
        assert {record["actor_id"] for record in moved} == {shop.owner.user_id}

    async def test_stock_never_goes_below_what_orders_hold(self, goods: Goods) -> None:
        shop = await goods.shop()
        variant = (await goods.product(shop, on_hand=5)).variants[0].id
        assert await take(goods, hold(variant, 3)) is None
        with pytest.raises(Conflict) as caught:
            await self.count(goods, shop, variant, StockCount(adjust=-3))
        assert caught.value.code == "stock.below_reserved"
        assert caught.value.details == {"on_hand": 5, "reserved": 3}
        assert await self.count(goods, shop, variant, StockCount(adjust=-2)) == 3

    async def test_adjusting_beyond_what_a_shelf_holds_is_refused(self, goods: Goods) -> None:
        shop = await goods.shop()
        variant = (await goods.product(shop, on_hand=1)).variants[0].id
        with pytest.raises(Rejected) as caught:
            await self.count(goods, shop, variant, StockCount(adjust=1_000_000))
        assert caught.value.code == "stock.too_much"

    async def test_many_adjustments_at_once_all_count(self, goods: Goods) -> None:
        shop = await goods.shop()
        variant = (await goods.product(shop, on_hand=0)).variants[0].id
        await asyncio.gather(
            *(self.count(goods, shop, variant, StockCount(adjust=1)) for _ in range(20))
        )
        assert await goods.stock(variant) == (20, 0)

    async def test_other_peoples_stock_is_not_there(self, goods: Goods) -> None:
        mine, yours = await goods.shop(), await goods.shop()
        variant = (
            (await goods.product(yours, variants=[NewVariant(sku="A", price_minor=1)]))
            .variants[0]
            .id
        )
        with pytest.raises(NotFound):
            await self.count(goods, mine, variant, StockCount(set=1))
