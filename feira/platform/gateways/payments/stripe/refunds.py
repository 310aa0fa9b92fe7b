"""Money back to buyers."""

from __future__ import annotations

from typing import Final

from feira.platform.gateways.payments.objects import ProviderRefund, RefundState
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.gateways.payments.stripe import amounts, wire
from feira.platform.gateways.payments.stripe.intents import StripeIntents

_STATES: Final[dict[str, RefundState]] = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}


class StripeRefunds(StripeIntents):
    """Out of the market's balance; shops' parts come back by reversals."""

    async def refund(
        self,
        intent_reference: str,
        *,
        amount_minor: int,
        client_reference: str,
        idempotency_key: str,
    ) -> ProviderRefund:
        payment = (await self.session(intent_reference)).payment_intent
        if payment is None or payment.amount_received == 0:
            raise GatewayRefused(
                "unexpected_state", "nothing of this was captured.", provider_code="not_captured"
            )
        call = self.stripe.v1.refunds.create_async(
            {
                "payment_intent": payment.id,
                "amount": amounts.to_units(amount_minor, payment.currency.upper(), "charge"),
                "metadata": {"client_reference": client_reference},
            },
            {"idempotency_key": idempotency_key},
        )
        return _refund(await self.stripe.ask(call, wire.Refund), intent_reference)

    async def fetch_refund(self, reference: str) -> ProviderRefund:
        refund = await self.stripe.ask(
            self.stripe.v1.refunds.retrieve_async(reference), wire.Refund
        )
        return _refund(refund, await self.intent_reference(refund.payment_intent or ""))

    async def list_refunds(self, intent_reference: str) -> list[ProviderRefund]:
        payment = (await self.session(intent_reference)).payment_intent
        if payment is None:
            return []
        refunds = self.stripe.all_of(
            lambda page: self.stripe.v1.refunds.list_async(
                {"payment_intent": payment.id, "limit": 100, **page}
            ),
            wire.Refund,
        )
        return [_refund(refund, intent_reference) async for refund in refunds]


def _refund(refund: wire.Refund, intent_reference: str) -> ProviderRefund:
    return ProviderRefund(
        reference=refund.id,
        intent_reference=intent_reference,
        state=_STATES.get(refund.status or "", "pending"),
        amount_minor=amounts.from_units(refund.amount, refund.currency.upper()),
        client_reference=wire.client_reference(refund.metadata),
        failure_code=refund.failure_reason or "",
    )
