"""A payment provider in memory, for tests that bring its news themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Never
from uuid import uuid4

import msgspec

from feira.platform.domain.errors import Unavailable
from feira.platform.gateways.payments.objects import (
    Account,
    Capabilities,
    CaptureMethod,
    Intent,
    ProviderRefund,
)
from feira.platform.gateways.payments.refusal import GatewayRefused


class MemoryGateway:
    """A provider in memory: idempotent by key, away on request, paid by the test. It knows buyers' money only."""

    name = "memory"
    capabilities = Capabilities(
        manual_capture=False,
        payouts=False,
        transfers_reversible=False,
        evidence=False,
        key_lifetime_s=24 * 3600,
        events_kept_s=0,
        authorization_lasts_s=0,
    )

    def __init__(self) -> None:
        self.intents: dict[str, Intent] = {}
        self.refunds: dict[str, ProviderRefund] = {}
        self.is_away = False
        self._references: dict[str, str] = {}

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
        self._require_here()
        reference = self._references.setdefault(idempotency_key, f"mem_{uuid4().hex}")
        return self.intents.setdefault(
            reference,
            Intent(
                reference=reference,
                state="requires_payment",
                amount_minor=amount_minor,
                currency=currency,
                fee_minor=0,
                decline_code="",
                payment_page_url=f"http://memory.example/{reference}",
            ),
        )

    async def fetch_intent(self, reference: str) -> Intent:
        self._require_here()
        return self.intents[reference]

    async def cancel_intent(self, reference: str, *, idempotency_key: str) -> Intent:
        return self._move(reference, "canceled")

    async def refund(
        self,
        intent_reference: str,
        *,
        amount_minor: int,
        client_reference: str,
        idempotency_key: str,
    ) -> ProviderRefund:
        self._require_here()
        reference = self._references.setdefault(idempotency_key, f"ref_{uuid4().hex}")
        return self.refunds.setdefault(
            reference,
            ProviderRefund(
                reference=reference,
                intent_reference=intent_reference,
                state="succeeded",
                amount_minor=amount_minor,
                client_reference=client_reference,
            ),
        )

    async def fetch_refund(self, reference: str) -> ProviderRefund:
        return self.refunds[reference]

    async def create_account(
        self, *, shop_name: str, country: str, idempotency_key: str
    ) -> Account:
        return Account(reference=f"acct_{uuid4().hex}", status="verified")

    async def fetch_account(self, reference: str) -> Account:
        return Account(reference=reference, status="verified")

    async def close(self) -> None:
        pass

    async def _not_supported(self, *_args: Any, **_options: Any) -> Never:
        raise GatewayRefused(
            "not_supported", "These tests bring the news themselves.", provider_code="memory"
        )

    make_onboarding_link = _not_supported
    capture_intent = _not_supported
    list_refunds = _not_supported
    transfer = _not_supported
    fetch_transfer = _not_supported
    list_transfers = _not_supported
    reverse_transfer = _not_supported
    list_reversals = _not_supported
    payout = _not_supported
    fetch_payout = _not_supported
    list_payouts = _not_supported
    fetch_dispute = _not_supported
    submit_evidence = _not_supported
    list_events = _not_supported
    list_balance_transactions = _not_supported
    verify_webhook = _not_supported

    def pay(self, reference: str) -> Intent:
        """The buyer paid at the provider."""
        return self._move(reference, "succeeded")

    def decline(self, reference: str, code: str) -> Intent:
        self.intents[reference] = msgspec.structs.replace(
            self.intents[reference], decline_code=code
        )
        return self.intents[reference]

    def refunded_minor(self, reference: str) -> int:
        return sum(
            refund.amount_minor
            for refund in self.refunds.values()
            if refund.intent_reference == reference
        )

    def _move(self, reference: str, state: str) -> Intent:
        intent = self.intents[reference]
        if intent.state == "requires_payment":
            intent = msgspec.structs.replace(
                intent, state=state, fee_minor=intent.amount_minor // 50
            )
            self.intents[reference] = intent
        return intent

    def _require_here(self) -> None:
        if self.is_away:
            raise Unavailable("payment.gateway_away", "The provider cannot be reached.")
