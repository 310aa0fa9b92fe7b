"""What happened at PayPal: events, delivered or listed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from feira.platform.domain.errors import InvalidInput, NotAllowed
from feira.platform.gateways.payments.objects import (
    Page,
    ProviderEvent,
    SubjectKind,
)
from feira.platform.gateways.payments.paypal import wire
from feira.platform.gateways.payments.paypal.part import NAME, PayPalPart

_PAGE_SIZE: Final = "100"
_KINDS: Final[tuple[tuple[str, SubjectKind], ...]] = (
    ("CHECKOUT.ORDER.", "intent"),
    ("PAYMENT.CAPTURE.REFUNDED", "refund"),
    ("PAYMENT.CAPTURE.REVERSED", "refund"),
    ("PAYMENT.CAPTURE.", "intent"),
    ("PAYMENT.AUTHORIZATION.", "intent"),
    ("PAYMENT.REFUND.", "refund"),
    ("PAYMENT.PAYOUTSBATCH.", "transfer"),
    ("PAYMENT.PAYOUTS-ITEM.", "transfer"),
    ("MERCHANT.", "account"),
    ("CUSTOMER.MERCHANT-INTEGRATION.", "account"),
    ("CUSTOMER.DISPUTE.", "dispute"),
)
# What the signature is over, and where each part of it comes in.
_SIGNED: Final = {
    "auth_algo": "Paypal-Auth-Algo",
    "cert_url": "Paypal-Cert-Url",
    "transmission_id": "Paypal-Transmission-Id",
    "transmission_sig": "Paypal-Transmission-Sig",
    "transmission_time": "Paypal-Transmission-Time",
}


class PayPalNews(PayPalPart):
    """Listed and verified."""

    async def list_events(
        self, *, since: datetime, page: str | None = None, account: str = ""
    ) -> Page[ProviderEvent]:
        if account:
            return Page(items=())
        query = {"page_size": _PAGE_SIZE, "start_time": _time(since)}
        if page is not None:
            query = dict(parse_qsl(page))
        listed = await self.paypal.get("/v1/notifications/webhooks-events", wire.Events, query)
        following = urlsplit(wire.link(listed.links, "next")).query
        return Page(
            items=tuple(_event(event) for event in listed.events),
            next_page=following if following and listed.events else None,
        )

    async def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """PayPal itself says whether it is its own.

        A repeated delivery carries the time of the first: age alone says nothing, and an event is kept once.
        """
        signed = {name: headers.get(header, "") for name, header in _SIGNED.items()}
        if not self.settings.webhook_id or not all(signed.values()):
            raise _bad_signature()
        try:
            event = msgspec.json.decode(body, type=wire.Event)
        except msgspec.DecodeError as error:
            raise InvalidInput("webhook.malformed", f"{error}.") from error
        question = {
            **signed,
            "webhook_id": self.settings.webhook_id,
            "webhook_event": msgspec.Raw(body),
        }
        verdict = await self.paypal.post(
            "/v1/notifications/verify-webhook-signature", question, wire.Verification
        )
        if verdict.verification_status != "SUCCESS":
            raise _bad_signature()
        try:
            return _event(event)
        except msgspec.DecodeError as error:
            raise InvalidInput("webhook.malformed", f"{error}.") from error


def _bad_signature() -> NotAllowed:
    return NotAllowed("webhook.bad_signature", "PayPal did not send this.")


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _event(event: wire.Event) -> ProviderEvent:
    kind = _kind(event.event_type)
    return ProviderEvent(
        provider=NAME,
        account="",
        event_id=event.id,
        type=event.event_type,
        kind=kind,
        subject=_subject(event, kind),
    )


def _kind(event_type: str) -> SubjectKind | None:
    for start, kind in _KINDS:
        if event_type.startswith(start):
            return kind
    return None


def _subject(event: wire.Event, kind: SubjectKind | None) -> str:
    if kind is None:
        return ""
    about = msgspec.json.decode(event.resource, type=wire.EventResource)
    match kind:
        case "intent":
            return about.supplementary_data.related_ids.order_id or about.id
        case "transfer":
            return about.payout_batch_id or about.batch_header.payout_batch_id
        case "account":
            return about.tracking_id
        case "dispute":
            return about.dispute_id
        case _:
            return about.id
