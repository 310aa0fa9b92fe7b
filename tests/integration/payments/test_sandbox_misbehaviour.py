"""The sandbox company misbehaves as real providers do, on request and by a seed, and can say what really happened."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from feira.platform.domain.errors import Unavailable
from feira.platform.gateways.payments.objects import Intent
from tests.integration.payments.floor import GOOD_CARD, Floor


async def create(floor: Floor, key: str | None = None, amount_minor: int = 10_000) -> Intent:
    return await floor.gateway.create_intent(
        amount_minor=amount_minor,
        currency="EUR",
        return_url="https://shop.example/back",
        metadata={},
        idempotency_key=key or uuid4().hex,
    )


async def paid(floor: Floor, card: str = GOOD_CARD) -> Intent:
    intent = await create(floor)
    path = f"/v1/payment_intents/{intent.reference}/confirm"
    await floor.sandbox("POST", path, {"card": card})
    return intent


async def effects(floor: Floor, kind: str) -> list[dict[str, Any]]:
    _, answer = await floor.sandbox("GET", "/v1/test/effects")
    return [effect for effect in answer["effects"] if effect["kind"] == kind]


async def refund(floor: Floor, intent: Intent, key: str) -> str:
    answer = await floor.gateway.refund(
        intent.reference, amount_minor=100, client_reference="ours", idempotency_key=key
    )
    return answer.reference


async def test_a_saved_500_was_carried_out_and_is_answered_for_ever(floor: Floor) -> None:
    intent, key = await paid(floor), uuid4().hex
    await floor.fault("refunds.create", "saved_500")
    with pytest.raises(Unavailable) as first:
        await refund(floor, intent, key)
    assert first.value.code == "payment.provider_unavailable"
    for _ in range(2):
        with pytest.raises(Unavailable) as again:
            await refund(floor, intent, key)
        assert again.value.code == "payment.outcome_unknown"
    (adopted,) = await floor.gateway.list_refunds(intent.reference)
    assert adopted.client_reference == "ours"
    (effect,) = await effects(floor, "refund")
    assert (effect["id"], effect["made_by_key"]) == (adopted.reference, key)


@pytest.mark.parametrize("kind", ["refuse", "fail_500", "rate_limit"])
async def test_a_refused_call_did_nothing_and_works_with_the_same_key(
    floor: Floor, kind: str
) -> None:
    intent, key = await paid(floor), uuid4().hex
    await floor.fault("refunds.create", kind)
    with pytest.raises(Unavailable) as caught:
        await refund(floor, intent, key)
    assert caught.value.retry_after_s == (1 if kind == "rate_limit" else 5)
    assert await effects(floor, "refund") == []
    await refund(floor, intent, key)
    assert len(await effects(floor, "refund")) == 1


async def test_a_key_is_forgotten_after_a_day(floor: Floor) -> None:
    key = uuid4().hex
    first = await create(floor, key)
    await floor.value(
        "UPDATE sandbox.idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = $1",
        key,
    )
    second = await create(floor, key, 9_999)
    assert first.reference != second.reference
    assert await create(floor, key, 9_999) == second


async def test_events_are_listed_for_thirty_days(floor: Floor) -> None:
    await paid(floor)
    await floor.value("UPDATE sandbox.events SET created_at = now() - interval '29 days'")
    _, listed = await floor.sandbox("GET", "/v1/events?since=0")
    assert len(listed["data"]) == 1
    await floor.value("UPDATE sandbox.events SET created_at = now() - interval '31 days'")
    _, listed = await floor.sandbox("GET", "/v1/events?since=0")
    assert listed["data"] == []


async def test_a_refund_arrives_and_comes_back(floor: Floor) -> None:
    intent = await paid(floor, "4000000000005423")
    reference = await refund(floor, intent, uuid4().hex)
    assert (await floor.gateway.fetch_refund(reference)).state == "succeeded"

    async def came_back() -> bool:
        return (await floor.gateway.fetch_refund(reference)).state == "failed"

    await floor.until(came_back)
    assert (await floor.gateway.fetch_refund(reference)).failure_code == "lost_or_stolen_card"
    _, shown = await floor.sandbox("GET", f"/v1/payment_intents/{intent.reference}")
    assert shown["refunded_minor"] == 0


@pytest.mark.parametrize("approved", [True, False])
async def test_a_bank_asks_on_its_page_before_it_pays(floor: Floor, *, approved: bool) -> None:
    intent = await create(floor)
    assert intent.payment_page_url is not None
    card = {"how": "special", "paying": "4000002760003184"}
    async with floor.session.post(intent.payment_page_url, data=card) as page:
        assert page.status == 200
        assert "Your bank asks" in await page.text()
    assert (await floor.gateway.fetch_intent(intent.reference)).state == "requires_action"
    answer = {"how": "approve" if approved else "refuse"}
    async with floor.session.post(
        intent.payment_page_url, data=answer, allow_redirects=False
    ) as back:
        assert back.status == 303
    after = await floor.gateway.fetch_intent(intent.reference)
    assert (after.state, after.decline_code) == (
        ("succeeded", "") if approved else ("requires_payment", "authentication_failed")
    )


@pytest.mark.parametrize(
    ("card", "reason"),
    [("4000000000000259", "fraudulent"), ("4000000000002685", "product_not_received")],
)
async def test_some_cards_owners_take_their_money_back(
    floor: Floor, card: str, reason: str
) -> None:
    intent = await paid(floor, card)
    (effect,) = await effects(floor, "dispute")
    dispute = await floor.gateway.fetch_dispute(effect["id"])
    assert (dispute.intent_reference, dispute.reason) == (intent.reference, reason)


async def test_the_evidence_decides(floor: Floor) -> None:
    await paid(floor, "4000000000000259")
    (effect,) = await effects(floor, "dispute")
    path = f"/v1/disputes/{effect['id']}/evidence"
    await floor.sandbox("POST", path, {"explanation": "Here is winning_evidence."})

    async def won() -> bool:
        return (await floor.gateway.fetch_dispute(effect["id"])).state == "won"

    await floor.until(won)


async def test_a_seller_who_was_not_finished_is_checked_after_the_page(floor: Floor) -> None:
    account = await floor.gateway.create_account(
        shop_name="Unfinished Goods", country="PT", idempotency_key=uuid4().hex
    )
    assert (account.status, account.requirements) == ("pending", ("owner.identity",))
    link = await floor.gateway.make_onboarding_link(
        account.reference, return_url=f"{floor.url}/back", refresh_url=f"{floor.url}/again"
    )
    async with floor.session.get(link.url) as page:
        assert "Unfinished Goods" in await page.text()
    async with floor.session.post(link.url, allow_redirects=False) as done:
        assert done.headers["Location"] == f"{floor.url}/back"
    async with floor.session.get(link.url, allow_redirects=False) as again:
        assert again.headers["Location"] == f"{floor.url}/again"

    async def verified() -> bool:
        return (await floor.gateway.fetch_account(account.reference)).status == "verified"

    await floor.until(verified)


async def test_an_owner_is_sent_to_the_providers_page_until_the_account_is_verified(
    floor: Floor,
) -> None:
    shop = await floor.stage.shop()
    path = f"/v1/shops/{shop.id}/payment-account"
    account = await floor.gateway.create_account(
        shop_name="Unfinished Goods", country="PT", idempotency_key=uuid4().hex
    )
    await floor.value(
        "UPDATE shops SET provider_account = $2 WHERE id = $1", shop.id, account.reference
    )
    status, shown = await floor.api("GET", path, shop.owner)
    assert (status, shown["status"], shown["requirements"]) == (200, "pending", ["owner.identity"])
    async with floor.session.post(shown["onboarding_url"], allow_redirects=False) as done:
        assert done.headers["Location"].endswith("/selling?account=told")

    async def verified() -> bool:
        return (await floor.api("GET", path, shop.owner))[1]["status"] == "verified"

    await floor.until(verified)
    assert (await floor.api("GET", path, shop.owner))[1]["onboarding_url"] is None
    stranger = await floor.stage.person()
    assert (await floor.api("GET", path, stranger))[0] == 404


async def test_a_slow_call_keeps_no_other_waiting(floor: Floor) -> None:
    intent = await paid(floor)
    await floor.fault("payment_intents.create", "slow", calls=4)
    slow = [asyncio.create_task(create(floor)) for _ in range(4)]
    await asyncio.sleep(0.2)
    assert (await floor.gateway.fetch_intent(intent.reference)).state == "succeeded"
    assert not any(one.done() for one in slow)
    await asyncio.gather(*slow)


async def outcomes(floor: Floor, seed: str) -> list[str]:
    """What forty calls with forty fixed keys come to."""
    await floor.sandbox(
        "POST",
        "/v1/test/chaos",
        {"seed": seed, "calls": {"refuse": 0.2, "apply_then_hang_up": 0.2, "saved_500": 0.1}},
    )
    said: list[str] = []
    for number in range(40):
        async with aiohttp.ClientSession() as session:
            key = f"{seed}-{number}"
            try:
                made = await floor.sandbox_through(session, key)
            except aiohttp.ServerDisconnectedError:
                said.append("hung up")
            else:
                said.append(str(made))
    async with floor.session.delete(
        f"{floor.url}/sandbox/v1/test/chaos", headers=floor.sandbox_headers
    ) as done:
        assert done.status == 200
    return said


async def test_chance_is_the_seeds_and_strikes_a_key_once(floor: Floor) -> None:
    said = await outcomes(floor, "seed-7")
    assert {"200", "503", "500", "hung up"} == set(said)
    await floor.value("DELETE FROM sandbox.chaos_draws")
    await floor.value("DELETE FROM sandbox.idempotency_keys")
    assert await outcomes(floor, "seed-7") == said
    again = [await floor.sandbox_through(floor.session, f"seed-7-{n}") for n in range(40)]
    assert again == [500 if one == "500" else 200 for one in said], "saved failures stay"


async def test_webhooks_are_lost_doubled_and_shuffled_by_chance(floor: Floor) -> None:
    rates = {"lost": 0.25, "doubled": 0.25, "shuffled": 0.25}
    await floor.sandbox("POST", "/v1/test/chaos", {"seed": "w", "webhooks": rates})
    for number in range(40):
        body = {"type": "surprise.happened", "object": f"x_{number}"}
        await floor.sandbox("POST", "/v1/test/events", body)
    counts = await floor.value(
        "SELECT array_agg(DISTINCT sent ORDER BY sent) FROM (SELECT count(d.id) AS sent"
        " FROM sandbox.events AS e LEFT JOIN sandbox.deliveries AS d ON d.event_id = e.id GROUP BY e.id) AS each"
    )
    assert counts == [0, 1, 2]
