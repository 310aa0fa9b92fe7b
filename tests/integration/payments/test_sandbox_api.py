"""The sandbox company: what it promises to anybody who integrates it."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from feira.platform.domain.errors import Rejected, Unavailable
from feira.platform.gateways.payments.objects import Intent
from feira.platform.gateways.payments.sandbox.client import SandboxGateway
from tests.integration.payments.floor import GOOD_CARD, Floor


async def create(floor: Floor, amount_minor: int = 10_000, key: str | None = None) -> Intent:
    return await floor.gateway.create_intent(
        amount_minor=amount_minor,
        currency="EUR",
        return_url="https://shop.example/back",
        metadata={"payment": "p"},
        idempotency_key=key or uuid4().hex,
    )


async def pay(floor: Floor, intent: Intent, card: str = GOOD_CARD, **options: int) -> int:
    path = f"/v1/payment_intents/{intent.reference}/confirm"
    return (await floor.sandbox("POST", path, {"card": card, **options}))[0]


async def test_nobody_gets_in_without_the_key(floor: Floor) -> None:
    async with floor.session.post(f"{floor.url}/sandbox/v1/accounts", json={"name": "x"}) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == "bad_api_key"
    stranger = SandboxGateway(lambda: [f"{floor.url}/sandbox"], webhook_secret="another")
    with pytest.raises(Unavailable):
        await stranger.fetch_intent("pi_1")
    await stranger.close()


async def test_the_same_key_gives_the_same_intent_and_another_body_an_error(floor: Floor) -> None:
    key = uuid4().hex
    first, *others = await asyncio.gather(*(create(floor, key=key) for _ in range(5)))
    assert all(other == first for other in others)
    with pytest.raises(Rejected) as caught:
        await create(floor, 9_999, key=key)
    assert caught.value.code == "gateway.idempotency_key_reused"


@pytest.mark.parametrize(
    ("amount_minor", "fee_minor"), [(10_000, 320), (1, 1), (50, 31), (51_724, 1_530)]
)
async def test_the_fee_is_2_9_percent_and_30_minor_units(
    floor: Floor, amount_minor: int, fee_minor: int
) -> None:
    intent = await create(floor, amount_minor)
    assert intent.fee_minor == 0
    await pay(floor, intent)
    paid = await floor.gateway.fetch_intent(intent.reference)
    assert (paid.state, paid.fee_minor) == ("succeeded", fee_minor)


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("4000000000000002", "card_declined"),
        ("4000000000009995", "insufficient_funds"),
        ("4000000000000069", "expired_card"),
    ],
)
async def test_a_declined_card_takes_nothing_and_another_one_may_be_tried(
    floor: Floor, card: str, code: str
) -> None:
    intent = await create(floor)
    assert await pay(floor, intent, card) == 200
    declined = await floor.gateway.fetch_intent(intent.reference)
    assert (declined.state, declined.decline_code) == ("requires_payment", code)
    await pay(floor, intent)
    paid = await floor.gateway.fetch_intent(intent.reference)
    assert (paid.state, paid.decline_code) == ("succeeded", "")


async def test_no_intent_is_paid_twice(floor: Floor) -> None:
    intent = await create(floor)
    statuses = await asyncio.gather(*(pay(floor, intent) for _ in range(4)))
    assert sorted(statuses) == [200, 409, 409, 409]


async def test_a_late_capture_happens_unless_it_is_cancelled_before(floor: Floor) -> None:
    late, cancelled = await create(floor), await create(floor)
    await pay(floor, late, delay_s=1)
    await pay(floor, cancelled, delay_s=1)
    assert (await floor.gateway.fetch_intent(late.reference)).state == "processing"
    assert await pay(floor, late) == 409, "one payment at a time"
    after = await floor.gateway.cancel_intent(cancelled.reference, idempotency_key=uuid4().hex)
    assert after.state == "canceled"

    async def captured() -> bool:
        return (await floor.gateway.fetch_intent(late.reference)).state == "succeeded"

    await floor.until(captured)
    assert (await floor.gateway.fetch_intent(cancelled.reference)).state == "canceled"


async def test_cancelling_what_was_paid_tells_that_it_was_paid(floor: Floor) -> None:
    intent = await create(floor)
    await pay(floor, intent)
    after = await floor.gateway.cancel_intent(intent.reference, idempotency_key=uuid4().hex)
    assert after.state == "succeeded"


async def test_refunds_at_once_never_exceed_the_payment(floor: Floor) -> None:
    intent = await create(floor)
    with pytest.raises(Rejected) as caught:
        await floor.gateway.refund(
            intent.reference, amount_minor=1, client_reference="", idempotency_key=uuid4().hex
        )
    assert caught.value.code == "gateway.unexpected_state"
    await pay(floor, intent)
    outcomes = await asyncio.gather(
        *(
            floor.gateway.refund(
                intent.reference,
                amount_minor=4_000,
                client_reference="",
                idempotency_key=uuid4().hex,
            )
            for _ in range(5)
        ),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    assert {error.code for error in refused} == {"gateway.amount_too_large"}
    assert len(refused) == 3
    _, shown = await floor.sandbox("GET", f"/v1/payment_intents/{intent.reference}")
    assert shown["refunded_minor"] == 8_000


@pytest.mark.parametrize(
    ("name", "status"), [("Honest Goods", "verified"), ("A Restricted Shop", "restricted")]
)
async def test_an_account_is_decided_on_a_moment_after_it_was_opened(
    floor: Floor, name: str, status: str
) -> None:
    account = await floor.gateway.create_account(
        shop_name=name, country="PT", idempotency_key=uuid4().hex
    )
    assert account.status == "pending"

    async def decided() -> bool:
        return (await floor.gateway.fetch_account(account.reference)).status == status

    await floor.until(decided)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"amount_minor": 0, "currency": "EUR", "return_url": "https://x"},
        {"amount_minor": 1.5, "currency": "EUR", "return_url": "https://x"},
        {"amount_minor": 1, "currency": "euro", "return_url": "https://x"},
        {"amount_minor": 1, "currency": "EUR", "return_url": "javascript:alert(1)"},
        {"amount_minor": 1, "currency": "EUR", "return_url": "https://x\r\nSet-Cookie: a=b"},
        {"amount_minor": 1, "currency": "EUR", "return_url": "https://x", "surprise": 1},
    ],
)
async def test_a_wrong_request_is_refused(floor: Floor, body: dict[str, Any]) -> None:
    status, answer = await floor.sandbox("POST", "/v1/payment_intents", body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


async def test_a_provider_that_is_away_is_unavailable() -> None:
    gateway = SandboxGateway(
        lambda: ["http://127.0.0.1:9", "http://127.0.0.1:19"], webhook_secret="s"
    )
    with pytest.raises(Unavailable) as caught:
        await gateway.fetch_intent("pi_1")
    assert caught.value.code == "payment.provider_unavailable"
    await gateway.close()


async def test_the_second_address_is_tried_where_the_first_takes_no_connection(
    floor: Floor,
) -> None:
    gateway = SandboxGateway(
        lambda: ["http://127.0.0.1:9", f"{floor.url}/sandbox"],
        webhook_secret=floor.market.config.sandbox_webhook_secret,
    )
    intent = await create(floor)
    assert (await gateway.fetch_intent(intent.reference)).reference == intent.reference
    await gateway.close()


async def test_the_page_shows_the_amount_and_sends_the_buyer_back(floor: Floor) -> None:
    intent = await create(floor)
    assert intent.payment_page_url is not None
    async with floor.session.get(intent.payment_page_url) as page:
        html = await page.text()
        assert page.status == 200
        assert "Pay 100.00 EUR" in html
        assert "script" not in html
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self' https://shop.example" in policy
    form = {"how": "decline", "declined": "4000000000009995"}
    async with floor.session.post(
        intent.payment_page_url, data=form, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "https://shop.example/back")
    async with floor.session.get(intent.payment_page_url) as page:
        assert "insufficient_funds" in await page.text()
    async with floor.session.post(
        intent.payment_page_url, data={"how": "pay"}, allow_redirects=False
    ) as answer:
        assert answer.status == 303
    assert (await floor.gateway.fetch_intent(intent.reference)).state == "succeeded"
    async with floor.session.post(
        intent.payment_page_url, data={"how": "pay"}, allow_redirects=False
    ) as again:
        assert again.status == 200
        assert "This is paid" in await again.text()


async def test_a_payment_nobody_made_has_no_page(floor: Floor) -> None:
    async with floor.session.get(f"{floor.url}/sandbox/pay/pi_nothing") as page:
        assert page.status == 404


async def test_calls_go_wrong_on_request(floor: Floor) -> None:
    await floor.fault("payment_intents.create", "refuse")
    with pytest.raises(Unavailable):
        await create(floor)
    assert (await create(floor)).state == "requires_payment"
