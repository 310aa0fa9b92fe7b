"""Our Razorpay gateway and its provider, with what buyers, sellers and banks do there."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from feira.platform.gateways.payments.objects import Intent
from feira.platform.gateways.payments.razorpay.connection import RazorpaySettings
from feira.platform.gateways.payments.razorpay.gateway import RazorpayGateway
from tests.contracts.company import Company, open_company
from tests.contracts.razorpay_provider import KEY_ID, KEY_SECRET, RazorpayProvider

WEBHOOK_SECRET = "razorpay-webhook-secret"


@dataclass(kw_only=True)
class RazorpayStage:
    gateway: RazorpayGateway
    provider: RazorpayProvider
    company: Company
    cannot: frozenset[str] = frozenset(
        {
            "create_account",
            "capture_intent",
            "make_onboarding_link",
            "payout",
            "fetch_payout",
            "list_payouts",
            "submit_evidence",
            "list_balance_transactions",
        }
    )

    def currencies(self) -> list[tuple[str, int]]:
        return [("INR", 1099), ("INR", 99_999_999), ("JPY", 5000), ("KWD", 12_340)]

    async def account(self) -> str:
        return self.provider.open_account()

    async def pay(self, intent: Intent) -> None:
        self.provider.pay(intent.reference)

    async def dispute(self, intent: Intent) -> str:
        return self.provider.dispute(intent.reference)

    async def signed_event(self) -> tuple[Mapping[str, str], bytes]:
        body = msgspec.json.encode(self.provider.told[-1][1])
        return signed(body), body


def signed(body: bytes, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    return {
        "X-Razorpay-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "X-Razorpay-Event-Id": "evt",
    }


@contextlib.asynccontextmanager
async def open_razorpay(
    contracts: Path, *, transfer_hold_s: int = 0
) -> AsyncGenerator[RazorpayStage]:
    provider = RazorpayProvider(contracts)
    async with open_company(provider) as company:
        gateway = RazorpayGateway(
            RazorpaySettings(
                key_id=KEY_ID,
                key_secret=KEY_SECRET,
                webhook_secret=WEBHOOK_SECRET,
                transfer_hold_s=transfer_hold_s,
                api_url=company.url,
            )
        )
        try:
            yield RazorpayStage(gateway=gateway, provider=provider, company=company)
        finally:
            await gateway.close()
