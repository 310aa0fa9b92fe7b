r"""A buyer's payment: an order, which the buyer approves on PayPal's page and we then capture or authorise.

CREATED --approve--> APPROVED --by us--> COMPLETED: captured, or authorised --capture--> captured
                                                                         \--void--> canceled

PayPal takes nothing by itself: whoever fetches an approved order carries it on, under a key made of the order's id,
so that many may. An order cannot be cancelled there; ours is marked, and one that is marked is never carried on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from feira.platform.gateways.payments.direct import Answer
from feira.platform.gateways.payments.objects import CaptureMethod, Intent, IntentState
from feira.platform.gateways.payments.paypal import amounts, wire
from feira.platform.gateways.payments.paypal.errors import port_error
from feira.platform.gateways.payments.paypal.part import PayPalPart
from feira.platform.gateways.payments.refusal import GatewayRefused

_ORDERS_MAX: Final = 10_000
_CANCELED: Final = "canceled"
_UNIT: Final = "default"
_CUSTOM_LENGTH_MAX: Final = 127
_CAPTURED: Final = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})
_DECLINED: Final = frozenset({"DECLINED", "FAILED", "DENIED"})


class PayPalIntents(PayPalPart):
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
        group: str = "",  # noqa: ARG002 - an order at PayPal has no group; payouts carry theirs
    ) -> Intent:
        order = await self.paypal.post(
            "/v2/checkout/orders",
            {
                "intent": "AUTHORIZE" if capture == "manual" else "CAPTURE",
                "purchase_units": [
                    {
                        "reference_id": _UNIT,
                        "custom_id": custom_id(metadata.get("payment", "payment")),
                        "amount": {
                            "currency_code": currency,
                            "value": amounts.to_value(amount_minor, currency),
                        },
                    }
                ],
                "payment_source": {
                    "paypal": {
                        "experience_context": {
                            "return_url": return_url,
                            "cancel_url": return_url,
                            "user_action": "PAY_NOW",
                            "shipping_preference": "NO_SHIPPING",
                        }
                    }
                },
            },
            wire.Order,
            key=idempotency_key,
        )
        return _intent(order)

    async def fetch_intent(self, reference: str) -> Intent:
        order = await self.order(reference)
        if order.status == "APPROVED" and _unit(order).custom_id != _CANCELED:
            order, decline_code = await self._carry_on(order)
            return _intent(order, decline_code)
        return _intent(order)

    async def capture_intent(
        self, reference: str, *, idempotency_key: str, amount_minor: int | None = None
    ) -> Intent:
        unit = _unit(await self.order(reference))
        if not unit.payments.authorizations:
            raise GatewayRefused(
                "unexpected_state", "nothing is authorised.", provider_code="ORDER_NOT_APPROVED"
            )
        body: dict[str, object] = {"final_capture": True}
        if amount_minor is not None:
            currency = unit.amount.currency_code
            body["amount"] = {
                "currency_code": currency,
                "value": amounts.to_value(amount_minor, currency),
            }
        authorization = unit.payments.authorizations[-1]
        await self.paypal.post(
            f"/v2/payments/authorizations/{authorization.id}/capture",
            body,
            wire.Capture,
            key=idempotency_key,
        )
        return _intent(await self.order(reference))

    async def cancel_intent(self, reference: str, *, idempotency_key: str) -> Intent:
        order = await self.order(reference)
        authorizations = _unit(order).payments.authorizations
        if authorizations and authorizations[-1].status == "CREATED":
            answer = await self.paypal.send(
                "POST",
                f"/v2/payments/authorizations/{authorizations[-1].id}/void",
                key=idempotency_key,
            )
            _require_done_or_moved_on(answer)
        elif order.status not in {"COMPLETED", "VOIDED"}:
            answer = await self.paypal.send(
                "PATCH", f"/v2/checkout/orders/{reference}", body=[_MARK]
            )
            _require_done_or_moved_on(answer)
        return _intent(await self.order(reference))

    async def order(self, reference: str) -> wire.Order:
        order = await self.paypal.get(f"/v2/checkout/orders/{reference}", wire.Order)
        for capture in _unit(order).payments.captures:
            self.remember(capture.id, order.id)
        return order

    async def order_of(self, capture_id: str) -> str:
        """The order that a capture belongs to."""
        if capture_id in self.orders:
            return self.orders[capture_id]
        capture = await self.paypal.get(f"/v2/payments/captures/{capture_id}", wire.Capture)
        order_id = capture.supplementary_data.related_ids.order_id
        self.remember(capture_id, order_id)
        return order_id

    def remember(self, capture_id: str, order_id: str) -> None:
        while len(self.orders) >= _ORDERS_MAX:
            self.orders.pop(next(iter(self.orders)))
        self.orders[capture_id] = order_id

    async def _carry_on(self, order: wire.Order) -> tuple[wire.Order, str]:
        """The order as it is then, and why the buyer's money could not be had."""
        verb = "authorize" if order.intent == "AUTHORIZE" else "capture"
        try:
            carried = await self.paypal.post(
                f"/v2/checkout/orders/{order.id}/{verb}", {}, wire.Order, key=f"{order.id}-{verb}"
            )
        except GatewayRefused as refusal:
            if refusal.reason == "declined":
                # The buyer may choose another way to pay on the same page.
                return order, refusal.provider_code.lower()
            if refusal.reason != "unexpected_state":
                raise
            # Somebody else carried it on.
            return await self.order(order.id), ""
        return carried, ""


