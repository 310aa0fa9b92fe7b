"""The payment port, against every gateway: what its docstrings promise."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from feira.platform.domain.errors import Unavailable
from feira.platform.gateways.payments.objects import (
    BalanceTransaction,
    CaptureMethod,
    Evidence,
    Intent,
    Payout,
    Transfer,
)
from feira.platform.gateways.payments.refusal import GatewayRefused
from tests.integration.payments.floor import Floor
from tests.integration.payments.providers import PROVIDERS, Provider, until


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, floor: Floor) -> Provider:
    return PROVIDERS[request.param](floor)


def key() -> str:
    return uuid4().hex


def an_hour_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


async def intent_of(
    provider: Provider, *, capture: CaptureMethod = "automatic", idempotency_key: str | None = None
) -> Intent:
    return await provider.gateway.create_intent(
        amount_minor=10_000,
        currency="EUR",
        return_url="https://shop.example/back",
        metadata={"payment": "p"},
        capture=capture,
        group="group-1",
        idempotency_key=idempotency_key or key(),
    )


async def paid(provider: Provider) -> Intent:
    intent = await intent_of(provider)
    await provider.pay(intent)
    return await provider.gateway.fetch_intent(intent.reference)


async def transferred(
    provider: Provider,
    account: str,
    amount_minor: int = 9_000,
    *,
    intent: Intent | None = None,
    idempotency_key: str | None = None,
    client_reference: str = "order-1",
) -> Transfer:
    return await provider.gateway.transfer(
        account=account,
        amount_minor=amount_minor,
        currency="EUR",
        group="group-1",
        client_reference=client_reference,
        intent_reference=intent.reference if intent else None,
        idempotency_key=idempotency_key or key(),
    )


async def paid_out(
    provider: Provider, account: str, amount_minor: int, idempotency_key: str | None = None
) -> Payout:
    return await provider.gateway.payout(
        account=account,
        amount_minor=amount_minor,
        currency="EUR",
        client_reference="payout-1",
        idempotency_key=idempotency_key or key(),
    )


async def movements(provider: Provider, account: str = "") -> list[BalanceTransaction]:
    listed: list[BalanceTransaction] = []
    page: str | None = None
    while True:
        part = await provider.gateway.list_balance_transactions(
            since=an_hour_ago(), page=page, account=account
        )
        listed += part.items
        if part.next_page is None:
            return listed
        page = part.next_page


async def test_a_payment_is_declined_paid_and_given_back_in_parts(provider: Provider) -> None:
    gateway = provider.gateway
    intent = await intent_of(provider)
    await provider.pay_with_declined_card(intent)
    declined = await gateway.fetch_intent(intent.reference)
    assert declined.state == "requires_payment"
    assert declined.decline_code
    await provider.pay(intent)
    captured = await gateway.fetch_intent(intent.reference)
    assert (captured.state, captured.captured_minor) == ("succeeded", 10_000)
    assert 0 < captured.fee_minor < 10_000
    again = await gateway.cancel_intent(intent.reference, idempotency_key=key())
    assert again.state == "succeeded", "too late to cancel"

    parts = [
        await gateway.refund(
            intent.reference, amount_minor=part, client_reference=name, idempotency_key=key()
        )
        for name, part in (("r1", 4_000), ("r2", 6_000))
    ]
    with pytest.raises(GatewayRefused) as caught:
        await gateway.refund(
            intent.reference, amount_minor=1, client_reference="r3", idempotency_key=key()
        )
    assert caught.value.reason == "amount_too_large"
    listed = await gateway.list_refunds(intent.reference)
    assert {(one.reference, one.client_reference, one.amount_minor) for one in listed} == {
        (one.reference, one.client_reference, one.amount_minor) for one in parts
    }


async def test_a_payment_is_reserved_and_a_part_of_it_taken(provider: Provider) -> None:
    gateway = provider.gateway
    if not gateway.capabilities.manual_capture:
        pytest.skip("takes money at once only")
    intent = await intent_of(provider, capture="manual")
    with pytest.raises(GatewayRefused) as early:
        await gateway.capture_intent(intent.reference, idempotency_key=key())
    assert early.value.reason == "unexpected_state"
    await provider.pay(intent)
    reserved = await gateway.fetch_intent(intent.reference)
    assert (reserved.state, reserved.captured_minor, reserved.fee_minor) == ("authorized", 0, 0)
    assert reserved.authorized_until is not None
    with pytest.raises(GatewayRefused) as too_much:
        await gateway.capture_intent(intent.reference, amount_minor=10_001, idempotency_key=key())
    assert too_much.value.reason == "amount_too_large"
    with pytest.raises(GatewayRefused):
        await gateway.refund(
            intent.reference, amount_minor=1, client_reference="r", idempotency_key=key()
        )
    taken = await gateway.capture_intent(
        intent.reference, amount_minor=7_000, idempotency_key=key()
    )
    assert (taken.state, taken.captured_minor, taken.amount_minor) == ("succeeded", 7_000, 10_000)
    with pytest.raises(GatewayRefused):
        await gateway.refund(
            intent.reference, amount_minor=7_001, client_reference="r", idempotency_key=key()
        )


async def test_a_reservation_is_released_or_runs_out(provider: Provider) -> None:
    gateway = provider.gateway
    if not gateway.capabilities.manual_capture:
        pytest.skip("takes money at once only")
    released, late = (
        await intent_of(provider, capture="manual"),
        await intent_of(provider, capture="manual"),
    )
    for intent in (released, late):
        await provider.pay(intent)
    answer = await gateway.cancel_intent(released.reference, idempotency_key=key())
    assert answer.state == "canceled"
    await provider.end_authorization(late)
    for intent in (released, late):
        with pytest.raises(GatewayRefused) as caught:
            await gateway.capture_intent(intent.reference, idempotency_key=key())
        assert caught.value.reason == "unexpected_state"
    assert await movements(provider) == [], "no money moved"


async def test_money_goes_to_a_shop_back_again_and_to_its_bank(provider: Provider) -> None:
    gateway = provider.gateway
    intent, account = await paid(provider), await provider.open_account()
    transfer = await transferred(provider, account, intent=intent)
    assert (transfer.state, transfer.account, transfer.reversed_minor) == ("made", account, 0)
    with pytest.raises(GatewayRefused) as caught:
        await transferred(provider, account, 1_001, intent=intent)
    assert caught.value.reason == "amount_too_large"
    listed = await gateway.list_transfers("group-1", since=an_hour_ago())
    assert listed == [transfer]

    if gateway.capabilities.transfers_reversible:
        reversal = await gateway.reverse_transfer(
            transfer.reference, amount_minor=4_000, client_reference="v1", idempotency_key=key()
        )
        assert await gateway.list_reversals(transfer.reference) == [reversal]
        assert (await gateway.fetch_transfer(transfer.reference)).reversed_minor == 4_000
        with pytest.raises(GatewayRefused) as too_much:
            await gateway.reverse_transfer(
                transfer.reference, amount_minor=5_001, client_reference="v2", idempotency_key=key()
            )
        assert too_much.value.reason == "amount_too_large"
    if gateway.capabilities.payouts:
        left = sum(one.net_minor for one in await movements(provider, account))
        with pytest.raises(GatewayRefused) as more:
            await paid_out(provider, account, left + 1)
        assert (more.value.reason, more.value.try_later) == ("balance_insufficient", True)
        payout = await paid_out(provider, account, left)
        assert payout.state == "pending"
        assert [
            one.reference for one in await gateway.list_payouts(account, since=an_hour_ago())
        ] == [payout.reference]

        async def arrived() -> bool:
            now = await gateway.fetch_payout(payout.reference, account=account)
            return now.state == "paid"

        await until(arrived)
        assert sum(one.net_minor for one in await movements(provider, account)) == 0
        if gateway.capabilities.transfers_reversible:
            with pytest.raises(GatewayRefused) as gone:
                await gateway.reverse_transfer(
                    transfer.reference, amount_minor=1, client_reference="v3", idempotency_key=key()
                )
            assert gone.value.reason == "balance_insufficient"


async def test_a_paid_payout_can_come_back(provider: Provider) -> None:
    gateway = provider.gateway
    if not gateway.capabilities.payouts:
        pytest.skip("pays out by itself")
    intent, account = await paid(provider), await provider.open_account()
    await provider.fail_payouts_of(account)
    await transferred(provider, account, 5_000, intent=intent)
    payout = await paid_out(provider, account, 5_000)

    async def came_back() -> bool:
        now = await gateway.fetch_payout(payout.reference, account=account)
        return now.state == "failed"

    await until(came_back)
    assert (await gateway.fetch_payout(payout.reference, account=account)).failure_code
    assert sorted(one.kind for one in await movements(provider, account)) == [
        "payout",
        "payout_failure",
        "transfer",
    ]
    assert sum(one.net_minor for one in await movements(provider, account)) == 5_000


async def test_a_restricted_account_gets_nothing_and_a_balance_is_not_overdrawn(
    provider: Provider,
) -> None:
    account = await provider.open_account()
    with pytest.raises(GatewayRefused) as empty:
        await transferred(provider, account, 100)
    assert empty.value.reason == "balance_insufficient"
    intent = await paid(provider)
    await provider.restrict(account)
    assert (await provider.gateway.fetch_account(account)).status == "restricted"
    with pytest.raises(GatewayRefused) as caught:
        await transferred(provider, account, 100, intent=intent)
    assert caught.value.reason == "account_restricted"


async def test_a_dispute_is_answered_lost_and_reinstated(provider: Provider) -> None:
    gateway = provider.gateway
    intent = await paid(provider)
    before = sum(one.net_minor for one in await movements(provider))
    reference = await provider.dispute(intent)
    dispute = await gateway.fetch_dispute(reference)
    assert (dispute.state, dispute.amount_minor) == ("needs_response", 10_000)
    assert dispute.intent_reference == intent.reference
    assert dispute.evidence_due_at is not None
    during = sum(one.net_minor for one in await movements(provider))
    assert before - during == 10_000 + dispute.fee_minor
    if gateway.capabilities.evidence:
        evidence = Evidence(explanation="It was delivered.", tracking_number="1")
        answered = await gateway.submit_evidence(reference, evidence, idempotency_key=key())
        assert answered.state == "under_review"
        with pytest.raises(GatewayRefused) as twice:
            await gateway.submit_evidence(reference, evidence, idempotency_key=key())
        assert twice.value.reason == "unexpected_state"
    await provider.decide_dispute(reference, "lost")
    assert (await gateway.fetch_dispute(reference)).state == "lost"
    await provider.decide_dispute(reference, "won")
    assert (await gateway.fetch_dispute(reference)).state == "won"
    after = sum(one.net_minor for one in await movements(provider))
    assert before - after == dispute.fee_minor


async def test_a_lost_answer_is_found_by_its_key_and_done_once(provider: Provider) -> None:
    gateway = provider.gateway
    keys = {name: key() for name in ("intent", "refund", "transfer", "reversal", "payout")}
    await provider.lose_next_answer("create_intent")
    with pytest.raises(Unavailable):
        await intent_of(provider, idempotency_key=keys["intent"])
    intent = await intent_of(provider, idempotency_key=keys["intent"])
    await provider.pay(intent)

    async def refund() -> None:
        await gateway.refund(
            intent.reference,
            amount_minor=1_000,
            client_reference="r1",
            idempotency_key=keys["refund"],
        )

    await provider.lose_next_answer("refund")
    with pytest.raises(Unavailable) as lost:
        await refund()
    assert lost.value.code == "payment.provider_unavailable"
    await refund()
    assert len(await gateway.list_refunds(intent.reference)) == 1

    account = await provider.open_account()
    await provider.lose_next_answer("transfer")
    with pytest.raises(Unavailable):
        await transferred(provider, account, intent=intent, idempotency_key=keys["transfer"])
    transfer = await transferred(provider, account, intent=intent, idempotency_key=keys["transfer"])
    assert await gateway.list_transfers("group-1", since=an_hour_ago()) == [transfer]
    with pytest.raises(GatewayRefused) as other:
        await transferred(provider, account, 1, intent=intent, idempotency_key=keys["transfer"])
    assert other.value.reason == "idempotency_key_reused"

    if gateway.capabilities.payouts:
        await provider.lose_next_answer("payout")
        with pytest.raises(Unavailable):
            await paid_out(provider, account, 500, keys["payout"])
        payout = await paid_out(provider, account, 500, keys["payout"])
        assert [
            one.reference for one in await gateway.list_payouts(account, since=an_hour_ago())
        ] == [payout.reference]


async def test_five_at_once_with_one_key_have_one_effect(provider: Provider) -> None:
    intent, account, one = await paid(provider), await provider.open_account(), key()
    made = await asyncio.gather(
        *(transferred(provider, account, intent=intent, idempotency_key=one) for _ in range(5)),
        return_exceptions=True,
    )
    done = [transfer for transfer in made if isinstance(transfer, Transfer)]
    assert done
    assert all(isinstance(other, Transfer | Unavailable) for other in made)
    assert len({transfer.reference for transfer in done}) == 1
    assert len(await provider.gateway.list_transfers("group-1", since=an_hour_ago())) == 1


async def test_every_change_is_in_the_list_of_events_with_what_to_fetch(
    provider: Provider,
) -> None:
    gateway = provider.gateway
    if gateway.capabilities.events_kept_s == 0:
        pytest.skip("has no list of events")
    intent, account = await paid(provider), await provider.open_account()
    refund = await gateway.refund(
        intent.reference, amount_minor=1, client_reference="r", idempotency_key=key()
    )
    transfer = await transferred(provider, account, 100, intent=intent)
    dispute = await provider.dispute(intent)
    told: set[tuple[str | None, str]] = set()
    page: str | None = None
    while True:
        part = await gateway.list_events(since=an_hour_ago(), page=page)
        told |= {(event.kind, event.subject) for event in part.items}
        assert {event.provider for event in part.items} <= {gateway.name}
        if part.next_page is None:
            break
        page = part.next_page
    assert {
        ("intent", intent.reference),
        ("refund", refund.reference),
        ("transfer", transfer.reference),
        ("dispute", dispute),
        ("account", account),
    } <= told
    later = await gateway.list_events(since=datetime.now(UTC) + timedelta(hours=1))
    assert later.items == ()


async def test_what_nobody_made_is_not_found(provider: Provider) -> None:
    gateway = provider.gateway
    for look in (
        gateway.fetch_intent("pi_nothing"),
        gateway.fetch_refund("re_nothing"),
        gateway.fetch_transfer("tr_nothing"),
        gateway.fetch_account("acct_nothing"),
        gateway.fetch_dispute("dp_nothing"),
        gateway.cancel_intent("pi_nothing", idempotency_key=key()),
    ):
        with pytest.raises(GatewayRefused) as caught:
            await look
        assert (caught.value.code, caught.value.try_later) == ("gateway.not_found", False)


async def test_a_seller_completes_an_account_on_the_providers_page(provider: Provider) -> None:
    account = await provider.open_account()
    link = await provider.gateway.make_onboarding_link(
        account, return_url="https://shop.example/back", refresh_url="https://shop.example/again"
    )
    assert link.url.startswith("http")
    assert link.expires_at > datetime.now(UTC)
