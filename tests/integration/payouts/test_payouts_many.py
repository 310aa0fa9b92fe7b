"""A run for many sellers: each is paid once, in batches, and memory stays as it is."""

from __future__ import annotations

import tracemalloc
from uuid import uuid4

import pytest

from feira.platform.domain.ids import AdjustmentId, ShopId
from feira.platform.domain.postings_shops import adjusted
from feira.platform.domain.shop_funds import ShopFunds
from feira.services.payments import ledger
from feira.services.payouts.making import run_payouts
from feira.sql.database import Tx
from tests.integration.payouts.till import Till

GROWTH_BYTES_MAX = 2_000_000


async def earn(till: Till, shops: int) -> None:
    """So many shops, each with something available and a slot that has come."""
    owner = await till.floor.stage.person()

    async def some(tx: Tx, count: int) -> None:
        rows = await tx.con.fetch(
            "INSERT INTO shops (owner_id, name, slug, country, currency, status, provider_account,"
            " provider_status) SELECT $1, 'Shop', gen_random_uuid()::text, 'PT', 'EUR', 'approved',"
            " gen_random_uuid()::text, 'verified' FROM generate_series(1, $2) RETURNING id",
            owner.user_id,
            count,
        )
        ids = [ShopId(row["id"]) for row in rows]
        await tx.con.execute(
            "INSERT INTO payout_settings (shop_id, next_slot_at) SELECT id, now() FROM unnest($1::uuid[]) AS id",
            ids,
        )
        for shop in ids:
            credit = adjusted(
                adjustment_id=AdjustmentId(uuid4()),
                shop_id=shop,
                currency="EUR",
                amount_minor=1_000,
                funds=ShopFunds(stage="cleared"),
                reason="A test.",
            )
            await ledger.post(tx, credit)

    for _ in range(0, shops, 100):
        await till.floor.market.database.transact(lambda tx: some(tx, min(100, shops)))


async def paid_with_growth(till: Till, shops: int) -> int:
    """Pay them all, and return how much the peak of memory lay above its beginning, in bytes."""
    await earn(till, shops)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        assert await run_payouts(till.floor.market) == shops
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    total = await till.floor.value("SELECT count(*) FROM payouts WHERE amount_minor = 1000")
    assert total == shops
    assert await run_payouts(till.floor.market) == 0
    return peak - before


async def test_a_run_for_many_shops_pays_each_once(till: Till) -> None:
    assert await paid_with_growth(till, 100) < GROWTH_BYTES_MAX


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_memory_stays_as_it_is_for_ten_thousand_shops(till: Till) -> None:
    assert await paid_with_growth(till, 10_000) < GROWTH_BYTES_MAX