def _require_done_or_moved_on(answer: Answer) -> None:
    """What another was faster with shows when the order is looked at again."""
    if not answer.is_success and answer.status != HTTPStatus.UNPROCESSABLE_ENTITY:
        raise port_error(answer)


_MARK: Final = {
    "op": "replace",
    "path": f"/purchase_units/@reference_id=='{_UNIT}'/custom_id",
    "value": _CANCELED,
}


def custom_id(text: str) -> str:
    """What PayPal allows in a custom_id."""
    return re.sub(r"[^A-Za-z0-9_.,-]", "_", text)[:_CUSTOM_LENGTH_MAX]


def _unit(order: wire.Order) -> wire.PurchaseUnit:
    assert len(order.purchase_units) == 1, "an order of ours has one unit"
    return order.purchase_units[0]


def _intent(order: wire.Order, decline_code: str = "") -> Intent:
    unit = _unit(order)
    currency = unit.amount.currency_code
    captured = [one for one in unit.payments.captures if one.status in _CAPTURED]
    state, reason = _state(order, unit)
    authorizations = unit.payments.authorizations
    return Intent(
        reference=order.id,
        state=state,
        amount_minor=amounts.from_value(unit.amount.value, currency),
        currency=currency,
        fee_minor=sum(_fee_minor(one) for one in captured),
        decline_code=(decline_code or reason) if state == "requires_payment" else "",
        payment_page_url=wire.link(order.links, "payer-action", "approve") or None
        if state == "requires_payment"
        else None,
        capture="manual" if order.intent == "AUTHORIZE" else "automatic",
        captured_minor=sum(amounts.from_value(one.amount.value, currency) for one in captured),
        authorized_until=authorizations[-1].expiration_time if state == "authorized" else None,
    )


def _state(order: wire.Order, unit: wire.PurchaseUnit) -> tuple[IntentState, str]:
    payments = unit.payments
    if any(one.status in _CAPTURED for one in payments.captures):
        return "succeeded", ""
    for last in (*payments.captures[-1:], *payments.authorizations[-1:]):
        match last.status:
            case "PENDING":
                return "processing", ""
            case "CREATED":
                return "authorized", ""
            case "VOIDED" | "EXPIRED":
                return "canceled", ""
            case status if status in _DECLINED:
                return "requires_payment", (last.status_details.reason or status).lower()
            case _:
                pass
    if unit.custom_id == _CANCELED or order.status == "VOIDED":
        return "canceled", ""
    return "requires_payment", ""


def _fee_minor(capture: wire.Capture) -> int:
    fee = capture.seller_receivable_breakdown.paypal_fee
    return amounts.from_value(fee.value, fee.currency_code) if fee is not None else 0
