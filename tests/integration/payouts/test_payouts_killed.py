"""A process is killed with -9 at each step of a payout; whoever comes after it finishes, and nothing happens twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Final

import pytest

from feira.platform.runtime.config import to_environment
from tests.chaos.killed_at import failpoints_in
from tests.integration.payouts.till import Till

ROOT: Final = Path(__file__).parents[3]
ON_THE_WAY: Final = (
    *("payouts.making", "payouts.batch_made", "payouts.transfer_asked", "payouts.transfer_made"),
    *("payouts.transfer_kept", "payouts.send_asked", "payouts.sent", "payouts.send_kept"),
)
BACK_AGAIN: Final = ("payouts.reversed", "payouts.reversal_kept")
# Money has moved outside, and nobody here knows.
WORST: Final = ("payouts.transfer_made", "payouts.sent")


def test_every_failpoint_is_tried() -> None:
    assert {*ON_THE_WAY, *BACK_AGAIN} == failpoints_in("feira/services/payouts")


async def test_a_worker_that_dies_with_the_answer_pays_nobody_twice(till: Till) -> None:
    for point in WORST:
        await pay_and_die(till, point, ends="paid")


@pytest.mark.soak
async def test_a_worker_may_die_at_any_step(till: Till) -> None:
    for point in ON_THE_WAY:
        await pay_and_die(till, point, ends="paid")
    for point in BACK_AGAIN:
        await pay_and_die(till, point, ends="failed")


async def pay_and_die(till: Till, point: str, *, ends: str) -> None:
    bought = await till.cleared()
    shop = bought.shop.id
    if ends == "failed":
        await till.banks_do(shop, "fail")
    await till.let_slot_come(shop)
    victim = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.chaos.payout_victim", point),
        cwd=ROOT,
        env=dict(os.environ) | dict(to_environment(till.floor.market.config)),
    )
    async with asyncio.timeout(60):
        assert await victim.wait() == -signal.SIGKILL, point
    if not await till.payouts(shop):
        # It died before anything was committed.
        await till.pay_batch()
    (payout,) = await till.payouts(shop)
    await till.until(payout, ends)

    def of_payout(effects: list[dict[str, str]]) -> list[dict[str, str]]:
        return [one for one in effects if one["client_reference"].startswith(str(payout))]

    assert len(of_payout(await till.effects("transfer"))) == 1, point
    sent = of_payout(await till.effects("payout"))
    assert [one["state"] for one in sent] == [ends], point
    undone = of_payout(await till.effects("transfer_reversal"))
    assert len(undone) == (ends == "failed"), point
    assert await till.money(shop) == ({} if ends == "paid" else {"available": 9_000}), point
