"""Payments that banks take back."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from feira.platform.gateways.payments.objects import Dispute, DisputeState, Evidence
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.gateways.payments.stripe import amounts, wire
from feira.platform.gateways.payments.stripe.intents import StripeIntents
from feira.platform.gateways.payments.stripe.times import moment

if TYPE_CHECKING:
    from stripe.params._dispute_update_params import DisputeUpdateParamsEvidence

# Stripe takes at most this many characters in a field of text.
_TEXT_LENGTH_MAX: Final = 20_000

_STATES: Final[dict[str, DisputeState]] = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "won",
    "needs_response": "needs_response",
    "under_review": "under_review",
    "prevented": "won",
    "won": "won",
    "lost": "lost",
}


class StripeDisputes(StripeIntents):
    """Looked at and answered."""

    async def fetch_dispute(self, reference: str) -> Dispute:
        call = self.stripe.v1.disputes.retrieve_async(reference)
        return await self._dispute(await self.stripe.ask(call, wire.Dispute))

    async def submit_evidence(
        self, reference: str, evidence: Evidence, *, idempotency_key: str
    ) -> Dispute:
        call = self.stripe.v1.disputes.update_async(
            reference,
            {"evidence": _evidence(evidence), "submit": True},
            {"idempotency_key": idempotency_key},
        )
        try:
            return await self._dispute(await self.stripe.ask(call, wire.Dispute))
        except GatewayRefused as refusal:
            # Stripe's refusal of a second answer has no code of its own.
            if (await self.fetch_dispute(reference)).state in {"inquiry", "needs_response"}:
                raise
            raise GatewayRefused(
                "unexpected_state", refusal.message, provider_code=refusal.provider_code
            ) from refusal

    async def _dispute(self, dispute: wire.Dispute) -> Dispute:
        currency = dispute.currency.upper()
        return Dispute(
            reference=dispute.id,
            intent_reference=await self.intent_reference(dispute.payment_intent or ""),
            state=_STATES.get(dispute.status, "under_review"),
            amount_minor=amounts.from_units(dispute.amount, currency),
            currency=currency,
            fee_minor=sum(
                amounts.fee_minor(entry, of_units=dispute.amount, currency=currency)
                for entry in dispute.balance_transactions
            ),
            reason=dispute.reason,
            evidence_due_at=_due_at(dispute),
        )


def _due_at(dispute: wire.Dispute) -> datetime | None:
    details = dispute.evidence_details
    if details is None or details.due_by is None:
        return None
    return moment(details.due_by)


def _evidence(evidence: Evidence) -> DisputeUpdateParamsEvidence:
    text = evidence.explanation
    if evidence.customer_communication:
        # Its own field takes only files.
        text += f"\n\nWhat was written with the customer:\n\n{evidence.customer_communication}"
    fields: DisputeUpdateParamsEvidence = {
        "uncategorized_text": text[:_TEXT_LENGTH_MAX],
        "product_description": evidence.product_description[:_TEXT_LENGTH_MAX],
        "shipping_carrier": evidence.carrier,
        "shipping_tracking_number": evidence.tracking_number,
        "shipping_date": evidence.shipped_on.isoformat() if evidence.shipped_on else "",
    }
    # An empty string would erase what Stripe filled in by itself.
    return cast(
        "DisputeUpdateParamsEvidence", {name: said for name, said in fields.items() if said}
    )
