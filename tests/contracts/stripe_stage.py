"""Our gateway and its provider, with what buyers and banks do there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from stripe import WebhookSignature

from feira.platform.gateways.payments.objects import Intent
from feira.platform.gateways.payments.stripe.gateway import StripeGateway
from feira.platform.gateways.payments.stripe.part import StripeSettings
from tests.contracts.company import Company, open_company
from tests.contracts.exercises import AMOUNTS, key
from tests.contracts.stripe_provider import StripeProvider

SECRET_KEY = "sk_test_contract"
WEBHOOK_SECRET = "whsec_contract"


@dataclass(kw_only=True)
class StripeStage:
    gateway: StripeGateway
    provider: StripeProvider
    company: Company
    cannot: frozenset[str] = frozenset()

    async def account(self) -> str:
        made = await self.gateway.create_account(
            shop_name="Ana & Söhne <i>GmbH</i>", country="PT", idempotency_key=key()
        )
        return made.reference

    def currencies(self) -> list[tuple[str, int]]:
        return list(AMOUNTS)

    async def pay(self, intent: Intent) -> None:
        self.provider.pay(intent.reference)

    async def dispute(self, intent: Intent) -> str:
        session = self.provider.things[intent.reference]
        return self.provider.open_dispute(session["payment_intent"])["id"]

    async def signed_event(self) -> tuple[dict[str, str], bytes]:
        body = msgspec.json.encode(self.provider.events[-1])
        signed = WebhookSignature.generate_signature_header(
            body.decode(), WEBHOOK_SECRET, timestamp=int(time.time())
        )
        return {"Stripe-Signature": signed}, body


@contextlib.asynccontextmanager
async def open_stripe(contracts: Path) -> AsyncGenerator[StripeStage]:
    provider = StripeProvider(contracts)
    async with open_company(provider) as company:
        gateway = StripeGateway(
            StripeSettings(
                secret_key=SECRET_KEY,
                webhook_secrets=(WEBHOOK_SECRET, "whsec_connect"),
                api_url=company.url,
            )
        )
        try:
            yield StripeStage(gateway=gateway, provider=provider, company=company)
        finally:
            await gateway.close()
