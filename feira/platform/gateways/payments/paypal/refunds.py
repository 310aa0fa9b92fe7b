"""Money back to buyers: PayPal refunds captures, and keeps what the capture cost."""

from __future__ import annotations

from typing import Final

from feira.platform.gateways.payments.objects import ProviderRefund, RefundState
from feira.platform.gateways.payments.paypal import amounts, wire
from feira.platform.gateways.payments.paypal.intents import PayPalIntents, custom_id
from feira.platform.gateways.payments.refusal import GatewayRefused

_STATES: Final[dict[str, RefundState]] = {
    "COMPLETED": "succeeded",
    "PENDING": "pending",
    "FAILED": "failed",
    "CANCELLED": "failed",
}


class PayPalRefunds(PayPalIntents):
    """Out of the market's balance."""

    async def refund(
        self,
        intent_reference: str,
        *,
        amount_minor: int,
        client_reference: str,
        idempotency_key: str,
    ) -> ProviderRefund:
        [unit] = (await self.order(intent_reference)).purchase_units
        if not unit.payments.captures:
            raise GatewayRefused(
                "unexpected_state", "nothing of this was captured.", provider_code="no_capture"
            )
        currency = unit.amount.currency_code
        refund = await self.paypal.post(
            f"/v2/payments/captures/{unit.payments.captures[-1].id}/refund",
            {
                "amount": {
                    "currency_code": currency,
                    "value": amounts.to_value(amount_minor, currency),
                },
                "custom_id": custom_id(client_reference),
            },
            wire.Refund,
            key=idempotency_key,
        )
        return _refund(refund, intent_reference)

    async def fetch_refund(self, reference: str) -> ProviderRefund:
        refund = await self.paypal.get(f"/v2/payments/refunds/{reference}", wire.Refund)
        capture_id = wire.link(refund.links, "up").rpartition("/")[2]
        return _refund(refund, await self.order_of(capture_id))

    async def list_refunds(self, intent_reference: str) -> list[ProviderRefund]:
        [unit] = (await self.order(intent_reference)).purchase_units
        return [_refund(refund, intent_reference) for refund in unit.payments.refunds]


def _refund(refund: wire.Refund, intent_reference: str) -> ProviderRefund:
    state = _STATES.get(refund.status, "pending")
    return ProviderRefund(
        reference=refund.id,
        intent_reference=intent_reference,
        state=state,
        amount_minor=amounts.from_value(refund.amount.value, refund.amount.currency_code),
        client_reference=refund.custom_id,
        failure_code=(refund.status_details.reason or refund.status).lower()
        if state == "failed"
        else "",
    )
