"""News that no webhook brought is found in the provider's list; operators see all news and can have it handled again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from feira.platform.domain.errors import Unavailable
from feira.platform.domain.permissions import Principal
from feira.platform.gateways.payments.sandbox.client import SandboxGateway
from feira.services.payments.event_sweep import sweep_events
from tests.integration.payments.floor import Floor

EVENTS = "/v1/operations/provider-events"


async def lose_every_webhook(floor: Floor) -> None:
    await floor.sandbox("POST", "/v1/test/chaos", {"seed": "lost", "webhooks": {"lost": 1.0}})


async def counts(floor: Floor) -> dict[str, int]:
    async with floor.market.database.connection() as con:
        rows = await con.fetch(
            "SELECT source, count(*) AS events FROM webhook_events GROUP BY source"
        )
    return {row["source"]: row["events"] for row in rows}


async def test_a_payment_whose_webhook_was_lost_is_captured_by_the_sweep(floor: Floor) -> None:
    await lose_every_webhook(floor)
    bought = await floor.purchase()
    await floor.confirm(bought.payment)
    assert (await floor.payment(bought.payment)).state == "pending"
    assert await sweep_events(floor.market) == 1
    await floor.settled(bought.payment, "captured")
    assert await counts(floor) == {"sweep": 1}
    assert await sweep_events(floor.market) == 0, "the overlap is known already"
    assert (await floor.books())["hold"] == 10_000


async def test_what_webhooks_brought_is_not_handled_again(floor: Floor) -> None:
    bought = await floor.paid()
    before = await floor.books()
    await sweep_events(floor.market)
    await floor.run_jobs()
    assert await counts(floor) == {"webhook": 1}
    assert await floor.books() == before
    assert (await floor.payment(bought.payment)).state == "captured"


async def test_long_lists_are_swept_page_by_page_and_the_cursor_moves_at_the_end(
    floor: Floor,
) -> None:
    await lose_every_webhook(floor)
    await floor.value(
        "INSERT INTO sandbox.events (id, type, body) SELECT 'evt_' || n, 'surprise.happened',"
        " json_build_object('id', 'evt_' || n, 'type', 'surprise.happened', 'created', 1, 'object', 'x_' || n)::text"
        " FROM generate_series(1, 250) AS n"
    )
    assert await sweep_events(floor.market) == 250
    swept = "SELECT now() - swept_until FROM event_sweeps WHERE provider = 'sandbox'"
    assert await floor.value(swept) < timedelta(minutes=1)


async def test_a_sweep_that_fails_leaves_its_cursor_and_one_that_comes_back_catches_up(
    floor: Floor,
) -> None:
    await sweep_events(floor.market)
    await floor.value("UPDATE event_sweeps SET swept_until = now() - interval '5 hours'")
    before = await floor.value("SELECT swept_until FROM event_sweeps")
    away = SandboxGateway(lambda: ["http://127.0.0.1:9"], webhook_secret="s")
    with pytest.raises(Unavailable):
        await sweep_events(replace(floor.market, payments=away))
    await away.close()
    assert await floor.value("SELECT swept_until FROM event_sweeps") == before
    await lose_every_webhook(floor)
    await floor.sandbox("POST", "/v1/test/events", {"type": "surprise.happened", "object": "x"})
    await floor.value("UPDATE sandbox.events SET created_at = now() - interval '6 hours'")
    assert await sweep_events(floor.market) == 1


async def test_two_sweeps_at_once_adopt_each_event_once(floor: Floor) -> None:
    await lose_every_webhook(floor)
    for number in range(10):
        body = {"type": "surprise.happened", "object": f"x_{number}"}
        await floor.sandbox("POST", "/v1/test/events", body)
    assert sum(await asyncio.gather(*(sweep_events(floor.market) for _ in range(3)))) == 10


async def listed(floor: Floor, who: Principal, query: str = "") -> list[dict[str, Any]]:
    status, page = await floor.api("GET", f"{EVENTS}{query}", who)
    assert status == 200, page
    return page["items"]


async def test_operators_see_what_came_and_have_it_handled_again(floor: Floor) -> None:
    admin = await floor.stage.person("admin")
    bought = await floor.paid()
    await floor.sandbox("POST", "/v1/test/events", {"type": "surprise.happened", "object": "x"})

    async def both_came() -> bool:
        return len(await listed(floor, admin)) == 2

    await floor.until(both_came)
    (known,) = await listed(floor, admin, "?state=handled")
    assert (known["type"], known["kind"], known["source"]) == (
        "payment_intent.succeeded",
        "intent",
        "webhook",
    )
    (unknown,) = await listed(floor, admin, "?state=ignored")
    assert (unknown["type"], unknown["handled_at"]) == ("surprise.happened", None)
    assert [one["id"] for one in await listed(floor, admin, "?limit=1")] == [
        max(known, unknown, key=lambda one: one["received_at"])["id"]
    ]
    _, first = await floor.api("GET", f"{EVENTS}?limit=1", admin)
    assert len(await listed(floor, admin, f"?limit=1&cursor={quote(first['next_cursor'])}")) == 1

    status, problem = await floor.api("POST", f"{EVENTS}/{unknown['id']}/replay", admin)
    assert (status, problem["code"]) == (422, "webhook.unknown_kind")
    before = await floor.books()
    status, again = await floor.api("POST", f"{EVENTS}/{known['id']}/replay", admin)
    assert (status, again["state"]) == (200, "waiting")

    async def handled() -> bool:
        return (await listed(floor, admin, "?state=waiting")) == []

    await floor.until(handled)
    assert await floor.books() == before
    assert (await floor.payment(bought.payment)).state == "captured"


async def test_news_that_cannot_be_handled_yet_says_why(floor: Floor) -> None:
    admin = await floor.stage.person("admin")
    intent = await floor.gateway.create_intent(
        amount_minor=100,
        currency="EUR",
        return_url="https://x.example",
        metadata={},
        idempotency_key=uuid4().hex,
    )
    body = {"type": "payment_intent.succeeded", "object": intent.reference}
    await floor.sandbox("POST", "/v1/test/events", body)

    async def tried() -> bool:
        waiting = await listed(floor, admin, "?state=waiting")
        return bool(waiting) and "payment.unknown_intent" in (waiting[0]["last_error"] or "")

    await floor.until(tried)
