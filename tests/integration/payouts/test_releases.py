"""Clearance: what a completed order earned becomes available later, and not while something keeps it."""

from __future__ import annotations

import asyncio

from feira.platform.domain.topics import shop_topic
from feira.services.payments import releases
from tests.integration.orders.stage import kind
from tests.integration.payouts.till import Till

REFUNDS_FAIL = "4000000000005126"


async def test_money_is_available_once_its_clearance_is_over(till: Till) -> None:
    bought = await till.sale()
    assert await till.money(bought.shop.id) == {"pending": 9_000}
    days = await till.floor.value(
        "SELECT round(extract(epoch FROM due_at - now()) / 86400)::int FROM releases"
    )
    assert days == 7
    await till.end_clearances()
    assert await till.money(bought.shop.id) == {"available": 9_000}
    kinds = [kind(event) for event in await till.floor.stage.events(shop_topic(bought.shop.id))]
    assert "payout.release_moved" in kinds
    assert kinds[-1] == "payout.funds_released"


async def test_a_shop_without_clearance_gets_its_money_at_the_next_look(till: Till) -> None:
    await till.execute("UPDATE payout_policy SET clearance_s = 0")
    bought = await till.sale()
    await till.floor.market.database.transact(releases.release_due)
    assert await till.money(bought.shop.id) == {"available": 9_000}


async def test_while_something_keeps_it_the_clock_stands_still(till: Till) -> None:
    bought = await till.sale()
    transact = till.floor.market.database.transact
    await transact(lambda tx: releases.pause(tx, bought.order, "chargeback"))
    await transact(lambda tx: releases.pause(tx, bought.order, "return"))
    await till.execute("UPDATE releases SET paused_at = paused_at - interval '3 days'")
    due = "SELECT due_at FROM releases WHERE order_id = $1"
    before = await till.floor.value(due, bought.order)
    await till.execute("UPDATE releases SET due_at = due_at - interval '10 days'")
    assert await transact(releases.release_due) == 0
    await till.execute("UPDATE releases SET due_at = due_at + interval '10 days'")

    await transact(lambda tx: releases.resume(tx, bought.order, "chargeback"))
    assert await till.floor.value(due, bought.order) == before
    await transact(lambda tx: releases.resume(tx, bought.order, "return"))
    moved = await till.floor.value(due, bought.order) - before
    assert 3 * 86_400 <= moved.total_seconds() < 3 * 86_400 + 60
    await till.end_clearances()
    assert await till.money(bought.shop.id) == {"available": 9_000}


async def test_two_sweeps_at_once_release_each_order_once(till: Till) -> None:
    sales = [await till.sale() for _ in range(3)]
    await till.execute("UPDATE releases SET due_at = now()")
    transact = till.floor.market.database.transact
    await asyncio.gather(*(transact(releases.release_due) for _ in range(4)))
    for bought in sales:
        assert await till.money(bought.shop.id) == {"available": 9_000}


async def test_a_refund_that_fails_after_an_empty_release_comes_back_as_available(
    till: Till,
) -> None:
    """Nothing was left to release, so that no transaction says that the clearance is over."""
    bought = await till.sale(card=REFUNDS_FAIL)
    refund = await till.floor.refund(bought.order, 10_000)
    await till.end_clearances()
    assert await till.money(bought.shop.id) == {}

    async def has_failed() -> bool:
        return await till.floor.refund_state(refund) == "failed"

    await till.floor.until(has_failed)
    assert await till.money(bought.shop.id) == {"available": 9_000}
