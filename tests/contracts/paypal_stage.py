"""Our PayPal gateway and its provider, with what buyers, sellers and banks do there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from feira.platform.gateways.payments.objects import Intent
from feira.platform.gateways.payments.paypal.connection import PayPalSettings
from feira.platform.gateways.payments.paypal.gateway import PayPalGateway
from tests.contracts.company import Company, open_company
from tests.contracts.exercises import key
from tests.contracts.paypal_provider import CLIENT_ID, CLIENT_SECRET, PayPalProvider


@dataclass(kw_only=True)
class PayPalStage:
    gateway: PayPalGateway
    provider: PayPalProvider
    company: Company
    cannot: frozenset[str] = frozenset(
        {
            "list_transfers",
            "reverse_transfer",
            "list_reversals",
            "payout",
            "fetch_payout",
            "list_payouts",
            "submit_evidence",
            "list_balance_transactions",
        }
    )

    def currencies(self) -> list[tuple[str, int]]:
        return [("EUR", 1099), ("USD", 99_999_999), ("JPY", 5000), ("HUF", 12_300)]

    async def account(self) -> str:
        made = await self.gateway.create_account(
            shop_name="Shop", country="PT", idempotency_key=key()
        )
        self.provider.onboard(made.reference)
        return made.reference

    async def pay(self, intent: Intent) -> None:
        self.provider.approve(intent.reference)

    async def dispute(self, intent: Intent) -> str:
        return self.provider.dispute(intent.reference)

    async def signed_event(self) -> tuple[Mapping[str, str], bytes]:
        return SIGNED, msgspec.json.encode(self.provider.events[0])


SIGNED = {
    "Paypal-Auth-Algo": "SHA256withRSA",
    "Paypal-Cert-Url": "https://api.paypal.com/v1/notifications/certs/CERT-360",
    "Paypal-Transmission-Id": "69cd13f0-d67a-11e5-baa3-778b53f4ae55",
    "Paypal-Transmission-Sig": "good",
    "Paypal-Transmission-Time": "2026-11-24T16:00:00Z",
}


@contextlib.asynccontextmanager
async def open_paypal(contracts: Path) -> AsyncGenerator[PayPalStage]:
    provider = PayPalProvider(contracts)
    async with open_company(provider) as company:
        gateway = PayPalGateway(
            PayPalSettings(
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                partner_id="MARKET0000001",
                webhook_id="WEBHOOK1",
                api_url=company.url,
            )
        )
        try:
            yield PayPalStage(gateway=gateway, provider=provider, company=company)
        finally:
            await gateway.close()
