"""The port's promises, kept by our Stripe gateway before a Stripe in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Literal

import pytest

from feira.platform.gateways.payments.objects import Intent
from feira.platform.gateways.payments.port import PaymentGateway
from tests.contracts.stripe_stage import StripeStage
from tests.integration.payments import test_gateway_port as promises
from tests.integration.payments.providers import CallKind, Provider

_CALLS: Final[dict[CallKind, str]] = {
    "create_intent": r"POST /v1/checkout/sessions",
    "capture_intent": r"POST /v1/payment_intents/\w+/capture",
    "refund": r"POST /v1/refunds",
    "transfer": r"POST /v1/transfers",
    "reverse": r"POST /v1/transfers/\w+/reversals",
    "payout": r"POST /v1/payouts",
}

# The same tests, with the provider below.
globals().update({name: test for name, test in vars(promises).items() if name.startswith("test_")})


@pytest.fixture
async def provider(stage: StripeStage) -> AsyncIterator[Provider]:
    yield StripeOutside(stage=stage)
    assert stage.company.wrong == []


@dataclass(frozen=True, kw_only=True)
class StripeOutside:
    stage: StripeStage

    @property
    def gateway(self) -> PaymentGateway:
        return self.stage.gateway

    async def pay(self, intent: Intent) -> None:
        self.stage.provider.pay(intent.reference)

    async def pay_with_declined_card(self, intent: Intent) -> None:
        self.stage.provider.pay(intent.reference, decline="generic_decline")

    async def open_account(self) -> str:
        account = await self.stage.account()
        self.stage.provider.verify_account(account)
        return account

    async def fail_payouts_of(self, account: str) -> None:
        self.stage.provider.things[account]["payouts_fail"] = True

    async def restrict(self, account: str) -> None:
        self.stage.provider.restrict_account(account)

    async def dispute(self, intent: Intent) -> str:
        return await self.stage.dispute(intent)

    async def decide_dispute(self, reference: str, outcome: Literal["won", "lost"]) -> None:
        self.stage.provider.decide_dispute(reference, outcome)

    async def end_authorization(self, intent: Intent) -> None:
        session = self.stage.provider.things[intent.reference]
        self.stage.provider.things[session["payment_intent"]]["status"] = "canceled"

    async def lose_next_answer(self, call: CallKind) -> None:
        self.stage.company.lose = _CALLS[call]
