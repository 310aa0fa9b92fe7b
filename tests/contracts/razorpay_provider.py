"""Razorpay as far as our gateway leans on it: links, payments, refunds, Route transfers and disputes, in memory.

Objects have the shape of its documents' sample answers. It knows no idempotency keys, and neither does this.
"""

from __future__ import annotations

import base64
import dataclasses
import itertools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from tests.contracts.company import Asked, Refusal
from tests.contracts.razorpay_documents import Section, judge_fields, read_section

Thing = dict[str, Any]
KEY_ID, KEY_SECRET = "rzp_test_contract", "key-secret"


class RazorpayProvider:
    def __init__(self, contracts: Path) -> None:
        def section(document: str, *titles: str) -> Section:
            return read_section(contracts, document, *titles)

        transfer = section(
            "transfer.md", "Create transfers from payment", "Hold settlements for transfers"
        )
        self.sections: dict[str, Section] = {
            r"POST /v1/payment_links": section("paymentLink.md", "Create payment link"),
            r"POST /v1/payments/\w+/capture": section("payment.md", "Capture payment"),
            r"POST /v1/payments/\w+/refund": section("refund.md", "Create a normal refund"),
            r"POST /v1/payments/\w+/transfers": transfer,
            r"POST /v1/transfers": Section(
                fields=transfer.fields - {"transfers"},
                required=section("transfer.md", "Direct transfers").required,
                types=section("transfer.md", "Direct transfers").types,
            ),
            r"POST /v1/transfers/\w+/reversals": Section(
                fields=frozenset({"amount", "notes"}),
                required=frozenset(),
                types={"amount": "integer", "notes": "object"},
            ),
            r"POST /v1/payment_links/\w+/cancel": Section(
                fields=frozenset(), required=frozenset(), types={}
            ),
        }
        self.things: dict[str, Thing] = {}
        self.told: list[tuple[str, Thing]] = []
        self._numbers = itertools.count(1)

    def judge(self, asked: Asked) -> list[str]:
        call = f"{asked.method} {asked.path}"
        if asked.method == "GET":
            known = {"reference_id", "payment_id", "from", "to", "count", "skip"}
            return [f"?{name}" for name, _ in parse_qsl(asked.query) if name not in known]
        for pattern, section in self.sections.items():
            if re.fullmatch(pattern, call):
                given = msgspec.json.decode(asked.body)
                # upi_link is starred for links of that kind alone.
                ours = dataclasses.replace(section, required=section.required - {"upi_link"})
                wrong = judge_fields(ours, given)
                for item in given.get("transfers", []):
                    wrong += judge_fields(self.sections["POST /v1/transfers"], item, "transfers/")
                return wrong + list(_limits(given))
        return [f"no such operation: {call}"]

    def answer(self, asked: Asked) -> Any:
        pair = base64.b64encode(f"{KEY_ID}:{KEY_SECRET}".encode()).decode()
        if asked.headers.get("Authorization") != f"Basic {pair}":
            raise _error(401, "Authentication failed")
        fields = msgspec.json.decode(asked.body) if asked.body else dict(parse_qsl(asked.query))
        for pattern, handler in _ROUTES:
            found = re.fullmatch(pattern, f"{asked.method} {asked.path}")
            if found:
                return handler(self, *found.groups(), fields)
        raise AssertionError(f"our gateway has no business with {asked.method} {asked.path}")

    # What buyers, sellers and banks do.

    def pay(self, link_id: str, *, status: str = "captured", reason: str | None = None) -> Thing:
        link = self.things[link_id]
        if link["order_id"] is None:
            link["order_id"] = self._make("order")["id"]
        payment = self._make(
            "pay",
            status=status,
            amount=link["amount"],
            currency=link["currency"],
            order_id=link["order_id"],
            error_reason=reason,
            fee=None,
            notes=[],
        )
        payment["link"] = link_id
        if status == "captured":
            self._captured(payment)
        else:
            self.tell(f"payment.{status}", payment=payment)
        return payment

    def open_account(self) -> str:
        return self._make("acc", status="activated")["id"]

    def dispute(self, link_id: str, **fields: Any) -> str:
        [payment] = [t for t in self._all("pay") if t.get("link") == link_id]
        dispute = self._make(
            "disp",
            payment_id=payment["id"],
            amount=payment["amount"],
            currency=payment["currency"],
            status="open",
            reason_code="goods_or_services_not_received_or_partially_received",
            respond_by=int(time.time()) + 86_400,
            **{"phase": "chargeback", **fields},
        )
        self.tell("payment.dispute.created", payment=payment, dispute=dispute)
        return dispute["id"]

    def tell(self, kind: str, **about: Thing) -> None:
        event = {
            "entity": "event",
            "event": kind,
            "contains": list(about),
            "payload": {name: {"entity": thing} for name, thing in about.items()},
            "created_at": int(time.time()),
        }
        self.told.append((kind, msgspec.json.decode(msgspec.json.encode(event))))

    # What our gateway asks.

    def get(self, reference: str, _: Thing) -> Thing:
        if reference not in self.things:
            raise _error(400, "The id provided does not exist")
        return self.things[reference]

    def make_link(self, fields: Thing) -> Thing:
        if any(t["reference_id"] == fields["reference_id"] for t in self._all("plink")):
            raise _error(400, "payment link with given reference_id already exists")
        link = self._make("plink", **fields, status="created", order_id=None, payments=None)
        link["short_url"] = f"https://rzp.io/i/{link['id']}"
        return link

    def find_links(self, fields: Thing) -> Thing:
        found = self._all("plink")
        if "reference_id" in fields:
            found = [t for t in found if t["reference_id"] == fields["reference_id"]]
        if "payment_id" in fields:
            link = self.things.get(fields["payment_id"], {}).get("link")
            found = [t for t in found if t["id"] == link]
        return {"payment_links": found}

    def cancel_link(self, link_id: str, _: Thing) -> Thing:
        link = self.get(link_id, {})
        if link["status"] != "created":
            raise _error(400, f"Payment link already {link['status']}")
        link["status"] = "cancelled"
        self.tell("payment_link.cancelled", payment_link=link)
        return link

    def payments_of(self, order_id: str, _: Thing) -> Thing:
        return _collection([t for t in self._all("pay") if t["order_id"] == order_id])

    def capture(self, payment_id: str, fields: Thing) -> Thing:
        payment = self.things[payment_id]
        if payment["status"] != "authorized":
            raise _error(400, "This payment has already been captured")
        assert fields["amount"] == payment["amount"]
        self._captured(payment)
        return payment

    def refund(self, payment_id: str, fields: Thing) -> Thing:
        payment = self.things[payment_id]
        given = sum(t["amount"] for t in self._all("rfnd") if t["payment_id"] == payment_id)
        if given == payment["amount"]:
            raise _error(400, "The payment has been fully refunded already")
        if given + fields["amount"] > payment["amount"]:
            raise _error(400, "The total refund amount is greater than the refund payment amount")
        refund = self._make(
            "rfnd", payment_id=payment_id, currency=payment["currency"], status="pending", **fields
        )
        self.tell("refund.created", refund=refund, payment=payment)
        return refund

    def refunds_of(self, payment_id: str, _: Thing) -> Thing:
        return _collection([t for t in self._all("rfnd") if t["payment_id"] == payment_id])

    def transfer_from(self, payment_id: str, fields: Thing) -> Thing:
        payment = self.things[payment_id]
        [item] = fields["transfers"]
        used = sum(t["amount"] for t in self._all("trf") if t["source"] == payment_id)
        if used + item["amount"] > payment["amount"]:
            raise _error(400, "The sum of amount requested for transfer exceeds the payment amount")
        if any(t["payment_id"] == payment_id for t in self._all("rfnd")):
            raise _error(400, "A refunded payment's status allows no transfer")
        return _collection([self._transfer(item, payment_id)])

    def transfer_direct(self, fields: Thing) -> Thing:
        return self._transfer(fields, "acc_market")

    def transfers_of(self, payment_id: str, _: Thing) -> Thing:
        return _collection([t for t in self._all("trf") if t["source"] == payment_id])

    def list_transfers(self, fields: Thing) -> Thing:
        found = [t for t in self._all("trf") if t["created_at"] >= int(fields["from"])]
        begin = int(fields["skip"])
        return _collection(found[begin : begin + int(fields["count"])])

    def reverse(self, transfer_id: str, fields: Thing) -> Thing:
        transfer = self.things[transfer_id]
        if transfer["amount_reversed"] + fields["amount"] > transfer["amount"]:
            raise _error(400, "The amount is greater than the transfer's amount")
        transfer["amount_reversed"] += fields["amount"]
        whole = transfer["amount_reversed"] == transfer["amount"]
        transfer["status"] = "reversed" if whole else "partially_reversed"
        return self._make("rvrsl", transfer_id=transfer_id, **fields)

    def reversals_of(self, transfer_id: str, _: Thing) -> Thing:
        return _collection([t for t in self._all("rvrsl") if t["transfer_id"] == transfer_id])

    # Inside.

    def _make(self, prefix: str, **fields: Any) -> Thing:
        made: Thing = {"id": f"{prefix}_{next(self._numbers):06}", "created_at": int(time.time())}
        self.things[made["id"]] = made | fields
        return self.things[made["id"]]

    def _all(self, prefix: str) -> list[Thing]:
        return [t for t in reversed(self.things.values()) if t["id"].startswith(f"{prefix}_")]

    def _captured(self, payment: Thing) -> None:
        link = self.things[payment["link"]]
        payment.update(status="captured", fee=payment["amount"] * 236 // 10_000)
        link.update(status="paid", payments=[{"payment_id": payment["id"], "status": "captured"}])
        self.tell("payment.captured", payment=payment)
        self.tell("payment_link.paid", payment=payment, payment_link=link)

    def _transfer(self, item: Thing, source: str) -> Thing:
        if self.get(item["account"], {})["status"] != "activated":
            raise _error(400, "The linked account is not activated")
        made = self._make(
            "trf",
            source=source,
            status="processed",
            amount_reversed=0,
            recipient_settlement_id=None,
        )
        made.update(recipient=item["account"], **{k: v for k, v in item.items() if k != "account"})
        self.tell("transfer.processed", transfer=made)
        return made


def _limits(given: Thing) -> list[str]:
    notes = given.get("notes", {})
    wrong = ["more than 15 notes"] if len(notes) > 15 else []
    wrong += [f"note {name} is too long" for name, text in notes.items() if len(text) > 256]
    if len(given.get("reference_id", "")) > 40:
        wrong.append("reference_id is too long")
    return wrong


def _collection(things: list[Thing]) -> Thing:
    return {"entity": "collection", "count": len(things), "items": things}


def _error(status: int, description: str) -> Refusal:
    return Refusal(status, {"error": {"code": "BAD_REQUEST_ERROR", "description": description}})


Handler = Callable[..., Any]
_ROUTES: Final[list[tuple[str, Handler]]] = [
    (r"POST /v1/payment_links", RazorpayProvider.make_link),
    (r"GET /v1/payment_links", RazorpayProvider.find_links),
    (r"POST /v1/payment_links/(\w+)/cancel", RazorpayProvider.cancel_link),
    (r"GET /v1/orders/(\w+)/payments", RazorpayProvider.payments_of),
    (r"POST /v1/payments/(\w+)/capture", RazorpayProvider.capture),
    (r"POST /v1/payments/(\w+)/refund", RazorpayProvider.refund),
    (r"GET /v1/payments/(\w+)/refunds", RazorpayProvider.refunds_of),
    (r"POST /v1/payments/(\w+)/transfers", RazorpayProvider.transfer_from),
    (r"GET /v1/payments/(\w+)/transfers", RazorpayProvider.transfers_of),
    (r"POST /v1/transfers", RazorpayProvider.transfer_direct),
    (r"GET /v1/transfers", RazorpayProvider.list_transfers),
    (r"POST /v1/transfers/(\w+)/reversals", RazorpayProvider.reverse),
    (r"GET /v1/transfers/(\w+)/reversals", RazorpayProvider.reversals_of),
    (r"GET /v1/(?:payment_links|payments|refunds|transfers|disputes)/(\w+)", RazorpayProvider.get),
    (r"GET /v2/accounts/(\w+)", RazorpayProvider.get),
]
