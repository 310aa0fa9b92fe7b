"""How our gateway takes what PayPal does: approvals that wait for us, tokens that end, batches that exist already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from feira.platform.domain.errors import InvalidInput, NotAllowed, Unavailable
from feira.platform.gateways.payments.objects import Transfer
from feira.platform.gateways.payments.refusal import GatewayRefused
from tests.contracts.exercises import Scene, key
from tests.contracts.paypal_provider import CLIENT_SECRET
from tests.contracts.paypal_stage import SIGNED, PayPalStage, open_paypal


@pytest.fixture
async def stage(contracts: Path) -> AsyncIterator[PayPalStage]:
    async with open_paypal(contracts) as opened:
        yield opened
        assert opened.company.wrong == []


@pytest.fixture
def scene(stage: PayPalStage) -> Scene:
    return Scene(stage=stage, started_at=datetime.now(UTC))


async def test_an_approved_order_is_captured_once_by_whoever_looks(
    stage: PayPalStage, scene: Scene
) -> None:
    intent = await scene.intent()
    stage.provider.approve(intent.reference)
    looks = await asyncio.gather(*(stage.gateway.fetch_intent(intent.reference) for _ in range(5)))
    assert {look.state for look in looks} == {"succeeded"}
    assert {look.captured_minor for look in looks} == {12_340}
    assert {look.fee_minor for look in looks} == {100}
    captures = [one for one in stage.provider.things if one.startswith("C")]
    assert len(captures) == 1


async def test_an_order_that_we_cancelled_is_never_captured(
    stage: PayPalStage, scene: Scene
) -> None:
    intent = await scene.intent()
    left = await stage.gateway.cancel_intent(intent.reference, idempotency_key=key())
    assert (left.state, left.payment_page_url) == ("canceled", None)
    stage.provider.approve(intent.reference)
    assert (await stage.gateway.fetch_intent(intent.reference)).state == "canceled"


async def test_an_authorisation_is_voided(stage: PayPalStage, scene: Scene) -> None:
    intent = await scene.intent(manual=True)
    stage.provider.approve(intent.reference)
    held = await stage.gateway.fetch_intent(intent.reference)
    assert held.state == "authorized"
    assert held.authorized_until is not None
    assert held.authorized_until > datetime.now(UTC) + timedelta(days=20)
    for _ in range(2):
        left = await stage.gateway.cancel_intent(intent.reference, idempotency_key=key())
        assert left.state == "canceled"
    with pytest.raises(GatewayRefused) as refused:
        await stage.gateway.capture_intent(intent.reference, idempotency_key=key())
    assert refused.value.reason == "unexpected_state"


async def test_a_declined_instrument_leaves_the_page_open(stage: PayPalStage, scene: Scene) -> None:
    intent = await scene.intent()
    stage.provider.declines = ["INSTRUMENT_DECLINED"]
    stage.provider.approve(intent.reference)
    declined = await stage.gateway.fetch_intent(intent.reference)
    assert (declined.state, declined.decline_code) == ("requires_payment", "instrument_declined")
    assert declined.payment_page_url == intent.payment_page_url
    assert (await stage.gateway.fetch_intent(intent.reference)).state == "succeeded"


async def test_a_token_is_asked_for_once_and_again_when_it_ended(
    stage: PayPalStage, scene: Scene
) -> None:
    await asyncio.gather(*(scene.intent() for _ in range(5)))
    assert len(stage.provider.tokens) == 1
    stage.provider.tokens.append("another one is good now")
    await scene.intent()
    assert len(stage.provider.tokens) == 3


async def test_wrong_credentials_are_told_without_them(stage: PayPalStage, scene: Scene) -> None:
    stage.gateway.settings = msgspec.structs.replace(stage.gateway.settings, client_secret="other")
    gateway = type(stage.gateway)(stage.gateway.settings)
    with pytest.raises(Unavailable, match="paypal_client_id") as away:
        await gateway.fetch_intent("O1")
    await gateway.close()
    assert "other" not in str(away.value)
    assert CLIENT_SECRET not in repr(stage.gateway.settings)


async def _transfer(
    stage: PayPalStage, account: str, once: str, amount_minor: int = 900
) -> Transfer:
    return await stage.gateway.transfer(
        account=account,
        amount_minor=amount_minor,
        currency="EUR",
        group="payout of week 48",
        client_reference="ours",
        idempotency_key=once,
    )


async def test_a_lost_answer_to_a_payout_is_found_by_its_key(stage: PayPalStage) -> None:
    account, once = await stage.account(), key()
    stage.company.lose = "POST /v1/payments/payouts"
    with pytest.raises(Unavailable):
        await _transfer(stage, account, once)
    stage.provider.forget_keys()
    made = await _transfer(stage, account, once)
    assert (made.state, made.account, made.group) == ("made", account, "payout of week 48")
    assert await stage.gateway.fetch_transfer(made.reference) == made
    assert len([one for one in stage.provider.things if one.startswith("B")]) == 1
    with pytest.raises(GatewayRefused) as refused:
        await _transfer(stage, account, once, 901)
    assert refused.value.reason == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("UNCLAIMED", "pending"),
        ("ONHOLD", "pending"),
        ("RETURNED", "failed"),
        ("BLOCKED", "failed"),
        ("REVERSED", "reversed"),
    ],
)
async def test_what_becomes_of_a_payout_is_told(
    stage: PayPalStage, status: str, state: str
) -> None:
    made = await _transfer(stage, await stage.account(), key())
    stage.provider.things[made.reference]["items"][0]["transaction_status"] = status
    now = await stage.gateway.fetch_transfer(made.reference)
    assert now.state == state
    assert now.failure_code == (status.lower() if state == "failed" else "")
    assert now.reversed_minor == (900 if state == "reversed" else 0)


async def test_a_batch_without_items_yet_is_pending(stage: PayPalStage) -> None:
    made = await _transfer(stage, await stage.account(), key())
    batch = stage.provider.things[made.reference]
    batch["items"] = []
    assert (await stage.gateway.fetch_transfer(made.reference)).state == "pending"
    batch["batch_header"]["batch_status"] = "DENIED"
    assert (await stage.gateway.fetch_transfer(made.reference)).state == "failed"


async def test_sellers_are_paid_only_once_they_gave_permission(stage: PayPalStage) -> None:
    made = await stage.gateway.create_account(shop_name="S", country="PT", idempotency_key=key())
    assert (await stage.gateway.fetch_account(made.reference)).status == "pending"
    with pytest.raises(GatewayRefused) as refused:
        await _transfer(stage, made.reference, key())
    assert (refused.value.reason, refused.value.try_later) == ("account_restricted", True)
    stage.provider.onboard(made.reference)
    assert (await stage.gateway.fetch_account(made.reference)).status == "verified"
    stage.provider.onboard(made.reference, payments_receivable=False)
    assert (await stage.gateway.fetch_account(made.reference)).status == "restricted"


@pytest.mark.parametrize(
    ("currency", "amount_minor", "reason"),
    [("KWD", 1000, "not_supported"), ("HUF", 12_345, "invalid_request")],
)
async def test_amounts_that_paypal_cannot_say_are_refused_before_they_are_sent(
    stage: PayPalStage, scene: Scene, currency: str, amount_minor: int, reason: str
) -> None:
    with pytest.raises(GatewayRefused) as refused:
        await scene.intent(currency=currency, amount_minor=amount_minor)
    assert refused.value.reason == reason
    assert stage.company.asked == []


async def test_news_that_paypal_did_not_send_is_refused(stage: PayPalStage, scene: Scene) -> None:
    await scene.paid()
    body = msgspec.json.encode(stage.provider.events[0])
    verify = stage.gateway.verify_webhook
    assert (await verify(SIGNED, body)).kind == "intent"
    for headers in ({}, SIGNED | {"Paypal-Transmission-Sig": "forged"}):
        with pytest.raises(NotAllowed) as refused:
            await verify(headers, body)
        assert refused.value.code == "webhook.bad_signature"
    with pytest.raises(NotAllowed):
        await verify(SIGNED, body.replace(b"COMPLETED", b"DECLINED_"))
    with pytest.raises(InvalidInput):
        await verify(SIGNED, b"[]")
    stage.provider.tell("BILLING.PLAN.CREATED", {"id": 7, "batch_header": []})
    odd = await verify(SIGNED, msgspec.json.encode(stage.provider.events[0]))
    assert (odd.kind, odd.subject) == (None, "")
    stage.company.misbehave = ["502"]
    with pytest.raises(Unavailable):
        await verify(SIGNED, body)


async def test_a_dispute_is_followed_to_its_end(stage: PayPalStage, scene: Scene) -> None:
    intent = await scene.paid()
    reference = stage.provider.dispute(intent.reference, dispute_life_cycle_stage="INQUIRY")
    dispute = stage.provider.things[reference]
    states: list[str] = []
    for change in (
        {},
        {"dispute_life_cycle_stage": "CHARGEBACK"},
        {"status": "UNDER_REVIEW"},
        {"status": "RESOLVED", "dispute_outcome": {"outcome_code": "RESOLVED_BUYER_FAVOUR"}},
        {"dispute_outcome": {"outcome_code": "RESOLVED_SELLER_FAVOUR"}},
    ):
        dispute.update(change)
        states.append((await stage.gateway.fetch_dispute(reference)).state)
    assert states == ["inquiry", "needs_response", "under_review", "lost", "won"]
