"""Stripe as far as our gateway leans on it: objects with Stripe's official shapes, in memory, with its states and keys.

Requests are judged by the published description. `pay`, `move` and `open_dispute` are what buyers and banks do.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from tests.contracts.company import Asked, Refusal
from tests.contracts.openapi import published

Thing = dict[str, Any]
CONTRACT: Final = "stripe-from-sdk-16.1.0-marketplace.json"
FIXTURES: Final = "stripe-fixtures3-2026-07-29.json"


class StripeProvider:
    def __init__(self, contracts: Path) -> None:
        self.contract = published(contracts / CONTRACT)
        self.samples = _samples(contracts / FIXTURES)
        self.things: dict[str, Thing] = {}
        self.entries: list[Thing] = []
        self.events: list[Thing] = []
        self.available: dict[str, int] = {}
        # Every request is refused, once this is set.
        self.refuse_status = 0
        self.refuse_with: Thing = {}
        self._keys: dict[str, tuple[Asked, Any]] = {}
        self._numbers = itertools.count(1)

    def judge(self, asked: Asked) -> list[str]:
        return self.contract.judge_form(asked.method, asked.path, asked.query, asked.body.decode())

    def answer(self, asked: Asked) -> Any:
        if self.refuse_status:
            raise Refusal(self.refuse_status, {"error": self.refuse_with})
        key = asked.headers.get("Idempotency-Key", "")
        if key in self._keys:
            first, saved = self._keys[key]
            if (first.path, first.body) != (asked.path, asked.body):
                raise _error(400, kind="idempotency_error", message="Keys are for one request.")
            return saved
        answer = self._route(asked)
        if key:
            self._keys[key] = (asked, answer)
        return answer

    # What buyers and banks do.

    def pay(self, session_id: str, *, decline: str = "", status: str = "") -> Thing:
        """The buyer tries to pay on the page; `status` is where the payment gets stuck."""
        session = self.things[session_id]
        payment = session["payment_intent"] and self.things[session["payment_intent"]]
        if not payment:
            payment = self._make("payment_intent", "pi", **session["asked"])
            session["payment_intent"] = payment["id"]
        manual = payment["capture_method"] == "manual"
        payment["last_payment_error"] = None
        if decline:
            payment["last_payment_error"] = {"code": "card_declined", "decline_code": decline}
            self._tell("payment_intent.payment_failed", payment)
            return payment
        if status:
            payment["status"] = status
            return payment
        session["status"] = "complete"
        charge = self._make(
            "charge",
            "ch",
            amount=payment["amount"],
            currency=payment["currency"],
            payment_intent=payment["id"],
            balance_transaction=None,
            source_transfer=None,
        )
        charge["payment_method_details"] = {
            "type": "card",
            "card": {"capture_before": int(time.time()) + 5 * 86400} if manual else {},
        }
        payment["latest_charge"] = charge["id"]
        payment["status"] = "requires_capture"
        if not manual:
            self._capture(payment, payment["amount"])
        self._tell("checkout.session.completed", session)
        return payment

    def move(self, reference: str, status: str, **fields: Any) -> None:
        """Refunds and payouts go on by themselves."""
        thing = self.things[reference]
        thing.update(status=status, **fields)
        name = {"refund": "refund.updated", "payout": f"payout.{status}"}[thing["object"]]
        self._tell(name, thing, account=thing.get("account_of"))

    def open_dispute(self, payment_intent: str, *, status: str = "needs_response") -> Thing:
        payment = self.things[payment_intent]
        dispute = self._make(
            "dispute",
            "du",
            amount=payment["amount_received"],
            currency=payment["currency"],
            payment_intent=payment_intent,
            charge=payment["latest_charge"],
            reason="product_not_received",
            status=status,
        )
        if not status.startswith("warning"):
            entry = self._enter("adjustment", dispute, -dispute["amount"], fee=1500)
            dispute["balance_transactions"] = [entry]
        self._tell("charge.dispute.created", dispute)
        return dispute

    def verify_account(self, reference: str) -> None:
        account = self.things[reference]
        account.update(capabilities={"transfers": "active"}, payouts_enabled=True)
        self._tell("account.updated", account)

    def restrict_account(self, reference: str) -> None:
        account = self.things[reference]
        account.update(capabilities={"transfers": "inactive"}, details_submitted=True)
        account["requirements"]["disabled_reason"] = "rejected.fraud"
        self._tell("account.updated", account)

    def decide_dispute(self, reference: str, outcome: str) -> None:
        dispute = self.things[reference]
        if outcome == "won":
            dispute["balance_transactions"].append(
                self._enter("adjustment", dispute, dispute["amount"])
            )
        dispute["status"] = outcome
        self._tell("charge.dispute.closed", dispute)

    # What our gateway asks.

    def _route(self, asked: Asked) -> Any:
        fields = self.contract.read_form(asked.method, asked.path, asked.body.decode())
        query = dict(parse_qsl(asked.query))
        account = asked.headers.get("Stripe-Account", "")
        for pattern, handler in _ROUTES:
            found = re.fullmatch(pattern, f"{asked.method} {asked.path}")
            if found:
                fields = {"query": query, "account": account, **fields}
                return handler(self, *found.groups(), fields)
        raise AssertionError(f"our gateway has no business with {asked.method} {asked.path}")

    def get(self, reference: str, _: Thing) -> Thing:
        if reference not in self.things:
            raise _error(404, code="resource_missing", message=f"No such object: '{reference}'")
        return self._shown(self.things[reference])

    def get_payout(self, reference: str, _: Thing) -> Thing:
        """Banks take their time: each look finds it a step further."""
        shown = dict(self.get(reference, {}))
        payout = self.things[reference]
        if payout["status"] == "pending":
            self.move(reference, "paid")
        elif payout["status"] == "paid" and self.things[payout["account_of"]].get("payouts_fail"):
            self.move(reference, "failed", failure_code="account_closed")
            account = payout["account_of"]
            self._enter("payout_failure", payout, payout["amount"], account=account)
        return shown

    def make_account(self, fields: Thing) -> Thing:
        account = self._make("account", "acct")
        account["asked"] = fields
        account["capabilities"] = {"transfers": "inactive"}
        return account

    def make_link(self, fields: Thing) -> Thing:
        self.get(fields["account"], {})
        return {**self.samples["account_link"], "expires_at": int(time.time()) + 300}

    def make_session(self, fields: Thing) -> Thing:
        [item] = fields["line_items"]
        payment = fields["payment_intent_data"]
        price = item["price_data"]
        session = self._make(
            "checkout.session",
            "cs_test",
            amount_total=price["unit_amount"] * item["quantity"],
            currency=price["currency"],
            metadata=fields.get("metadata", {}),
            payment_intent=None,
            status="open",
        )
        session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
        session["asked"] = {
            "amount": session["amount_total"],
            "amount_received": 0,
            "currency": session["currency"],
            "capture_method": payment["capture_method"],
            "transfer_group": payment.get("transfer_group"),
            "metadata": payment.get("metadata", {}),
            "status": "requires_payment_method",
            "latest_charge": None,
        }
        return self._shown(session)

    def list_sessions(self, fields: Thing) -> Thing:
        wanted = fields["query"]["payment_intent"]
        return _listing([t for t in self._all("checkout.session") if t["payment_intent"] == wanted])

    def expire_session(self, reference: str, _: Thing) -> Thing:
        session = self.things[reference]
        if session["status"] != "open":
            raise _error(400, message=f"Only sessions that are open can be expired: {reference}")
        session["status"] = "expired"
        self._tell("checkout.session.expired", session)
        return self._shown(session)

    def capture_intent(self, reference: str, fields: Thing) -> Thing:
        payment = self.things[reference]
        if payment["status"] != "requires_capture":
            raise _error(400, code="payment_intent_unexpected_state", message="No.")
        if fields["amount_to_capture"] > payment["amount"]:
            raise _error(400, code="amount_too_large", message="More than was authorised.")
        self._capture(payment, fields["amount_to_capture"])
        return self._shown(payment)

    def cancel_intent(self, reference: str, _: Thing) -> Thing:
        payment = self.things[reference]
        if payment["status"] in {"succeeded", "canceled"}:
            raise _error(400, code="payment_intent_unexpected_state", message="No.")
        payment["status"] = "canceled"
        self._tell("payment_intent.canceled", payment)
        return self._shown(payment)

    def make_refund(self, fields: Thing) -> Thing:
        payment = self.things[fields["payment_intent"]]
        given = sum(
            t["amount"]
            for t in self._all("refund")
            if t["payment_intent"] == payment["id"] and t["status"] != "failed"
        )
        if given == payment["amount_received"]:
            raise _error(400, code="charge_already_refunded", message="All of it was refunded.")
        if fields["amount"] > payment["amount_received"] - given:
            raise _error(400, param="amount", message="Refund amount is greater than what is left.")
        refund = self._make(
            "refund",
            "re",
            amount=fields["amount"],
            currency=payment["currency"],
            payment_intent=payment["id"],
            metadata=fields["metadata"],
            status="pending",
        )
        self._enter("refund", refund, -refund["amount"])
        self._tell("refund.created", refund)
        return refund

    def list_refunds(self, fields: Thing) -> Thing:
        wanted = fields["query"]["payment_intent"]
        found = [t for t in self._all("refund") if t["payment_intent"] == wanted]
        return self._page(found, fields["query"])

    def make_transfer(self, fields: Thing) -> Thing:
        source = fields.get("source_transaction")
        requirements = self.get(fields["destination"], {})["requirements"]
        if str(requirements["disabled_reason"]).startswith("rejected"):
            raise _error(400, code="insufficient_capabilities_for_transfer", message="No.")
        if source is not None:
            used = sum(
                t["amount"] for t in self._all("transfer") if t["source_transaction"] == source
            )
            if used + fields["amount"] > self.things[source]["amount_captured"]:
                raise _error(400, param="amount", message="More than the source charge.")
        elif fields["amount"] > self.available.get("", 0):
            raise _error(400, code="balance_insufficient", message="Not enough available funds.")
        transfer = self._make(
            "transfer",
            "tr",
            amount=fields["amount"],
            currency=fields["currency"],
            destination=fields["destination"],
            source_transaction=source,
            transfer_group=fields.get("transfer_group"),
            metadata=fields["metadata"],
        )
        self._enter("transfer", transfer, -transfer["amount"])
        end = self._make("charge", "py", payment_intent=None, source_transfer=transfer["id"])
        end["currency"] = transfer["currency"]
        self._enter("payment", end, transfer["amount"], account=transfer["destination"])
        self._tell("transfer.created", transfer)
        return transfer

    def list_transfers(self, fields: Thing) -> Thing:
        wanted = fields["query"]["transfer_group"]
        found = [t for t in self._all("transfer") if t["transfer_group"] == wanted]
        return self._page(found, fields["query"])

    def reverse_transfer(self, reference: str, fields: Thing) -> Thing:
        transfer = self.things[reference]
        if fields["amount"] > transfer["amount"] - transfer["amount_reversed"]:
            raise _error(400, param="amount", message="More than is left of the transfer.")
        if fields["amount"] > self.available.get(transfer["destination"], 0):
            raise _error(400, code="balance_insufficient", message="The account has less.")
        transfer["amount_reversed"] += fields["amount"]
        transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
        reversal = self._make(
            "transfer_reversal",
            "trr",
            amount=fields["amount"],
            currency=transfer["currency"],
            transfer=reference,
            metadata=fields["metadata"],
        )
        self._enter("transfer_refund", reversal, reversal["amount"])
        self._enter(
            "payment_refund", reversal, -reversal["amount"], account=transfer["destination"]
        )
        self._tell("transfer.reversed", transfer)
        return reversal

    def list_reversals(self, reference: str, fields: Thing) -> Thing:
        found = [t for t in self._all("transfer_reversal") if t["transfer"] == reference]
        return self._page(found, fields["query"])

    def make_payout(self, fields: Thing) -> Thing:
        account = fields["account"]
        assert account, "the market pays out from its shops' accounts alone"
        if fields["amount"] > self.available.get(account, 0):
            raise _error(400, code="balance_insufficient", message="The account has less.")
        payout = self._make(
            "payout",
            "po",
            amount=fields["amount"],
            currency=fields["currency"],
            metadata=fields["metadata"],
            arrival_date=int(time.time()) + 2 * 86400,
            status="pending",
        )
        payout["account_of"] = account
        self._enter("payout", payout, -payout["amount"], account=account)
        self._tell("payout.created", payout, account=account)
        return payout

    def list_payouts(self, fields: Thing) -> Thing:
        found = [t for t in self._all("payout") if t["account_of"] == fields["account"]]
        return self._page(found, fields["query"])

    def answer_dispute(self, reference: str, fields: Thing) -> Thing:
        dispute = self.things[reference]
        if dispute["status"] not in {"needs_response", "warning_needs_response"}:
            raise _error(400, message="This dispute is already answered.")
        dispute["evidence"] = {**dispute["evidence"], **fields["evidence"]}
        dispute["status"] = dispute["status"].replace("needs_response", "under_review")
        self._tell("charge.dispute.updated", dispute)
        return dispute

    def list_events(self, fields: Thing) -> Thing:
        account = fields["account"] or None
        found = [e for e in self.events if e["account"] == account]
        return self._page(list(reversed(found)), fields["query"])

    def list_entries(self, fields: Thing) -> Thing:
        found = [e for e in self.entries if e["account_of"] == fields["account"]]
        page = self._page(list(reversed(found)), fields["query"])
        page["data"] = [{**e, "source": self.things.get(e["source"])} for e in page["data"]]
        return page

    # Inside.

    def _make(self, kind: str, prefix: str, **fields: Any) -> Thing:
        sample = {name: value for name, value in self.samples[kind].items() if name != "id"}
        thing: Thing = msgspec.json.decode(msgspec.json.encode(sample))
        thing.update(id=f"{prefix}_{next(self._numbers):06}", created=int(time.time()), **fields)
        self.things[thing["id"]] = thing
        return thing

    def _all(self, kind: str) -> list[Thing]:
        return [t for t in reversed(self.things.values()) if t["object"] == kind]

    def _page(self, found: list[Thing], query: dict[str, str]) -> Thing:
        since = int(query.get("created[gte]", 0))
        found = [thing for thing in found if thing["created"] >= since]
        if after := query.get("starting_after"):
            found = found[[thing["id"] for thing in found].index(after) + 1 :]
        limit = int(query["limit"])
        return _listing(found[:limit], has_more=len(found) > limit)

    def _capture(self, payment: Thing, amount: int) -> None:
        charge = self.things[payment["latest_charge"]]
        payment.update(status="succeeded", amount_received=amount)
        charge["amount_captured"] = amount
        entry = self._enter("charge", charge, amount, fee=amount * 29 // 1000 + 30)
        charge["balance_transaction"] = entry["id"]
        self._tell("payment_intent.succeeded", payment)

    def _enter(
        self, kind: str, source: Thing, amount: int, *, fee: int = 0, account: str = ""
    ) -> Thing:
        entry = self._make(
            "balance_transaction",
            "txn",
            amount=amount,
            fee=fee,
            net=amount - fee,
            currency=source["currency"],
            type=kind,
            reporting_category=kind,
            source=source["id"],
        )
        entry["account_of"] = account
        self.entries.append(entry)
        self.available[account] = self.available.get(account, 0) + amount - fee
        return entry

    def _tell(self, kind: str, about: Thing, *, account: str | None = None) -> None:
        event = self._make("event", "evt", type=kind, account=account)
        event["data"] = {"object": msgspec.json.decode(msgspec.json.encode(about))}
        self.events.append(event)

    def _shown(self, thing: Thing) -> Thing:
        """With what we always ask to be expanded."""
        shown = dict(thing)
        for name in ("payment_intent", "latest_charge", "balance_transaction"):
            if thing["object"] in _EXPANDS.get(name, ()) and thing.get(name):
                shown[name] = self._shown(self.things[thing[name]])
        return shown


@lru_cache
def _samples(file: Path) -> dict[str, Thing]:
    return msgspec.json.decode(file.read_bytes())["resources"]


def _listing(things: list[Thing], *, has_more: bool = False) -> Thing:
    return {"object": "list", "data": things, "has_more": has_more, "url": "/v1/things"}


def _error(status: int, *, kind: str = "invalid_request_error", **fields: Any) -> Refusal:
    return Refusal(status, {"error": {"type": kind, **fields}})


_EXPANDS: Final = {
    "payment_intent": {"checkout.session"},
    "latest_charge": {"payment_intent"},
    "balance_transaction": {"charge"},
}
Handler = Callable[..., Any]
_ROUTES: Final[list[tuple[str, Handler]]] = [
    (r"POST /v1/accounts", StripeProvider.make_account),
    (r"POST /v1/account_links", StripeProvider.make_link),
    (r"POST /v1/checkout/sessions", StripeProvider.make_session),
    (r"GET /v1/checkout/sessions", StripeProvider.list_sessions),
    (r"POST /v1/checkout/sessions/([^/]+)/expire", StripeProvider.expire_session),
    (r"POST /v1/payment_intents/([^/]+)/capture", StripeProvider.capture_intent),
    (r"POST /v1/payment_intents/([^/]+)/cancel", StripeProvider.cancel_intent),
    (r"POST /v1/refunds", StripeProvider.make_refund),
    (r"GET /v1/refunds", StripeProvider.list_refunds),
    (r"POST /v1/transfers", StripeProvider.make_transfer),
    (r"GET /v1/transfers", StripeProvider.list_transfers),
    (r"POST /v1/transfers/([^/]+)/reversals", StripeProvider.reverse_transfer),
    (r"GET /v1/transfers/([^/]+)/reversals", StripeProvider.list_reversals),
    (r"POST /v1/payouts", StripeProvider.make_payout),
    (r"GET /v1/payouts", StripeProvider.list_payouts),
    (r"POST /v1/disputes/([^/]+)", StripeProvider.answer_dispute),
    (r"GET /v1/events", StripeProvider.list_events),
    (r"GET /v1/balance_transactions", StripeProvider.list_entries),
    (r"GET /v1/payouts/([^/]+)", StripeProvider.get_payout),
    (r"GET /v1/(?:accounts|refunds|transfers|disputes)/([^/]+)", StripeProvider.get),
    (r"GET /v1/checkout/sessions/([^/]+)", StripeProvider.get),
]
