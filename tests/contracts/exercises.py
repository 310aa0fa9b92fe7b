"""Every operation of the payment port, called with values as unusual as they come.

An exercise speaks only the port's language, so all providers get the same; what a provider's own side must do
meanwhile (a buyer pays, a bank disputes) is done by its `Stage`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol
from uuid import uuid4

from feira.platform.gateways.payments.objects import Evidence, Intent, Transfer
from feira.platform.gateways.payments.port import PaymentGateway

RETURN_URL: Final = "https://market.example/payments/0198f2c4?from=page&x=%C3%A9#top"
NAMES: Final = (
    "Ana & Söhne <i>GmbH</i>",
    "青い市場",
    "O'Brien; DROP TABLE shops; --",
    "n" * 200,
)
GROUPS: Final = ("", "group:0198f2c4-7e5a-7c31-9c44-4d3a5f1b6e02", "a&b=c[d]")
# With amounts that show wrong minor units, and the largest that providers take.
AMOUNTS: Final = (("EUR", 1099), ("USD", 99_999_999), ("JPY", 5000), ("KWD", 12_340))


class Stage(Protocol):
    """A provider's other side."""

    @property
    def gateway(self) -> PaymentGateway: ...

    # Operations that the provider has none of.
    @property
    def cannot(self) -> frozenset[str]: ...

    async def account(self) -> str:
        """A shop's account that may receive money."""
        ...

    def currencies(self) -> list[tuple[str, int]]: ...

    async def pay(self, intent: Intent) -> None: ...

    async def dispute(self, intent: Intent) -> str: ...

    async def signed_event(self) -> tuple[Mapping[str, str], bytes]: ...


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What exercises make for each other."""

    stage: Stage
    started_at: datetime

    @property
    def gateway(self) -> PaymentGateway:
        return self.stage.gateway

    async def account(self) -> str:
        return await self.stage.account()

    async def intent(
        self, *, currency: str = "EUR", amount_minor: int = 12_340, manual: bool = False
    ) -> Intent:
        return await self.gateway.create_intent(
            amount_minor=amount_minor,
            currency=currency,
            return_url=RETURN_URL,
            metadata={"payment": str(uuid4()), "note": "größer & [kleiner] = 100 %" * 3},
            idempotency_key=key(),
            capture="manual" if manual else "automatic",
            group=GROUPS[1],
        )

    async def paid(self, *, currency: str = "EUR", amount_minor: int = 12_340) -> Intent:
        intent = await self.intent(currency=currency, amount_minor=amount_minor)
        await self.stage.pay(intent)
        return await self.gateway.fetch_intent(intent.reference)

    async def transferred(self, *, currency: str = "EUR", amount_minor: int = 12_340) -> Transfer:
        intent = await self.paid(currency=currency, amount_minor=amount_minor)
        return await self.gateway.transfer(
            account=await self.account(),
            amount_minor=amount_minor,
            currency=currency,
            group=GROUPS[1],
            client_reference=key(),
            idempotency_key=key(),
            intent_reference=intent.reference,
        )


def key() -> str:
    return str(uuid4())


async def create_account(scene: Scene) -> None:
    for name in NAMES:
        for country in ("PT", "JP", "US"):
            account = await scene.gateway.create_account(
                shop_name=name, country=country, idempotency_key=key()
            )
            assert account.reference
            assert account.status == "pending"


async def fetch_account(scene: Scene) -> None:
    reference = await scene.account()
    assert (await scene.gateway.fetch_account(reference)).reference == reference


async def make_onboarding_link(scene: Scene) -> None:
    link = await scene.gateway.make_onboarding_link(
        await scene.account(), return_url=RETURN_URL, refresh_url=RETURN_URL
    )
    assert link.url.startswith("https://")
    assert link.expires_at > datetime.now(UTC)


async def create_intent(scene: Scene) -> None:
    for currency, amount_minor in scene.stage.currencies():
        for manual in (False, scene.gateway.capabilities.manual_capture):
            for group in GROUPS:
                intent = await scene.gateway.create_intent(
                    amount_minor=amount_minor,
                    currency=currency,
                    return_url=RETURN_URL,
                    metadata={f"name{n}": "ü" * 200 for n in range(10)},
                    idempotency_key=key(),
                    capture="manual" if manual else "automatic",
                    group=group,
                )
                assert (intent.amount_minor, intent.currency) == (amount_minor, currency)
                assert intent.capture == ("manual" if manual else "automatic")
                assert intent.state == "requires_payment"
                assert intent.payment_page_url


async def fetch_intent(scene: Scene) -> None:
    for currency, amount_minor in scene.stage.currencies():
        intent = await scene.paid(currency=currency, amount_minor=amount_minor)
        assert (intent.state, intent.captured_minor) == ("succeeded", amount_minor)


async def capture_intent(scene: Scene) -> None:
    for amount_minor in (None, 12_340, 10):
        intent = await scene.intent(manual=True)
        await scene.stage.pay(intent)
        assert (await scene.gateway.fetch_intent(intent.reference)).state == "authorized"
        captured = await scene.gateway.capture_intent(
            intent.reference, idempotency_key=key(), amount_minor=amount_minor
        )
        assert captured.state == "succeeded"
        assert captured.captured_minor == (amount_minor or 12_340)


async def cancel_intent(scene: Scene) -> None:
    cases = [(await scene.intent(), "canceled"), (await scene.paid(), "succeeded")]
    if scene.gateway.capabilities.manual_capture:
        authorized = await scene.intent(manual=True)
        await scene.stage.pay(authorized)
        cases.append((authorized, "canceled"))
    for intent, state in cases:
        once = key()
        for _ in range(2):
            left = await scene.gateway.cancel_intent(intent.reference, idempotency_key=once)
            assert left.state == state


async def refund(scene: Scene) -> None:
    for currency, amount_minor in scene.stage.currencies():
        intent = await scene.paid(currency=currency, amount_minor=amount_minor)
        client_reference, once = key(), key()
        made = [
            await scene.gateway.refund(
                intent.reference,
                amount_minor=amount_minor,
                client_reference=client_reference,
                idempotency_key=once,
            )
            for _ in range(2)
        ]
        assert made[0] == made[1]
        assert made[0].amount_minor == amount_minor
        assert made[0].client_reference == client_reference
        assert made[0].intent_reference == intent.reference


async def fetch_refund(scene: Scene) -> None:
    intent = await scene.paid()
    made = await scene.gateway.refund(
        intent.reference, amount_minor=10, client_reference=key(), idempotency_key=key()
    )
    assert await scene.gateway.fetch_refund(made.reference) == made


async def list_refunds(scene: Scene) -> None:
    intent = await scene.paid()
    names = [key() for _ in range(3)]
    for name in names:
        await scene.gateway.refund(
            intent.reference, amount_minor=10, client_reference=name, idempotency_key=key()
        )
    listed = await scene.gateway.list_refunds(intent.reference)
    assert {one.client_reference for one in listed} == set(names)


async def transfer(scene: Scene) -> None:
    for currency, amount_minor in scene.stage.currencies():
        made = await scene.transferred(currency=currency, amount_minor=amount_minor)
        assert (made.amount_minor, made.currency, made.state) == (amount_minor, currency, "made")


async def fetch_transfer(scene: Scene) -> None:
    made = await scene.transferred()
    assert await scene.gateway.fetch_transfer(made.reference) == made


async def list_transfers(scene: Scene) -> None:
    made = await scene.transferred()
    listed = await scene.gateway.list_transfers(GROUPS[1], since=scene.started_at)
    assert made in listed


async def reverse_transfer(scene: Scene) -> None:
    made = await scene.transferred()
    reversal = await scene.gateway.reverse_transfer(
        made.reference,
        amount_minor=made.amount_minor,
        client_reference=key(),
        idempotency_key=key(),
    )
    assert reversal.transfer_reference == made.reference
    assert (await scene.gateway.fetch_transfer(made.reference)).state == "reversed"


async def list_reversals(scene: Scene) -> None:
    made = await scene.transferred()
    names = [key() for _ in range(2)]
    for name in names:
        await scene.gateway.reverse_transfer(
            made.reference, amount_minor=10, client_reference=name, idempotency_key=key()
        )
    listed = await scene.gateway.list_reversals(made.reference)
    assert {one.client_reference for one in listed} == set(names)


async def payout(scene: Scene) -> None:
    for currency, amount_minor in scene.stage.currencies():
        made = await scene.transferred(currency=currency, amount_minor=amount_minor)
        sent = await scene.gateway.payout(
            account=made.account,
            amount_minor=amount_minor,
            currency=currency,
            client_reference="payout:2026-W48",
            idempotency_key=key(),
        )
        assert (sent.amount_minor, sent.state) == (amount_minor, "pending")
        assert sent.client_reference == "payout:2026-W48"
        assert sent.account == made.account


async def _sent(scene: Scene) -> tuple[str, str]:
    made = await scene.transferred()
    sent = await scene.gateway.payout(
        account=made.account,
        amount_minor=10,
        currency="EUR",
        client_reference=key(),
        idempotency_key=key(),
    )
    return made.account, sent.reference


async def fetch_payout(scene: Scene) -> None:
    account, reference = await _sent(scene)
    sent = await scene.gateway.fetch_payout(reference, account=account)
    assert sent.reference == reference


async def list_payouts(scene: Scene) -> None:
    account, reference = await _sent(scene)
    listed = await scene.gateway.list_payouts(account, since=scene.started_at)
    assert [one.reference for one in listed] == [reference]


async def fetch_dispute(scene: Scene) -> None:
    intent = await scene.paid()
    reference = await scene.stage.dispute(intent)
    dispute = await scene.gateway.fetch_dispute(reference)
    assert (dispute.state, dispute.intent_reference) == ("needs_response", intent.reference)
    assert dispute.amount_minor == intent.captured_minor


async def submit_evidence(scene: Scene) -> None:
    said = (
        Evidence(explanation="It was delivered."),
        Evidence(
            explanation="Ele recebeu a encomenda. " * 2000,
            product_description="Café em grão, 1 kg",
            customer_communication="> Chegou!\n& obrigado",
            carrier="CTT",
            tracking_number="RR123456785PT",
            shipped_on=date(2026, 2, 28),
        ),
    )
    for evidence in said:
        reference = await scene.stage.dispute(await scene.paid())
        answered = await scene.gateway.submit_evidence(reference, evidence, idempotency_key=key())
        assert answered.state == "under_review"


async def list_events(scene: Scene) -> None:
    intents = [await scene.paid() for _ in range(3)]
    seen: set[str] = set()
    page: str | None = None
    while True:
        listed = await scene.gateway.list_events(since=scene.started_at, page=page)
        for event in listed.items:
            if event.kind == "intent":
                seen.add((await scene.gateway.fetch_intent(event.subject)).reference)
        page = listed.next_page
        if page is None:
            break
    if scene.gateway.capabilities.events_kept_s:
        assert seen >= {intent.reference for intent in intents}


async def list_balance_transactions(scene: Scene) -> None:
    intent = await scene.paid()
    made = await scene.transferred()
    since = scene.started_at - timedelta(days=1)
    ours = await scene.gateway.list_balance_transactions(since=since)
    assert any(one.kind == "charge" and one.source == intent.reference for one in ours.items)
    assert any(one.kind == "transfer" and one.source == made.reference for one in ours.items)
    assert all(one.net_minor == one.amount_minor - one.fee_minor for one in ours.items)
    theirs = await scene.gateway.list_balance_transactions(since=since, account=made.account)
    assert [(one.kind, one.source, one.net_minor) for one in theirs.items] == [
        ("transfer", made.reference, made.amount_minor)
    ]


async def verify_webhook(scene: Scene) -> None:
    await scene.paid()
    headers, body = await scene.stage.signed_event()
    event = await scene.gateway.verify_webhook(headers, body)
    assert event.provider == scene.gateway.name
    assert event.kind is not None


Exercise = Callable[[Scene], Awaitable[None]]
EXERCISES: Final[dict[str, Exercise]] = {
    exercise.__name__: exercise
    for exercise in (
        create_account,
        fetch_account,
        make_onboarding_link,
        create_intent,
        fetch_intent,
        capture_intent,
        cancel_intent,
        refund,
        fetch_refund,
        list_refunds,
        transfer,
        fetch_transfer,
        list_transfers,
        reverse_transfer,
        list_reversals,
        payout,
        fetch_payout,
        list_payouts,
        fetch_dispute,
        submit_evidence,
        list_events,
        list_balance_transactions,
        verify_webhook,
    )
}


def port_operations() -> set[str]:
    """Names of what the port can be asked."""
    return {
        name
        for name, _ in inspect.getmembers(PaymentGateway, inspect.iscoroutinefunction)
        if not name.startswith("_") and name != "close"
    }
