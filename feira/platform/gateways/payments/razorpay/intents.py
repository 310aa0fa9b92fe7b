"""A buyer's payment: a payment link, whose page is Razorpay's, over an order that payments are tried on.

Our key is the link's `reference_id`, which Razorpay takes once. Where an account captures by hand, whoever looks at an
authorised payment captures it; a second capture is refused there, so many may look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from feira.platform.gateways.payments.lacking import not_supported
from feira.platform.gateways.payments.objects import CaptureMethod, Intent, IntentState
from feira.platform.gateways.payments.razorpay import wire
from feira.platform.gateways.payments.razorpay.part import (
    RazorpayPart,
    require_same,
    require_step,
)
from feira.platform.gateways.payments.refusal import GatewayRefused

_LINKS_MAX: Final = 10_000
# Razorpay's limits of notes.
_NOTES_MAX: Final = 15
_NOTE_LENGTH_MAX: Final = 256
_CAPTURED: Final = frozenset({"captured", "refunded"})


class RazorpayIntents(RazorpayPart):
    """Payments in."""

    async def create_intent(
        self,
        *,
        amount_minor: int,
        currency: str,
        return_url: str,
        metadata: Mapping[str, str],
        idempotency_key: str,
        capture: CaptureMethod = "automatic",
        group: str = "",  # noqa: ARG002 - transfers carry theirs
    ) -> Intent:
        if capture == "manual":
            raise not_supported("Razorpay captures payments of its pages at once")
        async with self.one_at_a_time(idempotency_key):
            link = await self._find(idempotency_key) or await self.razorpay.post(
                "/v1/payment_links",
                {
                    "amount": require_step(amount_minor, currency),
                    "currency": currency,
                    "reference_id": idempotency_key,
                    "description": "Your order",
                    "notes": notes_of(metadata),
                    "callback_url": return_url,
                    "callback_method": "get",
                    "reminder_enable": False,
                },
                wire.PaymentLink,
            )
        require_same(link.amount, amount_minor)
        return _intent(link, None)

    async def fetch_intent(self, reference: str) -> Intent:
        """By its own reference, or by that of a payment that came of it, as events name it."""
        link = await self.link(await self.link_of(reference))
        payment = await self.payment_of(link)
        if payment is not None and payment.status == "authorized":
            payment = await self._capture(payment)
        return _intent(link, payment)

    async def capture_intent(
        self,
        reference: str,
        *,
        idempotency_key: str,  # noqa: ARG002 - the payment's own state is what makes a capture one
        amount_minor: int | None = None,
    ) -> Intent:
        link = await self.link(reference)
        payment = await self.payment_of(link)
        if payment is None or payment.status != "authorized":
            raise GatewayRefused(
                "unexpected_state", "nothing is authorised.", provider_code="not_authorized"
            )
        if amount_minor not in {None, payment.amount}:
            raise not_supported("Razorpay captures a payment as a whole")
        return _intent(link, await self._capture(payment))

    async def cancel_intent(
        self,
        reference: str,
        *,
        idempotency_key: str,  # noqa: ARG002 - cancelled is cancelled
    ) -> Intent:
        link = await self.link(reference)
        if link.status == "created":
            try:
                link = await self.razorpay.post(
                    f"/v1/payment_links/{reference}/cancel", {}, wire.PaymentLink
                )
            except GatewayRefused:
                link = await self.link(reference)
                if link.status == "created":
                    raise
        return _intent(link, await self.payment_of(link))

    async def link(self, reference: str) -> wire.PaymentLink:
        link = await self.razorpay.get(f"/v1/payment_links/{reference}", wire.PaymentLink)
        for paid in link.payments or ():
            self._remember(paid.payment_id, link.id)
        return link

    async def link_of(self, payment_id: str) -> str:
        """The payment link that a payment came of."""
        if not payment_id.startswith("pay_"):
            return payment_id
        if payment_id not in self.links:
            found = await self.razorpay.get(
                "/v1/payment_links", wire.PaymentLinks, {"payment_id": payment_id}
            )
            if not found.payment_links:
                return payment_id
            self._remember(payment_id, found.payment_links[0].id)
        return self.links[payment_id]

    async def payment_of(self, link: wire.PaymentLink) -> wire.Payment | None:
        """The payment that paid it; else the last that was tried."""
        if link.order_id is None:
            return None
        tried = await self.razorpay.get(
            f"/v1/orders/{link.order_id}/payments", wire.Collection[wire.Payment]
        )
        for wanted in (_CAPTURED, {"authorized"}, {"created"}):
            for payment in tried.items:
                if payment.status in wanted:
                    return payment
        return tried.items[0] if tried.items else None

    async def captured(self, reference: str) -> wire.Payment:
        """The payment whose money the market has.

        Raises:
            GatewayRefused: `unexpected_state`.
        """
        payment = await self.payment_of(await self.link(reference))
        if payment is None or payment.status not in _CAPTURED:
            raise GatewayRefused(
                "unexpected_state", "nothing of this was captured.", provider_code="not_captured"
            )
        return payment

    async def _find(self, key: str) -> wire.PaymentLink | None:
        found = await self.razorpay.get(
            "/v1/payment_links", wire.PaymentLinks, {"reference_id": key}
        )
        return next((one for one in found.payment_links if one.reference_id == key), None)

    async def _capture(self, payment: wire.Payment) -> wire.Payment:
        try:
            return await self.razorpay.post(
                f"/v1/payments/{payment.id}/capture",
                {"amount": payment.amount, "currency": payment.currency},
                wire.Payment,
            )
        except GatewayRefused as refusal:
            if refusal.reason != "unexpected_state":
                raise
            return await self.razorpay.get(f"/v1/payments/{payment.id}", wire.Payment)

    def _remember(self, payment_id: str, link_id: str) -> None:
        while len(self.links) >= _LINKS_MAX:
            self.links.pop(next(iter(self.links)))
        self.links[payment_id] = link_id


def notes_of(texts: Mapping[str, str]) -> dict[str, str]:
    """As many as Razorpay keeps, each as long as it keeps it."""
    kept = list(texts.items())[:_NOTES_MAX]
    return {name: text[:_NOTE_LENGTH_MAX] for name, text in kept}


def _intent(link: wire.PaymentLink, payment: wire.Payment | None) -> Intent:
    state = _state(link, payment)
    captured = payment is not None and payment.status in _CAPTURED
    declined = state == "requires_payment" and payment is not None and payment.status == "failed"
    return Intent(
        reference=link.id,
        state=state,
        amount_minor=link.amount,
        currency=link.currency,
        fee_minor=(payment.fee or 0) if payment is not None and captured else 0,
        decline_code=(payment.error_reason or payment.error_code or "declined").lower()
        if payment is not None and declined
        else "",
        payment_page_url=link.short_url if state == "requires_payment" else None,
        captured_minor=payment.amount if payment is not None and captured else 0,
    )


def _state(link: wire.PaymentLink, payment: wire.Payment | None) -> IntentState:
    if payment is not None:
        if payment.status in _CAPTURED:
            return "succeeded"
        if payment.status in {"created", "authorized"} and link.status not in {
            "cancelled",
            "expired",
        }:
            return "processing"
    return "canceled" if link.status in {"cancelled", "expired"} else "requires_payment"
