"""PayPal as far as our gateway leans on it: orders, authorisations, captures, refunds, payouts and events, in memory.

Requests are judged by PayPal's published descriptions; its sign-in, partner and dispute calls are in none of them and
are judged by hand.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from tests.contracts.company import Asked, Refusal
from tests.contracts.openapi import published

Thing = dict[str, Any]
DOCUMENTS: Final = (
    "paypal_checkout_orders_v2.json",
    "paypal_payments_payment_v2.json",
    "paypal_payments_payouts_batch_v1.json",
    "paypal_notifications_webhooks_v1.json",
    "paypal_customer_partner_referrals_v2.json",
)
# Public, but in none of the documents.
UNPUBLISHED: Final = re.compile(
    r"POST /v1/oauth2/token|GET /v1/customer/partners/\w+/merchant-integrations(/\w+)?|GET /v1/customer/disputes/[\w-]+"
)
CLIENT_ID, CLIENT_SECRET = "client-id", "client-secret"


class PayPalProvider:
    def __init__(self, contracts: Path) -> None:
        self.documents = [published(contracts / name) for name in DOCUMENTS]
        self.things: dict[str, Thing] = {}
        self.events: list[Thing] = []
        self.merchants: dict[str, Thing] = {}
        self.tokens: list[str] = []
        # What the next order that is carried on is refused for.
        self.declines: list[str] = []
        self._keys: dict[tuple[str, str], tuple[bytes, Any]] = {}
        self._numbers = itertools.count(1)

    def judge(self, asked: Asked) -> list[str]:
        if UNPUBLISHED.fullmatch(f"{asked.method} {asked.path}"):
            return []
        for document in self.documents:
            if document.find(asked.method, asked.path):
                # Where a page goes on is PayPal's own link, followed as it was given.
                query = asked.query.partition("&move_to=next")[0]
                return document.judge_json(asked.method, asked.path, query, asked.body)
        return ["PayPal publishes no such operation"]

    def answer(self, asked: Asked) -> Any:
        if asked.path == "/v1/oauth2/token":
            return self._token(asked)
        if asked.headers.get("Authorization", "") != f"Bearer {self.tokens[-1]}":
            raise Refusal(401, {"name": "AUTHENTICATION_FAILURE", "message": "No."})
        once = (asked.path, asked.headers.get("PayPal-Request-Id", ""))
        if once[1] and once in self._keys:
            body, saved = self._keys[once]
            if body != asked.body:
                raise _error(422, "DUPLICATE_REQUEST_ID")
            return saved
        answer = self._route(asked)
        if once[1]:
            self._keys[once] = (asked.body, msgspec.json.decode(msgspec.json.encode(answer)))
        return answer

    # What buyers, sellers and banks do.

    def approve(self, order_id: str) -> None:
        order = self.things[order_id]
        if order["status"] == "PAYER_ACTION_REQUIRED":
            order["status"] = "APPROVED"
            self.tell("CHECKOUT.ORDER.APPROVED", order)

    def onboard(self, tracking_id: str, **limits: bool) -> None:
        merchant = {"payments_receivable": True, "primary_email_confirmed": True, **limits}
        merchant_id = f"M{next(self._numbers):012}"
        self.merchants[tracking_id] = {"merchant_id": merchant_id, **merchant}
        about = {"tracking_id": tracking_id, "merchant_id": merchant_id}
        self.tell("MERCHANT.ONBOARDING.COMPLETED", about)

    def dispute(self, order_id: str, **fields: Any) -> str:
        [unit] = self.things[order_id]["purchase_units"]
        capture = unit["payments"]["captures"][0]
        dispute: Thing = {
            "dispute_id": f"PP-D-{next(self._numbers)}",
            "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
            "status": "WAITING_FOR_SELLER_RESPONSE",
            "dispute_life_cycle_stage": "CHARGEBACK",
            "dispute_amount": capture["amount"],
            "disputed_transactions": [{"seller_transaction_id": capture["id"]}],
            "seller_response_due_date": _time(timedelta(days=10)),
            **fields,
        }
        self.things[dispute["dispute_id"]] = dispute
        self.tell("CUSTOMER.DISPUTE.CREATED", dispute)
        return dispute["dispute_id"]

    def forget_keys(self) -> None:
        """Keys of requests end before those of batches do."""
        self._keys.clear()

    def tell(self, kind: str, about: Thing) -> None:
        event = {
            "id": f"WH-{next(self._numbers)}",
            "create_time": _time(),
            "event_type": kind,
            "resource": msgspec.json.decode(msgspec.json.encode(about)),
        }
        self.events.insert(0, event)

    # What our gateway asks.

    def _token(self, asked: Asked) -> Thing:
        pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        assert asked.body == b"grant_type=client_credentials"
        if asked.headers["Authorization"] != f"Basic {pair}":
            raise Refusal(401, {"error": "invalid_client", "error_description": "No."})
        self.tokens.append(f"token-{len(self.tokens)}")
        return {"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": 32_400}

    def _route(self, asked: Asked) -> Any:
        fields = msgspec.json.decode(asked.body) if asked.body else None
        query = dict(parse_qsl(asked.query))
        for pattern, handler in _ROUTES:
            found = re.fullmatch(pattern, f"{asked.method} {asked.path}")
            if found:
                return handler(self, *found.groups(), query if asked.method == "GET" else fields)
        raise AssertionError(f"our gateway has no business with {asked.method} {asked.path}")

    def get(self, reference: str, _: Thing) -> Thing:
        if reference not in self.things:
            raise _error(404, "RESOURCE_NOT_FOUND")
        return self.things[reference]

    def make_order(self, fields: Thing) -> Thing:
        [unit] = fields["purchase_units"]
        order = self._make("O", status="PAYER_ACTION_REQUIRED", intent=fields["intent"])
        order["purchase_units"] = [{**unit, "payments": {}}]
        page = f"https://www.paypal.com/checkoutnow?token={order['id']}"
        order["links"] = [{"href": page, "rel": "payer-action", "method": "GET"}]
        return order

    def patch_order(self, order_id: str, fields: list[Thing]) -> Thing:
        order = self.get(order_id, {})
        if order["status"] == "COMPLETED":
            raise _error(422, "ORDER_ALREADY_COMPLETED")
        [change] = fields
        assert change["path"] == "/purchase_units/@reference_id=='default'/custom_id"
        order["purchase_units"][0]["custom_id"] = change["value"]
        return {}

    def carry_on(self, order_id: str, verb: str, _: Thing) -> Thing:
        order = self.things[order_id]
        [unit] = order["purchase_units"]
        if order["status"] == "COMPLETED":
            raise _error(422, f"ORDER_ALREADY_{verb.upper()}D")
        if order["status"] != "APPROVED":
            raise _error(422, "ORDER_NOT_APPROVED")
        if self.declines:
            raise _error(422, self.declines.pop())
        order["status"] = "COMPLETED"
        if verb == "capture":
            self._capture(order, unit["amount"])
        else:
            authorization = self._make("A", status="CREATED", amount=unit["amount"])
            authorization["expiration_time"] = _time(timedelta(days=29))
            authorization["order"] = order_id
            unit["payments"] = {"authorizations": [authorization]}
        return order

    def capture_authorization(self, reference: str, fields: Thing) -> Thing:
        authorization = self.get(reference, {})
        if authorization["status"] != "CREATED":
            raise _error(422, "AUTHORIZATION_ALREADY_CAPTURED")
        amount = fields.get("amount", authorization["amount"])
        if float(amount["value"]) > float(authorization["amount"]["value"]):
            raise _error(422, "MAX_CAPTURE_AMOUNT_EXCEEDED")
        authorization["status"] = "CAPTURED"
        return self._capture(self.things[authorization["order"]], amount)

    def void(self, reference: str, _: Thing) -> Thing:
        authorization = self.get(reference, {})
        if authorization["status"] != "CREATED":
            raise _error(422, "PREVIOUSLY_VOIDED")
        authorization["status"] = "VOIDED"
        return authorization

    def refund(self, capture_id: str, fields: Thing) -> Thing:
        capture = self.get(capture_id, {})
        capture["refunded"] = capture.get("refunded", 0.0) + float(fields["amount"]["value"])
        if capture["refunded"] > float(capture["amount"]["value"]) + 1e-9:
            capture["refunded"] -= float(fields["amount"]["value"])
            raise _error(422, "REFUND_AMOUNT_EXCEEDED")
        refund = self._make("R", status="PENDING", **fields)
        up = f"https://api-m.paypal.com/v2/payments/captures/{capture_id}"
        refund["links"] = [{"href": up, "rel": "up", "method": "GET"}]
        [unit] = self.things[capture["supplementary_data"]["related_ids"]["order_id"]][
            "purchase_units"
        ]
        unit["payments"].setdefault("refunds", []).append(refund)
        self.tell("PAYMENT.REFUND.PENDING", refund)
        return refund

    def refer(self, fields: Thing) -> Thing:
        page = f"https://www.paypal.com/bizsignup/partner/entry?t={fields['tracking_id']}"
        return {"links": [{"href": page, "rel": "action_url", "method": "GET"}]}

    def find_merchant(self, fields: Thing) -> Thing:
        if fields["tracking_id"] not in self.merchants:
            raise _error(404, "RESOURCE_NOT_FOUND")
        return self.merchants[fields["tracking_id"]]

    def get_merchant(self, merchant_id: str, _: Thing) -> Thing:
        return next(m for m in self.merchants.values() if m["merchant_id"] == merchant_id)

    def pay_out(self, fields: Thing) -> Thing:
        once = fields["sender_batch_header"]["sender_batch_id"]
        for thing in self.things.values():
            header = thing.get("batch_header", {}).get("sender_batch_header", {})
            if header.get("sender_batch_id") == once:
                raise _existing(thing["batch_header"]["payout_batch_id"])
        [item] = fields["items"]
        if item["receiver"] not in {m["merchant_id"] for m in self.merchants.values()}:
            raise _error(422, "RECEIVER_UNREGISTERED")
        batch = self._make("B")
        batch["batch_header"] = {
            "payout_batch_id": batch["id"],
            "batch_status": "SUCCESS",
            "sender_batch_header": fields["sender_batch_header"],
            "amount": item["amount"],
        }
        sent = {
            "payout_item_id": f"I{next(self._numbers)}",
            "payout_batch_id": batch["id"],
            "transaction_status": "SUCCESS",
            "payout_item": item,
        }
        batch["items"] = [sent]
        self.tell("PAYMENT.PAYOUTSBATCH.SUCCESS", batch)
        self.tell("PAYMENT.PAYOUTS-ITEM.SUCCEEDED", sent)
        return {"batch_header": {**batch["batch_header"], "batch_status": "PENDING"}}

    def verify(self, fields: Thing) -> Thing:
        good = fields["transmission_sig"] == "good" and fields["webhook_id"] == "WEBHOOK1"
        good = good and fields["webhook_event"] in self.events
        return {"verification_status": "SUCCESS" if good else "FAILURE"}

    def list_events(self, fields: Thing) -> Thing:
        begin = int(fields.get("index_id", 0))
        found = [e for e in self.events if e["create_time"] >= fields["start_time"]]
        size = min(int(fields["page_size"]), 2)
        url = "https://api-m.paypal.com/v1/notifications/webhooks-events"
        following = f"{url}?page_size=100&start_time={fields['start_time']}&move_to=next"
        following += f"&index_id={begin + size}"
        return {
            "events": found[begin : begin + size],
            "links": [{"href": following, "rel": "next"}] if len(found) > begin + size else [],
        }

    # Inside.

    def _make(self, prefix: str, **fields: Any) -> Thing:
        thing: Thing = {"id": f"{prefix}{next(self._numbers):012}", **fields}
        self.things[thing["id"]] = thing
        return thing

    def _capture(self, order: Thing, amount: Thing) -> Thing:
        capture = self._make("C", status="COMPLETED", amount=amount)
        fee = {"currency_code": amount["currency_code"], "value": "1"}
        capture["seller_receivable_breakdown"] = {"gross_amount": amount, "paypal_fee": fee}
        capture["supplementary_data"] = {"related_ids": {"order_id": order["id"]}}
        order["purchase_units"][0]["payments"].setdefault("captures", []).append(capture)
        self.tell("PAYMENT.CAPTURE.COMPLETED", capture)
        return capture


def _time(ahead: timedelta = timedelta()) -> str:
    return (datetime.now(UTC) + ahead).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(status: int, issue: str) -> Refusal:
    name = "RESOURCE_NOT_FOUND" if status == 404 else "UNPROCESSABLE_ENTITY"
    return Refusal(status, {"name": name, "message": "No.", "details": [{"issue": issue}]})


def _existing(batch_id: str) -> Refusal:
    details = [{"field": "SENDER_BATCH_ID", "issue": "Batch with given sender_batch_id exists"}]
    link = {"href": f"https://api-m.paypal.com/v1/payments/payouts/{batch_id}", "rel": "self"}
    body = {"name": "USER_BUSINESS_ERROR", "message": "Twice.", "details": details, "links": [link]}
    return Refusal(400, body)


Handler = Callable[..., Any]
_ROUTES: Final[list[tuple[str, Handler]]] = [
    (r"POST /v2/checkout/orders", PayPalProvider.make_order),
    (r"PATCH /v2/checkout/orders/(\w+)", PayPalProvider.patch_order),
    (r"POST /v2/checkout/orders/(\w+)/(capture|authorize)", PayPalProvider.carry_on),
    (r"POST /v2/payments/authorizations/(\w+)/capture", PayPalProvider.capture_authorization),
    (r"POST /v2/payments/authorizations/(\w+)/void", PayPalProvider.void),
    (r"POST /v2/payments/captures/(\w+)/refund", PayPalProvider.refund),
    (r"POST /v2/customer/partner-referrals", PayPalProvider.refer),
    (r"GET /v1/customer/partners/\w+/merchant-integrations", PayPalProvider.find_merchant),
    (r"GET /v1/customer/partners/\w+/merchant-integrations/(\w+)", PayPalProvider.get_merchant),
    (r"POST /v1/payments/payouts", PayPalProvider.pay_out),
    (r"POST /v1/notifications/verify-webhook-signature", PayPalProvider.verify),
    (r"GET /v1/notifications/webhooks-events", PayPalProvider.list_events),
    (r"GET /v2/checkout/orders/(\w+)", PayPalProvider.get),
    (r"GET /v2/payments/(?:captures|refunds)/(\w+)", PayPalProvider.get),
    (r"GET /v1/payments/payouts/(\w+)", PayPalProvider.get),
    (r"GET /v1/customer/disputes/([\w-]+)", PayPalProvider.get),
]
