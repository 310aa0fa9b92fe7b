r"""A buyer's payment: a Checkout session, whose page is Stripe's own, and the PaymentIntent that comes of it.

session open ----> complete: PaymentIntent requires_capture --> succeeded
     |                                  \                \--> canceled
     \--> expired (by us, or a day after it was made)     \--> succeeded, at once, without manual capture

An intent's `reference` is the session's: the PaymentIntent is made only when the buyer first tries to pay. What
names only the latter (refunds, disputes, movements) is traced back; the tie never changes, so it is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from feira.platform.gateways.payments.objects import CaptureMethod, Intent, IntentState
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.gateways.payments.stripe import amounts, wire
from feira.platform.gateways.payments.stripe.part import StripePart
from feira.platform.gateways.payments.stripe.times import moment

if TYPE_CHECKING:
    from stripe.params.checkout._session_create_params import SessionCreateParamsPaymentIntentData

_EXPAND_SESSION: Final = ["payment_intent.latest_charge.balance_transaction"]
_EXPAND_INTENT: Final = ["latest_charge.balance_transaction"]
_TIES_MAX: Final = 10_000
_CAPTURE: Final = "feira_capture"

# A PaymentIntent that failed after the page was left (bank debits) waits for money as well: nobody will pay, it is cancelled in time.
_STATES: Final[dict[str, IntentState]] = {
    "requires_payment_method": "requires_payment",
    "requires_confirmation": "requires_payment",
    "requires_action": "requires_action",
    "processing": "processing",
    "requires_capture": "authorized",
    "succeeded": "succeeded",
    "canceled": "canceled",
}


class StripeIntents(StripePart):
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
        group: str = "",
    ) -> Intent:
        named = dict(metadata)
        # The session does not tell how its PaymentIntent will be captured.
        session_metadata = {**named, _CAPTURE: capture}
        payment: SessionCreateParamsPaymentIntentData = {
            "capture_method": capture,
            "metadata": named,
        }
        if group:
            payment["transfer_group"] = group
        call = self.stripe.v1.checkout.sessions.create_async(
            {
                "mode": "payment",
                "success_url": return_url,
                "cancel_url": return_url,
                "metadata": session_metadata,
                "payment_intent_data": payment,
                # The buyer pays what the order says, in its currency.
                "adaptive_pricing": {"enabled": False},
                "line_items": [
                    {
                        "quantity": 1,
                        "price_data": {
                            "currency": currency.lower(),
                            "unit_amount": amounts.to_units(amount_minor, currency, "charge"),
                            "product_data": {"name": "Your order"},
                        },
                    }
                ],
                "expand": _EXPAND_SESSION,
            },
            {"idempotency_key": idempotency_key},
        )
        return _intent(await self.stripe.ask(call, wire.CheckoutSession))

    async def fetch_intent(self, reference: str) -> Intent:
        """By its own reference, or by that of a PaymentIntent that came of it, as events name it."""
        return _intent(await self.session(await self.intent_reference(reference)))

    async def capture_intent(
        self, reference: str, *, idempotency_key: str, amount_minor: int | None = None
    ) -> Intent:
        session = await self.session(reference)
        payment = session.payment_intent
        if payment is None:
            raise _nothing_captured()
        currency = payment.currency.upper()
        units = (
            payment.amount
            if amount_minor is None
            else amounts.to_units(amount_minor, currency, "charge")
        )
        call = self.stripe.v1.payment_intents.capture_async(
            payment.id,
            {"amount_to_capture": units, "expand": _EXPAND_INTENT},
            {"idempotency_key": idempotency_key},
        )
        return _intent(session, await self.stripe.ask(call, wire.PaymentIntent))

    async def cancel_intent(self, reference: str, *, idempotency_key: str) -> Intent:
        session = await self.session(reference)
        try:
            if session.status == "open":
                await self._expire(session, idempotency_key)
            elif session.payment_intent is not None and _is_cancelable(session.payment_intent):
                await self._cancel(session.payment_intent, idempotency_key)
            else:
                return _intent(session)
        except GatewayRefused as refusal:
            if refusal.reason in {"idempotency_key_reused", "not_found"}:
                raise
            # It has moved on: the buyer paid, or the other one of two cancellations was faster.
            session = await self.session(reference)
            if session.status == "open":
                raise
            if session.payment_intent is not None and _is_cancelable(session.payment_intent):
                await self._cancel(session.payment_intent, idempotency_key)
        return _intent(await self.session(reference))

    async def session(self, reference: str) -> wire.CheckoutSession:
        call = self.stripe.v1.checkout.sessions.retrieve_async(
            reference, {"expand": _EXPAND_SESSION}
        )
        session = await self.stripe.ask(call, wire.CheckoutSession)
        if session.payment_intent is not None:
            self.tie(session.payment_intent.id, session.id)
        return session

    async def intent_reference(self, payment_intent: str) -> str:
        """The reference of the intent that a PaymentIntent is of; its own where no session of ours made it."""
        if not payment_intent.startswith("pi_"):
            return payment_intent
        known = self.ties.get(payment_intent)
        if known is not None:
            return known
        call = self.stripe.v1.checkout.sessions.list_async(
            {"payment_intent": payment_intent, "limit": 1}
        )
        found = await self.stripe.ask(call, wire.Listing[wire.SessionName])
        if not found.data:
            return payment_intent
        self.tie(payment_intent, found.data[0].id)
        return found.data[0].id

    def tie(self, payment_intent: str, reference: str) -> None:
        while len(self.ties) >= _TIES_MAX:
            self.ties.pop(next(iter(self.ties)))
        self.ties[payment_intent] = reference

    async def _expire(self, session: wire.CheckoutSession, idempotency_key: str) -> None:
        call = self.stripe.v1.checkout.sessions.expire_async(
            session.id, {}, {"idempotency_key": f"{idempotency_key}:expire"}
        )
        await self.stripe.ask(call, wire.SessionName)

    async def _cancel(self, payment: wire.PaymentIntent, idempotency_key: str) -> None:
        call = self.stripe.v1.payment_intents.cancel_async(
            payment.id,
            {"cancellation_reason": "abandoned"},
            {"idempotency_key": f"{idempotency_key}:cancel"},
        )
        await self.stripe.ask(call, wire.SessionName)


def _is_cancelable(payment: wire.PaymentIntent) -> bool:
    return payment.status not in {"succeeded", "canceled"}


def _intent(session: wire.CheckoutSession, captured: wire.PaymentIntent | None = None) -> Intent:
    payment = captured or session.payment_intent
    if payment is None:
        return _unpaid(session)
    currency = payment.currency.upper()
    charge = payment.latest_charge
    state = _STATES.get(payment.status, "processing")
    if session.status == "expired" and state in {"requires_payment", "requires_action"}:
        state = "canceled"
    if state == "succeeded" and (charge is None or charge.balance_transaction is None):
        # What it cost is not booked yet, a matter of moments.
        state = "processing"
    failure = payment.last_payment_error or wire.PaymentError()
    return Intent(
        reference=session.id,
        state=state,
        amount_minor=amounts.from_units(payment.amount, currency),
        currency=currency,
        fee_minor=_fee_minor(payment),
        decline_code=(failure.decline_code or failure.code or "")
        if state == "requires_payment"
        else "",
        payment_page_url=session.url if session.status == "open" else None,
        capture="manual" if payment.capture_method == "manual" else "automatic",
        captured_minor=amounts.from_units(payment.amount_received, currency),
        authorized_until=_authorized_until(payment) if state == "authorized" else None,
    )


def _unpaid(session: wire.CheckoutSession) -> Intent:
    assert session.amount_total is not None, "a session of ours has a price"
    assert session.currency is not None, "a session of ours has a currency"
    currency = session.currency.upper()
    return Intent(
        reference=session.id,
        state="canceled" if session.status == "expired" else "requires_payment",
        amount_minor=amounts.from_units(session.amount_total, currency),
        currency=currency,
        fee_minor=0,
        decline_code="",
        payment_page_url=session.url if session.status == "open" else None,
        capture="manual" if (session.metadata or {}).get(_CAPTURE) == "manual" else "automatic",
    )


def _fee_minor(payment: wire.PaymentIntent) -> int:
    charge = payment.latest_charge
    if charge is None or charge.balance_transaction is None:
        return 0
    return amounts.fee_minor(
        charge.balance_transaction, of_units=payment.amount_received, currency=payment.currency
    )


def _authorized_until(payment: wire.PaymentIntent) -> datetime | None:
    charge = payment.latest_charge
    details = charge.payment_method_details if charge is not None else None
    if details is None or details.card is None or details.card.capture_before is None:
        return None
    return moment(details.card.capture_before)


def _nothing_captured() -> GatewayRefused:
    return GatewayRefused(
        "unexpected_state", "the buyer has not paid this yet.", provider_code="no_payment_intent"
    )
