"""Money back to buyers. A refund carries our key in its notes, and is looked for before it is made."""

from __future__ import annotations

from typing import Final

from feira.platform.gateways.payments.objects import ProviderRefund, RefundState
from feira.platform.gateways.payments.razorpay import wire
from feira.platform.gateways.payments.razorpay.intents import RazorpayIntents, notes_of
from feira.platform.gateways.payments.razorpay.part import require_same, require_step

_PAGE: Final = {"count": "100"}
_STATES: Final[dict[str, RefundState]] = {
    "pending": "pending",
    "processed": "succeeded",
    "failed": "failed",
}


class RazorpayRefunds(RazorpayIntents):
    """Out of the market's balance."""

    async def refund(
        self,
        intent_reference: str,
        *,
        amount_minor: int,
        client_reference: str,
        idempotency_key: str,
    ) -> ProviderRefund:
        async with self.one_at_a_time(idempotency_key):
            payment = await self.captured(intent_reference)
            for made in await self._refunds(payment.id):
                if wire.note(made.notes, "key") == idempotency_key:
                    require_same(made.amount, amount_minor)
                    return _refund(made, intent_reference)
            refund = await self.razorpay.post(
                f"/v1/payments/{payment.id}/refund",
                {
                    "amount": require_step(amount_minor, payment.currency),
                    "speed": "normal",
                    "receipt": client_reference,
                    "notes": notes_of({"key": idempotency_key}),
                },
                wire.Refund,
            )
        return _refund(refund, intent_reference)

    async def fetch_refund(self, reference: str) -> ProviderRefund:
        refund = await self.razorpay.get(f"/v1/refunds/{reference}", wire.Refund)
        return _refund(refund, await self.link_of(refund.payment_id))

    async def list_refunds(self, intent_reference: str) -> list[ProviderRefund]:
        payment = await self.payment_of(await self.link(intent_reference))
        if payment is None:
            return []
        return [_refund(one, intent_reference) for one in await self._refunds(payment.id)]

    async def _refunds(self, payment_id: str) -> tuple[wire.Refund, ...]:
        found = await self.razorpay.get(
            f"/v1/payments/{payment_id}/refunds", wire.Collection[wire.Refund], _PAGE
        )
        return found.items


def _refund(refund: wire.Refund, intent_reference: str) -> ProviderRefund:
    state = _STATES.get(refund.status, "pending")
    return ProviderRefund(
        reference=refund.id,
        intent_reference=intent_reference,
        state=state,
        amount_minor=refund.amount,
        client_reference=refund.receipt or "",
        failure_code="failed" if state == "failed" else "",
    )
