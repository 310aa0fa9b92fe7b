"""Webhooks: signed, kept once, acknowledged fast, and only ever a hint to look."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from feira.platform.gateways.payments.sandbox.signature import sign
from feira.platform.gateways.payments.sandbox.wire import SIGNATURE_HEADER
from tests.integration.payments.floor import Floor


def event(subject: str, kind: str = "payment_intent.succeeded", **fields: Any) -> bytes:
    return msgspec.json.encode(
        {"id": f"evt_{uuid4().hex}", "type": kind, "created": 1, "object": subject} | fields
    )


async def deliver(
    floor: Floor, body: bytes, signature: str | None = None, **headers: str
) -> tuple[int, Any]:
    secret = floor.market.config.sandbox_webhook_secret
    signature = signature or sign(body, secret=secret, at=int(time.time()))
    async with floor.session.post(
        f"{floor.url}/v1/webhooks/sandbox",
        data=body,
        headers={SIGNATURE_HEADER: signature, "Content-Type": "application/json", **headers},
    ) as answer:
        return answer.status, await answer.json(content_type=None)


async def count_jobs(floor: Floor) -> int:
    return await floor.value("SELECT count(*) FROM jobs WHERE kind = 'payments.handle_webhook'")


async def test_refused_events_leave_nothing_behind(floor: Floor) -> None:
    body = event("pi_1")
    secret = floor.market.config.sandbox_webhook_secret
    stale = sign(body, secret=secret, at=int(time.time()) - 400)
    assert (await deliver(floor, body, f"t={int(time.time())},v1={'0' * 64}"))[0] == 403
    status, problem = await deliver(floor, body, stale)
    assert (status, problem["code"]) == (403, "webhook.stale")
    assert (await deliver(floor, b"{}"))[0] == 400
    async with floor.session.post(f"{floor.url}/v1/webhooks/nobody", data=body) as answer:
        assert answer.status == 404
    assert await floor.value("SELECT count(*) FROM webhook_events") == 0
    assert await count_jobs(floor) == 0


async def test_an_event_delivered_many_times_is_kept_and_handled_once(floor: Floor) -> None:
    body = event("pi_1")
    answers = await asyncio.gather(*(deliver(floor, body) for _ in range(6)))
    assert [status for status, _ in answers] == [200] * 6
    assert sum(answer["new"] for _, answer in answers) == 1
    assert await deliver(floor, body) == (200, {"new": False})
    assert await floor.value("SELECT count(*) FROM webhook_events") == 1
    assert await count_jobs(floor) == 1


async def test_news_that_nobody_knows_is_kept_and_changes_nothing(floor: Floor) -> None:
    body = event("x_1", kind="surprise.happened")
    assert await deliver(floor, body) == (200, {"new": True})
    await floor.run_jobs()
    rows = "SELECT (type, kind, handled_at) FROM webhook_events"
    assert await floor.value(rows) == ("surprise.happened", None, None)
    assert await count_jobs(floor) == 0


async def test_an_event_that_lies_about_a_payment_changes_nothing(floor: Floor) -> None:
    bought = await floor.purchase()
    reference = (await floor.payment(bought.payment)).gateway_reference
    assert reference is not None
    assert (await deliver(floor, event(reference)))[0] == 200

    async def handled() -> bool:
        return await floor.value("SELECT bool_and(handled_at IS NOT NULL) FROM webhook_events")

    await floor.until(handled)
    assert (await floor.payment(bought.payment)).state == "pending"


async def test_events_out_of_order_end_where_the_provider_is(floor: Floor) -> None:
    bought = await floor.purchase()
    # Declined first, but told last.
    await floor.confirm(bought.payment, "4000000000000002", webhook_delay_s=2)
    await floor.confirm(bought.payment, duplicates=3)
    await floor.settled(bought.payment, "captured")

    async def all_told() -> bool:
        return await floor.value(
            "SELECT count(*) = 2 AND bool_and(handled_at IS NOT NULL) FROM webhook_events"
        )

    await floor.until(all_told)
    assert (await floor.payment(bought.payment)).state == "captured"
    order = await floor.stage.order(bought.order, bought.buyer.principal)
    assert (order.status, order.payment_status) == ("paid", "captured")
    assert (await floor.books())["hold"] == 10_000


async def test_an_event_about_a_payment_nobody_knows_is_tried_again(floor: Floor) -> None:
    intent = await floor.gateway.create_intent(
        amount_minor=100,
        currency="EUR",
        return_url="https://x.example",
        metadata={},
        idempotency_key=uuid4().hex,
    )
    await deliver(floor, event(intent.reference))
    await floor.run_jobs()
    state, error = await floor.value(
        "SELECT (state::text, last_error) FROM jobs WHERE kind = 'payments.handle_webhook'"
    )
    assert state == "ready"
    assert "payment.unknown_intent" in error


@pytest.mark.parametrize(
    ("name", "status"), [("Honest Goods", "verified"), ("Restricted Goods", "restricted")]
)
async def test_the_providers_decision_on_an_account_reaches_the_shop(
    floor: Floor, name: str, status: str
) -> None:
    shop = await floor.stage.shop()
    account = await floor.gateway.create_account(
        shop_name=name, country="PT", idempotency_key=uuid4().hex
    )
    await floor.value(
        "UPDATE shops SET status = 'verifying', provider_account = $2 WHERE id = $1",
        shop.id,
        account.reference,
    )

    async def decided() -> bool:
        return await floor.value("SELECT status::text FROM shops WHERE id = $1", shop.id) == status

    await floor.until(decided)
