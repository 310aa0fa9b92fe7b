"""How our gateway takes what Razorpay does, which knows no keys and has no list of events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from feira.platform.domain.errors import InvalidInput, NotAllowed, Unavailable
from feira.platform.gateways.payments.objects import ProviderRefund, Transfer
from feira.platform.gateways.payments.razorpay.gateway import RazorpayGateway
from feira.platform.gateways.payments.refusal import GatewayRefused
from tests.contracts.exercises import Scene, key
from tests.contracts.razorpay_provider import KEY_SECRET
from tests.contracts.razorpay_stage import WEBHOOK_SECRET, RazorpayStage, open_razorpay, signed


@pytest.fixture
async def stage(contracts: Path) -> AsyncIterator[RazorpayStage]:
    async with open_razorpay(contracts) as opened:
        yield opened
        assert opened.company.wrong == []


@pytest.fixture
def scene(stage: RazorpayStage) -> Scene:
    return Scene(stage=stage, started_at=datetime.now(UTC))


async def test_an_authorised_payment_is_captured_once_by_whoever_looks(
    stage: RazorpayStage, scene: Scene
) -> None:
    intent = await scene.intent(currency="INR", amount_minor=50_000)
    stage.provider.pay(intent.reference, status="authorized")
    looks = await asyncio.gather(*(stage.gateway.fetch_intent(intent.reference) for _ in range(4)))
    assert {look.state for look in looks} == {"succeeded"}
    assert {look.fee_minor for look in looks} == {1180}
    assert [kind for kind, _ in stage.provider.told].count("payment.captured") == 1


async def test_a_failed_try_leaves_the_page_open_and_says_why(
    stage: RazorpayStage, scene: Scene
) -> None:
    intent = await scene.intent()
    payment = stage.provider.pay(intent.reference, status="failed", reason="payment_declined")
    for reference in (intent.reference, payment["id"]):
        declined = await stage.gateway.fetch_intent(reference)
        assert declined.reference == intent.reference
        assert (declined.state, declined.decline_code) == ("requires_payment", "payment_declined")
        assert declined.payment_page_url == intent.payment_page_url
    stage.provider.pay(intent.reference)
    assert (await stage.gateway.fetch_intent(intent.reference)).state == "succeeded"


async def test_a_key_makes_one_thing_however_often_and_however_many_ask(
    stage: RazorpayStage, scene: Scene
) -> None:
    gateway, once = stage.gateway, key()

    async def intent() -> str:
        made = await gateway.create_intent(
            amount_minor=500,
            currency="INR",
            return_url="https://market.example/",
            metadata={},
            idempotency_key=once,
        )
        return made.reference

    assert len(set(await asyncio.gather(*(intent() for _ in range(5))))) == 1
    paid, account = await scene.paid(), await stage.account()

    async def refund(amount_minor: int = 10) -> str:
        made = await gateway.refund(
            paid.reference, amount_minor=amount_minor, client_reference="r", idempotency_key=once
        )
        return made.reference

    async def transfer(of: str | None, amount_minor: int = 10) -> str:
        return (await _transfer(stage, account, once, of, amount_minor)).reference

    other = (await scene.paid()).reference
    assert len(set(await asyncio.gather(*(refund() for _ in range(5))))) == 1
    assert len(set(await asyncio.gather(*(transfer(other) for _ in range(5))))) == 1
    assert len(set(await asyncio.gather(*(transfer(None) for _ in range(5))))) == 1
    for call in (refund(11), transfer(other, 11), transfer(None, 11)):
        with pytest.raises(GatewayRefused) as refused:
            await call
        assert refused.value.reason == "idempotency_key_reused"


async def _transfer(
    stage: RazorpayStage, account: str, once: str, of: str | None, amount_minor: int = 10
) -> Transfer:
    return await stage.gateway.transfer(
        account=account,
        amount_minor=amount_minor,
        currency="EUR",
        group="g",
        client_reference="t",
        idempotency_key=once,
        intent_reference=of,
    )


async def test_a_lost_answer_is_found_by_looking(stage: RazorpayStage, scene: Scene) -> None:
    paid, account, once = await scene.paid(), await stage.account(), key()

    async def refund() -> ProviderRefund:
        return await stage.gateway.refund(
            paid.reference, amount_minor=10, client_reference="r", idempotency_key=once
        )

    stage.company.lose = r"POST /v1/payments/\w+/refund"
    with pytest.raises(Unavailable):
        await refund()
    made = await refund()
    assert await stage.gateway.list_refunds(paid.reference) == [made]
    stage.company.lose = r"POST /v1/transfers"
    with pytest.raises(Unavailable):
        await _transfer(stage, account, once, None)
    transfer = await _transfer(stage, account, once, None)
    assert await stage.gateway.list_transfers("g", since=scene.started_at) == [transfer]


async def test_refusals_have_the_ports_reasons(stage: RazorpayStage, scene: Scene) -> None:
    gateway, paid = stage.gateway, await scene.paid(amount_minor=1000)

    async def reason(call: object) -> str:
        with pytest.raises(GatewayRefused) as refused:
            await call  # pyright: ignore[reportGeneralTypeIssues]
        return refused.value.reason

    def refund(amount_minor: int) -> object:
        return gateway.refund(
            paid.reference,
            amount_minor=amount_minor,
            client_reference="r",
            idempotency_key=key(),
        )

    account = await stage.account()
    assert await reason(gateway.fetch_intent("plink_none")) == "not_found"
    assert await reason(gateway.fetch_account("acc_none")) == "not_found"
    assert await reason(refund(1001)) == "amount_too_large"
    assert await reason(_transfer(stage, account, key(), paid.reference, 1001)) == (
        "amount_too_large"
    )
    await gateway.refund(
        paid.reference, amount_minor=1000, client_reference="r", idempotency_key=key()
    )
    assert await reason(refund(1)) == "amount_too_large"
    assert await reason(_transfer(stage, account, key(), paid.reference)) == "unexpected_state", (
        "nothing is transferred out of a payment that was refunded"
    )
    stage.provider.things[account]["status"] = "suspended"
    assert (await gateway.fetch_account(account)).status == "restricted"
    assert await reason(_transfer(stage, account, key(), None)) == "account_restricted"
    unpaid = await scene.intent()
    assert await reason(gateway.capture_intent(unpaid.reference, idempotency_key=key())) == (
        "unexpected_state"
    )


async def test_a_transfer_can_wait_before_it_is_settled(contracts: Path) -> None:
    async with open_razorpay(contracts, transfer_hold_s=3600) as stage:
        made = await _transfer(stage, await stage.account(), key(), None)
        held = stage.provider.things[made.reference]
        assert held["on_hold"] is True
        assert 3500 < held["on_hold_until"] - time.time() < 3700
        assert stage.company.wrong == []


async def test_a_part_is_taken_back_once(stage: RazorpayStage) -> None:
    made, once = await _transfer(stage, await stage.account(), key(), None), key()
    reversals = [
        await stage.gateway.reverse_transfer(
            made.reference, amount_minor=4, client_reference="v", idempotency_key=once
        )
        for _ in range(2)
    ]
    now = await stage.gateway.fetch_transfer(made.reference)
    assert (now.state, now.reversed_minor) == ("made", 4)
    assert await stage.gateway.list_reversals(made.reference) == reversals[:1]
    assert reversals[0] == reversals[1]


async def test_a_webhook_is_known_by_its_body(stage: RazorpayStage, scene: Scene) -> None:
    intent = await scene.intent()
    payment = stage.provider.pay(intent.reference)
    verify = stage.gateway.verify_webhook
    told = {kind: msgspec.json.encode(event) for kind, event in stage.provider.told}
    body = told["payment_link.paid"]
    event = await verify(signed(body), body)
    assert (event.kind, event.subject) == ("intent", intent.reference)
    replayed = await verify(signed(body) | {"X-Razorpay-Event-Id": "another"}, body)
    assert replayed.event_id == event.event_id
    body = told["payment.captured"]
    assert (await verify(signed(body), body)).subject == payment["id"]
    for headers in (signed(body, "other"), signed(body + b" "), dict[str, str]()):
        with pytest.raises(NotAllowed) as refused:
            await verify(headers, body)
        assert refused.value.code == "webhook.bad_signature"
    with pytest.raises(InvalidInput):
        await verify(signed(b"[]"), b"[]")
    unknown = b'{"event": "invoice.paid", "payload": {"invoice": [1]}}'
    assert (await verify(signed(unknown), unknown)).kind is None


async def test_without_a_secret_nothing_is_believed(stage: RazorpayStage) -> None:
    settings = msgspec.structs.replace(stage.gateway.settings, webhook_secret="")
    body = b'{"event": "payment.captured"}'
    with pytest.raises(NotAllowed):
        await RazorpayGateway(settings).verify_webhook(signed(body, ""), body)


async def test_wrong_keys_are_told_without_them(stage: RazorpayStage) -> None:
    settings = msgspec.structs.replace(stage.gateway.settings, key_secret="other")
    gateway = RazorpayGateway(settings)
    with pytest.raises(Unavailable, match="razorpay_key_id") as away:
        await gateway.fetch_intent("plink_1")
    await gateway.close()
    assert "other" not in str(away.value)
    shown = repr(stage.gateway.settings)
    assert KEY_SECRET not in shown
    assert WEBHOOK_SECRET not in shown


async def test_a_dispute_is_followed_to_its_end(stage: RazorpayStage, scene: Scene) -> None:
    reference = stage.provider.dispute((await scene.paid()).reference, phase="retrieval")
    dispute = stage.provider.things[reference]
    states: list[str] = []
    for phase, status in (
        ("retrieval", "open"),
        ("chargeback", "open"),
        ("chargeback", "under_review"),
        ("arbitration", "lost"),
        ("arbitration", "won"),
    ):
        dispute.update(phase=phase, status=status)
        states.append((await stage.gateway.fetch_dispute(reference)).state)
    assert states == ["inquiry", "needs_response", "under_review", "lost", "won"]
