"""How our gateway takes what Stripe does: declines, silence, saved failures, foreign currencies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from feira.platform.domain.errors import Unavailable
from feira.platform.gateways.payments.objects import Evidence
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.gateways.payments.stripe.connection import API_VERSION
from tests.contracts.exercises import Scene, key
from tests.contracts.stripe_stage import SECRET_KEY, WEBHOOK_SECRET, StripeStage


@pytest.fixture
def scene(stage: StripeStage) -> Scene:
    return Scene(stage=stage, started_at=datetime.now(UTC))


async def test_every_call_carries_the_key_and_the_version_and_no_telemetry(
    stage: StripeStage, scene: Scene
) -> None:
    await scene.transferred()
    for asked in stage.company.asked:
        assert asked.headers["Authorization"] == f"Bearer {SECRET_KEY}"
        assert asked.headers["Stripe-Version"] == API_VERSION
        assert "X-Stripe-Client-Telemetry" not in asked.headers


async def test_a_declined_try_leaves_the_page_open_and_names_the_banks_reason(
    stage: StripeStage, scene: Scene
) -> None:
    intent = await scene.intent()
    stage.provider.pay(intent.reference, decline="insufficient_funds")
    declined = await stage.gateway.fetch_intent(intent.reference)
    assert (declined.state, declined.decline_code) == ("requires_payment", "insufficient_funds")
    assert declined.payment_page_url == intent.payment_page_url
    await stage.pay(intent)
    paid = await stage.gateway.fetch_intent(intent.reference)
    assert (paid.state, paid.decline_code, paid.payment_page_url) == ("succeeded", "", None)


@pytest.mark.parametrize(
    ("status", "state"), [("requires_action", "requires_action"), ("processing", "processing")]
)
async def test_a_payment_under_way_is_told_apart(
    stage: StripeStage, scene: Scene, status: str, state: str
) -> None:
    intent = await scene.intent()
    stage.provider.pay(intent.reference, status=status)
    assert (await stage.gateway.fetch_intent(intent.reference)).state == state


async def test_a_payment_has_succeeded_only_when_its_fee_is_known(
    stage: StripeStage, scene: Scene
) -> None:
    intent = await scene.paid()
    payment = stage.provider.things[stage.provider.things[intent.reference]["payment_intent"]]
    charge = stage.provider.things[payment["latest_charge"]]
    booked, charge["balance_transaction"] = charge["balance_transaction"], None
    assert (await stage.gateway.fetch_intent(intent.reference)).state == "processing"
    charge["balance_transaction"] = booked
    assert (
        await stage.gateway.fetch_intent(intent.reference)
    ).fee_minor == 12_340 * 29 // 1000 + 30


async def test_a_fee_in_another_currency_is_told_in_that_of_the_charge(
    stage: StripeStage, scene: Scene
) -> None:
    intent = await scene.paid(currency="JPY", amount_minor=10_000)
    payment = stage.provider.things[stage.provider.things[intent.reference]["payment_intent"]]
    entry = stage.provider.things[
        stage.provider.things[payment["latest_charge"]]["balance_transaction"]
    ]
    entry.update(amount=6_150, fee=209, net=5_941, currency="eur")
    # 209 / 6150 of 10,000 yen is 339.8.
    assert (await stage.gateway.fetch_intent(intent.reference)).fee_minor == 340


async def test_an_authorisation_tells_until_when_it_holds(stage: StripeStage, scene: Scene) -> None:
    intent = await scene.intent(manual=True)
    await stage.pay(intent)
    held = await stage.gateway.fetch_intent(intent.reference)
    assert held.authorized_until is not None
    assert held.authorized_until > datetime.now(UTC) + timedelta(days=4)


async def test_an_intent_is_found_by_the_payment_that_came_of_it(
    stage: StripeStage, scene: Scene
) -> None:
    intent = await scene.intent()
    payment = stage.provider.pay(intent.reference)["id"]
    for _ in range(2):
        assert (await stage.gateway.fetch_intent(payment)).reference == intent.reference
    looked_up = [a for a in stage.company.asked if f"payment_intent={payment}" in a.query]
    assert len(looked_up) == 1, "the tie never changes and is asked for once"


@pytest.mark.parametrize(("currency", "amount_minor"), [("KWD", 12_345), ("BHD", 1), ("TND", 999)])
async def test_an_amount_that_stripe_cannot_say_is_refused_before_it_is_sent(
    stage: StripeStage, scene: Scene, currency: str, amount_minor: int
) -> None:
    with pytest.raises(GatewayRefused, match="steps of 10") as refused:
        await scene.intent(currency=currency, amount_minor=amount_minor)
    assert (refused.value.reason, refused.value.provider_code) == ("invalid_request", "amount_step")
    assert stage.company.asked == []


async def test_forints_are_paid_out_whole(stage: StripeStage, scene: Scene) -> None:
    made = await scene.transferred(currency="HUF", amount_minor=12_345)
    with pytest.raises(GatewayRefused, match="steps of 100"):
        await _pay_out(stage, made.account, 12_345, "HUF")
    assert (await _pay_out(stage, made.account, 12_300, "HUF")).amount_minor == 12_300


async def _pay_out(stage: StripeStage, account: str, amount_minor: int, currency: str):  # noqa: ANN202
    return await stage.gateway.payout(
        account=account,
        amount_minor=amount_minor,
        currency=currency,
        client_reference=key(),
        idempotency_key=key(),
    )


async def test_refusals_have_the_ports_reasons(stage: StripeStage, scene: Scene) -> None:
    gateway = stage.gateway
    unpaid, paid = await scene.intent(), await scene.paid(amount_minor=1000)
    made = await scene.transferred(amount_minor=1000)

    async def refusal(call: object) -> tuple[str, bool]:
        with pytest.raises(GatewayRefused) as refused:
            await call  # pyright: ignore[reportGeneralTypeIssues]
        assert refused.value.code == f"gateway.{refused.value.reason}"
        return refused.value.reason, refused.value.try_later

    names = {"client_reference": "x", "idempotency_key": key()}
    assert await refusal(gateway.fetch_account("acct_none")) == ("not_found", False)
    assert await refusal(gateway.refund(unpaid.reference, amount_minor=10, **names)) == (
        "unexpected_state",
        False,
    )
    names["idempotency_key"] = key()
    assert await refusal(gateway.refund(paid.reference, amount_minor=1001, **names)) == (
        "amount_too_large",
        False,
    )
    assert await refusal(gateway.capture_intent(unpaid.reference, idempotency_key=key())) == (
        "unexpected_state",
        False,
    )
    assert await refusal(gateway.capture_intent(paid.reference, idempotency_key=key())) == (
        "unexpected_state",
        False,
    )
    assert await refusal(_pay_out(stage, made.account, 1001, "EUR")) == (
        "balance_insufficient",
        True,
    )
    names["idempotency_key"] = key()
    assert await refusal(gateway.reverse_transfer(made.reference, amount_minor=1001, **names)) == (
        "amount_too_large",
        False,
    )
    await _pay_out(stage, made.account, 1000, "EUR")
    names["idempotency_key"] = key()
    assert await refusal(gateway.reverse_transfer(made.reference, amount_minor=1000, **names)) == (
        "balance_insufficient",
        True,
    )


async def test_a_key_is_for_one_request(stage: StripeStage, scene: Scene) -> None:
    paid, once = await scene.paid(), key()
    refund = stage.gateway.refund
    first = await refund(
        paid.reference, amount_minor=10, client_reference="a", idempotency_key=once
    )
    again = await refund(
        paid.reference, amount_minor=10, client_reference="a", idempotency_key=once
    )
    assert first == again
    with pytest.raises(GatewayRefused) as refused:
        await refund(paid.reference, amount_minor=20, client_reference="a", idempotency_key=once)
    assert refused.value.reason == "idempotency_key_reused"


async def test_a_dispute_is_answered_once(stage: StripeStage, scene: Scene) -> None:
    reference = await stage.dispute(await scene.paid())
    evidence = Evidence(explanation="It arrived.")
    await stage.gateway.submit_evidence(reference, evidence, idempotency_key=key())
    with pytest.raises(GatewayRefused) as refused:
        await stage.gateway.submit_evidence(reference, evidence, idempotency_key=key())
    assert refused.value.reason == "unexpected_state"
    assert (await stage.gateway.fetch_dispute(reference)).fee_minor == 1500


async def test_an_inquiry_moves_no_money_and_can_be_answered(
    stage: StripeStage, scene: Scene
) -> None:
    intent = await scene.paid()
    payment = stage.provider.things[intent.reference]["payment_intent"]
    asked = stage.provider.open_dispute(payment, status="warning_needs_response")
    dispute = await stage.gateway.fetch_dispute(asked["id"])
    assert (dispute.state, dispute.fee_minor) == ("inquiry", 0)
    evidence = Evidence(explanation="It arrived.")
    answered = await stage.gateway.submit_evidence(asked["id"], evidence, idempotency_key=key())
    assert answered.state == "inquiry"


@pytest.mark.parametrize("fault", ["502", "redirect", "hang_up", "half"])
async def test_silence_and_nonsense_mean_that_the_outcome_is_unknown(
    stage: StripeStage, scene: Scene, fault: str
) -> None:
    paid, once = await scene.paid(), key()
    stage.company.misbehave = ["", fault]
    with pytest.raises(Unavailable) as away:
        await _refund(stage, paid.reference, once)
    assert away.value.code == "payment.provider_unavailable"
    refund = await _refund(stage, paid.reference, once)
    assert [refund] == await stage.gateway.list_refunds(paid.reference)


async def test_a_saved_failure_is_found_out_by_listing(stage: StripeStage, scene: Scene) -> None:
    paid = await scene.paid()
    stage.company.misbehave = ["", "saved"]
    with pytest.raises(Unavailable) as unknown:
        await _refund(stage, paid.reference, key())
    assert unknown.value.code == "payment.outcome_unknown"
    assert [one.client_reference for one in await stage.gateway.list_refunds(paid.reference)] == [
        "ours"
    ]


async def _refund(stage: StripeStage, reference: str, once: str):  # noqa: ANN202
    return await stage.gateway.refund(
        reference, amount_minor=10, client_reference="ours", idempotency_key=once
    )


async def test_no_key_is_told_to_anybody(stage: StripeStage, scene: Scene) -> None:
    assert SECRET_KEY not in repr(stage.gateway.settings)
    assert WEBHOOK_SECRET not in repr(stage.gateway.settings)
    stage.provider.refuse_with = {
        "type": "invalid_request_error",
        "message": f"Invalid key {SECRET_KEY}",
    }
    for status, error in ((401, Unavailable), (403, GatewayRefused), (400, GatewayRefused)):
        stage.provider.refuse_status = status
        with pytest.raises(error) as told:
            await scene.account()
        assert SECRET_KEY not in str(told.value)
        assert told.value.__cause__ is None
