"""The payment port over the sandbox company's HTTP API."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from feira.platform.domain.errors import InvalidInput, NotAllowed
from feira.platform.gateways.payments.objects import (
    Account,
    BalanceTransaction,
    Capabilities,
    CaptureMethod,
    Dispute,
    Evidence,
    Intent,
    OnboardingLink,
    Page,
    Payout,
    ProviderEvent,
    ProviderRefund,
    Transfer,
    TransferReversal,
)
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.gateways.payments.sandbox import answers, requests, signature, wire
from feira.platform.gateways.payments.sandbox.connection import SandboxConnection

CAPABILITIES: Final = Capabilities(
    manual_capture=True,
    payouts=True,
    transfers_reversible=True,
    evidence=True,
    key_lifetime_s=24 * 3600,
    events_kept_s=30 * 24 * 3600,
    authorization_lasts_s=7 * 24 * 3600,
)


class SandboxGateway:
    """See the port; each method is one call."""

    # ruff: noqa: ARG002 - the port's arguments, whether or not this company needs them

    name = answers.NAME
    capabilities = CAPABILITIES

    def __init__(
        self,
        base_urls: Callable[[], Sequence[str]],
        *,
        webhook_secret: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._webhook_secret = webhook_secret
        self._clock = clock
        self._company = SandboxConnection(base_urls, signature.api_key(webhook_secret))

    async def create_account(
        self, *, shop_name: str, country: str, idempotency_key: str
    ) -> Account:
        body = requests.CreateAccount(name=shop_name, country=country)
        answer = await self._company.post("/v1/accounts", body, wire.AccountObject, idempotency_key)
        return answers.account_of(answer)

    async def fetch_account(self, reference: str) -> Account:
        path = f"/v1/accounts/{reference}"
        return answers.account_of(await self._company.get(path, wire.AccountObject))

    async def make_onboarding_link(
        self, reference: str, *, return_url: str, refresh_url: str
    ) -> OnboardingLink:
        path = f"/v1/accounts/{reference}/onboarding_links"
        body = requests.CreateOnboardingLink(return_url=return_url, refresh_url=refresh_url)
        link = await self._company.post(path, body, wire.OnboardingLinkObject, None)
        return OnboardingLink(url=link.url, expires_at=link.expires_at)

    async def create_intent(
        self,
        *,
        amount_minor: int,
        currency: str,
        return_url: str,
        metadata: Mapping[str, str],
        idempotency_key: str,
        capture: CaptureMethod = "automatic",
        group: str = "",
    ) -> Intent:
        body = requests.CreateIntent(
            amount_minor=amount_minor,
            currency=currency,
            return_url=return_url,
            capture=capture,
            group=group,
            metadata=dict(metadata),
        )
        answer = await self._company.post(
            "/v1/payment_intents", body, wire.IntentObject, idempotency_key
        )
        return answers.intent_of(answer)

    async def fetch_intent(self, reference: str) -> Intent:
        path = f"/v1/payment_intents/{reference}"
        return answers.intent_of(await self._company.get(path, wire.IntentObject))

    async def capture_intent(
        self, reference: str, *, idempotency_key: str, amount_minor: int | None = None
    ) -> Intent:
        path = f"/v1/payment_intents/{reference}/capture"
        body = requests.CaptureIntent(amount_minor=amount_minor)
        answer = await self._company.post(path, body, wire.IntentObject, idempotency_key)
        return answers.intent_of(answer)

    async def cancel_intent(self, reference: str, *, idempotency_key: str) -> Intent:
        path = f"/v1/payment_intents/{reference}/cancel"
        try:
            answer = await self._company.post(
                path, requests.CancelIntent(), wire.IntentObject, idempotency_key
            )
        except GatewayRefused as error:
            if error.reason != "unexpected_state":
                raise
            return await self.fetch_intent(reference)
        return answers.intent_of(answer)

    async def refund(
        self,
        intent_reference: str,
        *,
        amount_minor: int,
        client_reference: str,
        idempotency_key: str,
    ) -> ProviderRefund:
        body = requests.CreateRefund(
            payment_intent=intent_reference,
            amount_minor=amount_minor,
            client_reference=client_reference,
        )
        answer = await self._company.post("/v1/refunds", body, wire.RefundObject, idempotency_key)
        return answers.refund_of(answer)

    async def fetch_refund(self, reference: str) -> ProviderRefund:
        path = f"/v1/refunds/{reference}"
        return answers.refund_of(await self._company.get(path, wire.RefundObject))

    async def list_refunds(self, intent_reference: str) -> list[ProviderRefund]:
        kind = wire.Listing[wire.RefundObject]
        found = await self._company.get("/v1/refunds", kind, payment_intent=intent_reference)
        return [answers.refund_of(one) for one in found.data]

    async def transfer(
        self,
        *,
        account: str,
        amount_minor: int,
        currency: str,
        group: str,
        client_reference: str,
        idempotency_key: str,
        intent_reference: str | None = None,
    ) -> Transfer:
        body = requests.CreateTransfer(
            account=account,
            amount_minor=amount_minor,
            currency=currency,
            payment_intent=intent_reference,
            group=group,
            client_reference=client_reference,
        )
        answer = await self._company.post(
            "/v1/transfers", body, wire.TransferObject, idempotency_key
        )
        return answers.transfer_of(answer)

    async def fetch_transfer(self, reference: str) -> Transfer:
        path = f"/v1/transfers/{reference}"
        return answers.transfer_of(await self._company.get(path, wire.TransferObject))

    async def list_transfers(self, group: str, *, since: datetime) -> list[Transfer]:
        kind = wire.Listing[wire.TransferObject]
        found = await self._company.get("/v1/transfers", kind, group=group)
        return [answers.transfer_of(one) for one in found.data]

    async def reverse_transfer(
        self, reference: str, *, amount_minor: int, client_reference: str, idempotency_key: str
    ) -> TransferReversal:
        path = f"/v1/transfers/{reference}/reversals"
        body = requests.CreateReversal(amount_minor=amount_minor, client_reference=client_reference)
        answer = await self._company.post(path, body, wire.ReversalObject, idempotency_key)
        return answers.reversal_of(answer)

    async def list_reversals(self, transfer_reference: str) -> list[TransferReversal]:
        path = f"/v1/transfers/{transfer_reference}/reversals"
        found = await self._company.get(path, wire.Listing[wire.ReversalObject])
        return [answers.reversal_of(one) for one in found.data]

    async def payout(
        self,
        *,
        account: str,
        amount_minor: int,
        currency: str,
        client_reference: str,
        idempotency_key: str,
    ) -> Payout:
        body = requests.CreatePayout(
            account=account,
            amount_minor=amount_minor,
            currency=currency,
            client_reference=client_reference,
        )
        answer = await self._company.post("/v1/payouts", body, wire.PayoutObject, idempotency_key)
        return answers.payout_of(answer)

    async def fetch_payout(self, reference: str, *, account: str) -> Payout:
        path = f"/v1/payouts/{reference}"
        return answers.payout_of(await self._company.get(path, wire.PayoutObject))

    async def list_payouts(self, account: str, *, since: datetime) -> list[Payout]:
        kind = wire.Listing[wire.PayoutObject]
        found = await self._company.get("/v1/payouts", kind, account=account, since=_seconds(since))
        return [answers.payout_of(one) for one in found.data]

    async def fetch_dispute(self, reference: str) -> Dispute:
        path = f"/v1/disputes/{reference}"
        return answers.dispute_of(await self._company.get(path, wire.DisputeObject))

    async def submit_evidence(
        self, reference: str, evidence: Evidence, *, idempotency_key: str
    ) -> Dispute:
        path = f"/v1/disputes/{reference}/evidence"
        body = requests.SubmitEvidence(**msgspec.structs.asdict(evidence))
        answer = await self._company.post(path, body, wire.DisputeObject, idempotency_key)
        return answers.dispute_of(answer)

    async def list_events(
        self, *, since: datetime, page: str | None = None, account: str = ""
    ) -> Page[ProviderEvent]:
        """All accounts' news stand in one list here."""
        found = await self._company.get(
            "/v1/events", wire.Listing[wire.WebhookEvent], since=_seconds(since), page=page or ""
        )
        events = (answers.event_of(one) for one in found.data)
        return Page(
            items=tuple(one for one in events if account in {"", one.account}),
            next_page=found.next,
        )

    async def list_balance_transactions(
        self, *, since: datetime, page: str | None = None, account: str = ""
    ) -> Page[BalanceTransaction]:
        found = await self._company.get(
            "/v1/balance_transactions",
            wire.Listing[wire.BalanceTransactionObject],
            since=_seconds(since),
            page=page or "",
            account=account,
        )
        return Page(
            items=tuple(answers.movement_of(one) for one in found.data), next_page=found.next
        )

    async def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        header = headers.get(wire.SIGNATURE_HEADER, "")
        try:
            signature.verify(header, body, secret=self._webhook_secret, now=self._clock())
        except signature.BadSignature:
            raise NotAllowed(
                "webhook.bad_signature",
                f"The {wire.SIGNATURE_HEADER} header does not fit this body.",
            ) from None
        except signature.StaleSignature:
            raise NotAllowed(
                "webhook.stale", "The signature's time is more than five minutes away from now."
            ) from None
        try:
            event = msgspec.json.decode(body, type=wire.WebhookEvent)
        except msgspec.DecodeError as error:
            raise InvalidInput("webhook.malformed", f"{error}.") from error
        return answers.event_of(event)

    async def close(self) -> None:
        await self._company.close()


def sandbox_base_urls(*, host: str, port: int, public_url: str) -> list[str]:
    """Where the sandbox may be: at the serve process of this machine, else behind the public address."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    local = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return list(dict.fromkeys((f"{local}/sandbox", f"{public_url}/sandbox")))


def _seconds(at: datetime) -> str:
    return str(int(at.timestamp()))
