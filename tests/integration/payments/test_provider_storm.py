"""A provider that misbehaves in every way it knows, and books that agree with its own to the cent in the end.

The sandbox's list of effects is the oracle: it is the other company's account of what was really done. The seed fixes what
people do; which calls go wrong follows their keys, which are new each time.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from feira.platform.domain.errors import Unavailable
from feira.services.payments.event_sweep import sweep_events
from feira.services.payments.introduction import ensure_intent
from tests.integration.payments.floor import GOOD_CARD, Floor, Purchase

CARDS = (GOOD_CARD, GOOD_CARD, "4000000000007726", "4000000000000002")
CALLS = {
    "refuse": 0.1,
    "fail_500": 0.05,
    "rate_limit": 0.05,
    "apply_then_hang_up": 0.2,
    "saved_500": 0.15,
}
WEBHOOKS = {"lost": 0.25, "doubled": 0.25, "late": 0.1, "shuffled": 0.25}
QUIET = (
    "SELECT NOT EXISTS (SELECT FROM jobs WHERE kind LIKE 'payments.%' AND state <> 'done')"
    " AND NOT EXISTS (SELECT FROM refunds WHERE state = 'requested')"
)


async def storm(floor: Floor, seed: str, purchases: int) -> None:
    """Buy, pay and give back under fire; then the sky clears and everything settles."""
    chance = random.Random(seed)
    bought = [await buy(floor, chance) for _ in range(purchases)]
    chaos = {"seed": seed, "calls": CALLS, "webhooks": WEBHOOKS}
    assert (await floor.sandbox("POST", "/v1/test/chaos", chaos))[0] == 200
    for one in bought:
        await under_fire(floor, one, chance)
    async with floor.session.delete(
        f"{floor.url}/sandbox/v1/test/chaos", headers=floor.sandbox_headers
    ) as done:
        assert done.status == 200
    await settle(floor)
    await compare(floor)
    drawn = await floor.value("SELECT count(*) FROM sandbox.chaos_draws WHERE fault <> ''")
    assert drawn >= purchases // 3, "there was a storm"


async def buy(floor: Floor, chance: random.Random) -> Purchase:
    stage = floor.stage
    buyer, shop = await stage.buyer(), await stage.shop()
    variant = await stage.variant(shop, price_minor=chance.randint(100, 100_000))
    made, orders = await stage.buy(buyer, variant)
    return Purchase(buyer=buyer, shop=shop, order=orders[0], payment=made.payment_id, made=made)


async def under_fire(floor: Floor, bought: Purchase, chance: random.Random) -> None:
    for _ in range(6):
        try:
            await ensure_intent(floor.market, bought.payment)
            break
        except Unavailable:
            continue
    payment = await floor.payment(bought.payment)
    if payment.gateway_reference is None:
        return
    with suppress(aiohttp.ServerDisconnectedError):
        await floor.confirm(bought.payment, chance.choice(CARDS))
    await floor.hurry()
    if (await floor.payment(bought.payment)).state == "captured":
        for _ in range(chance.randint(0, 2)):
            await floor.refund(bought.order, chance.randint(1, payment.amount_minor // 3))
    await floor.hurry()


async def settle(floor: Floor) -> None:
    async def quiet() -> bool:
        await floor.hurry()
        return await floor.value(QUIET)

    await sweep_events(floor.market)
    await floor.until(quiet, within_s=60)


async def compare(floor: Floor) -> None:
    _, outside = await floor.sandbox("GET", "/v1/test/effects")
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for effect in outside["effects"]:
        by_kind.setdefault(effect["kind"], []).append(effect)
    async with floor.market.database.connection() as con:
        captured = {
            row["gateway_reference"]: row["amount_minor"]
            for row in await con.fetch(
                "SELECT gateway_reference, amount_minor FROM payments WHERE state = 'captured'"
            )
        }
        refunds = {
            str(row["id"]): row["amount_minor"]
            for row in await con.fetch(
                "SELECT id, amount_minor FROM refunds WHERE state = 'succeeded'"
            )
        }
    taken = {
        effect["id"]: effect["amount_minor"]
        for effect in by_kind["payment_intent"]
        if effect["state"] == "succeeded"
    }
    assert taken == captured
    given_back = Counter(effect["client_reference"] for effect in by_kind.get("refund", []))
    assert given_back == Counter(refunds.keys()), "each refund exists outside exactly once"
    assert refunds == {
        effect["client_reference"]: effect["amount_minor"] for effect in by_kind.get("refund", [])
    }
    (balance,) = [one["balance_minor"] for one in outside["balances"] if one["account"] == ""]
    assert (await floor.books())["psp"] == balance


async def test_books_and_provider_agree_after_a_storm(floor: Floor) -> None:
    seed = os.environ.get("FEIRA_SEED", "storm-1")
    print(f"FEIRA_SEED={seed}")
    await storm(floor, seed, purchases=10)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_books_and_provider_agree_after_a_long_storm(floor: Floor) -> None:
    seed = os.environ.get("FEIRA_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"FEIRA_SEED={seed}")
    loop = asyncio.get_running_loop()
    until, round_ = loop.time() + float(os.environ.get("FEIRA_SOAK_S", "300")), 0
    while loop.time() < until:
        await storm(floor, f"{seed}-{round_}", purchases=25)
        round_ += 1
