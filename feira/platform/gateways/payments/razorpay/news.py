"""What happened at Razorpay: disputes, and webhooks signed over the raw body. It has no list of events."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from feira.platform.domain.errors import InvalidInput, NotAllowed
from feira.platform.gateways.payments.objects import (
    Dispute,
    DisputeState,
    Page,
    ProviderEvent,
    SubjectKind,
)
from feira.platform.gateways.payments.razorpay import wire
from feira.platform.gateways.payments.razorpay.intents import RazorpayIntents
from feira.platform.gateways.payments.razorpay.part import NAME

SIGNATURE_HEADER: Final = "X-Razorpay-Signature"

# The start of an event's name, longest first; what to fetch, and under which name the payload has it.
_KINDS: Final[tuple[tuple[str, SubjectKind, str], ...]] = (
    ("payment.dispute.", "dispute", "dispute"),
    ("payment_link.", "intent", "payment_link"),
    ("payment.", "intent", "payment"),
    ("refund.", "refund", "refund"),
    ("transfer.", "transfer", "transfer"),
    ("account.", "account", "account"),
)
_DISPUTES: Final[dict[str, DisputeState]] = {
    "open": "needs_response",
    "under_review": "under_review",
    "won": "won",
    "closed": "won",
    "lost": "lost",
}


class RazorpayNews(RazorpayIntents):
    """Verified here; looked at there."""

    async def fetch_dispute(self, reference: str) -> Dispute:
        dispute = await self.razorpay.get(f"/v1/disputes/{reference}", wire.Dispute)
        state = _DISPUTES.get(dispute.status, "under_review")
        if dispute.phase == "retrieval" and state in {"needs_response", "under_review"}:
            state = "inquiry"
        due = dispute.respond_by
        return Dispute(
            reference=dispute.id,
            intent_reference=await self.link_of(dispute.payment_id),
            state=state,
            amount_minor=dispute.amount,
            currency=dispute.currency,
            fee_minor=0,
            reason=dispute.reason_code,
            evidence_due_at=datetime.fromtimestamp(due, UTC) if due is not None else None,
        )

    async def list_events(
        self,
        *,
        since: datetime,  # noqa: ARG002
        page: str | None = None,  # noqa: ARG002
        account: str = "",  # noqa: ARG002
    ) -> Page[ProviderEvent]:
        return Page(items=())

    async def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """The signature has no time and covers no event id: the body's hash is the id, so a replay is known."""
        secret = self.settings.webhook_secret.encode()
        wanted = hmac.new(secret, body, hashlib.sha256).hexdigest()
        given = headers.get(SIGNATURE_HEADER, "")
        if not secret or not hmac.compare_digest(wanted.encode(), given.encode()):
            raise NotAllowed(
                "webhook.bad_signature", f"The {SIGNATURE_HEADER} header does not fit this body."
            )
        try:
            event = msgspec.json.decode(body, type=wire.Event)
            kind, subject = _subject(event)
        except msgspec.DecodeError as error:
            raise InvalidInput("webhook.malformed", f"{error}.") from error
        return ProviderEvent(
            provider=NAME,
            account="",
            event_id=hashlib.sha256(body).hexdigest(),
            type=event.event,
            kind=kind,
            subject=subject,
        )


def _subject(event: wire.Event) -> tuple[SubjectKind | None, str]:
    for start, kind, name in _KINDS:
        if event.event.startswith(start):
            if name in event.payload:
                about = msgspec.json.decode(event.payload[name], type=wire.Wrapped)
                return kind, about.entity.id
            return (kind, event.account_id) if kind == "account" else (None, "")
    return None, ""
