"""Disputes: looked at here, answered in PayPal's Resolution Centre, which wants documents."""

from __future__ import annotations

from feira.platform.gateways.payments.objects import Dispute, DisputeState
from feira.platform.gateways.payments.paypal import amounts, wire
from feira.platform.gateways.payments.paypal.intents import PayPalIntents


class PayPalDisputes(PayPalIntents):
    """Read only."""

    async def fetch_dispute(self, reference: str) -> Dispute:
        dispute = await self.paypal.get(f"/v1/customer/disputes/{reference}", wire.Dispute)
        amount = dispute.dispute_amount
        intent_reference = ""
        if dispute.disputed_transactions:
            capture_id = dispute.disputed_transactions[0].seller_transaction_id
            intent_reference = await self.order_of(capture_id)
        return Dispute(
            reference=dispute.dispute_id,
            intent_reference=intent_reference,
            state=_state(dispute),
            amount_minor=amounts.from_value(amount.value, amount.currency_code),
            currency=amount.currency_code,
            fee_minor=0,
            reason=dispute.reason.lower(),
            evidence_due_at=dispute.seller_response_due_date,
        )


def _state(dispute: wire.Dispute) -> DisputeState:
    if dispute.status == "RESOLVED":
        outcome = dispute.dispute_outcome.outcome_code
        # Without an outcome that names a winner the money did not move.
        return "lost" if outcome in {"RESOLVED_BUYER_FAVOUR", "RESOLVED_WITH_PAYOUT"} else "won"
    if dispute.dispute_life_cycle_stage == "INQUIRY":
        return "inquiry"
    return "needs_response" if dispute.status == "WAITING_FOR_SELLER_RESPONSE" else "under_review"
