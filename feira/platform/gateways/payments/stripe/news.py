"""What happened at Stripe: webhooks, the list of events behind them, and the movements of balances."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from feira.platform.domain.errors import InvalidInput
from feira.platform.gateways.payments.objects import (
    BalanceTransaction,
    MovementKind,
    Page,
    ProviderEvent,
    SubjectKind,
)
from feira.platform.gateways.payments.stripe import amounts, signature, wire
from feira.platform.gateways.payments.stripe.intents import StripeIntents
from feira.platform.gateways.payments.stripe.times import moment, unix_s

if TYPE_CHECKING:
    from stripe import RequestOptions
    from stripe.params import BalanceTransactionListParams, EventListParams

NAME: Final = "stripe"
_PAGE_SIZE: Final = 100

# The first part of an event's type, longest first, and what to fetch.
_KINDS: Final[tuple[tuple[str, SubjectKind], ...]] = (
    ("charge.dispute.", "dispute"),
    ("checkout.session.", "intent"),
    ("payment_intent.", "intent"),
    ("charge.updated", "intent"),
    ("refund.", "refund"),
    ("charge.refund.", "refund"),
    ("transfer.", "transfer"),
    ("payout.", "payout"),
    ("account.updated", "account"),
    ("account.application.deauthorized", "account"),
    ("capability.updated", "account"),
)
_MOVEMENTS: Final[dict[str, MovementKind]] = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    "payment_failure_refund": "refund",
    "refund_failure": "refund_failure",
    "payment_reversal": "refund",
    "transfer": "transfer",
    "transfer_refund": "transfer_reversal",
    "transfer_cancel": "transfer_reversal",
    "transfer_failure": "transfer_reversal",
    "payout": "payout",
    "payout_cancel": "payout_failure",
    "payout_failure": "payout_failure",
    "stripe_fee": "fee",
    "stripe_fx_fee": "fee",
    "network_cost": "fee",
}


class StripeNews(StripeIntents):
    """Listed and verified."""

    async def list_events(
        self, *, since: datetime, page: str | None = None, account: str = ""
    ) -> Page[ProviderEvent]:
        asked: EventListParams = {"created": {"gte": unix_s(since)}, "limit": _PAGE_SIZE}
        if page is not None:
            asked["starting_after"] = page
        call = self.stripe.v1.events.list_async(asked, _of(account))
        listing = await self.stripe.ask(call, wire.Listing[wire.Event])
        return Page(
            items=tuple(_event(event, account) for event in listing.data),
            next_page=listing.data[-1].id if listing.has_more else None,
        )

    async def list_balance_transactions(
        self, *, since: datetime, page: str | None = None, account: str = ""
    ) -> Page[BalanceTransaction]:
        asked: BalanceTransactionListParams = {
            "created": {"gte": unix_s(since)},
            "limit": _PAGE_SIZE,
            "expand": ["data.source"],
        }
        if page is not None:
            asked["starting_after"] = page
        call = self.stripe.v1.balance_transactions.list_async(asked, _of(account))
        listing = await self.stripe.ask(call, wire.Listing[wire.BalanceTransaction])
        return Page(
            items=tuple([await self._movement(entry, account) for entry in listing.data]),
            next_page=listing.data[-1].id if listing.has_more else None,
        )

    async def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        signature.verify(
            headers.get(signature.HEADER, ""),
            body,
            secrets=self.settings.webhook_secrets,
            now=self.settings.clock(),
        )
        try:
            return _event(msgspec.json.decode(body, type=wire.Event), "")
        except msgspec.DecodeError as error:
            raise InvalidInput("webhook.malformed", f"{error}.") from error

    async def _movement(self, entry: wire.BalanceTransaction, account: str) -> BalanceTransaction:
        currency = entry.currency.upper()
        kind, source = _kind(entry, account), entry.source
        named = source if isinstance(source, str) else (source.id if source else "")
        if isinstance(source, wire.Source):
            if kind == "charge" and source.payment_intent is not None:
                named = await self.intent_reference(source.payment_intent)
            elif kind == "transfer" and source.source_transfer is not None:
                named = source.source_transfer
        return BalanceTransaction(
            reference=entry.id,
            kind=kind,
            provider_kind=entry.type,
            amount_minor=amounts.from_units(entry.amount, currency),
            fee_minor=amounts.from_units(entry.fee, currency),
            net_minor=amounts.from_units(entry.net, currency),
            currency=currency,
            source=named,
            account=account,
            created_at=moment(entry.created),
        )


def _of(account: str) -> RequestOptions:
    return {"stripe_account": account} if account else {}


def _kind(entry: wire.BalanceTransaction, account: str) -> MovementKind:
    source = entry.source if isinstance(entry.source, wire.Source) else None
    if source is not None and source.object == "dispute":
        return "dispute" if entry.net < 0 else "dispute_reversal"
    if account:
        # At its other end a transfer is a payment, and taking it back a refund of that.
        if source is not None and source.source_transfer is not None:
            return "transfer"
        if entry.type == "payment_refund":
            return "transfer_reversal"
    return _MOVEMENTS.get(entry.type, "other")


def _event(event: wire.Event, listed_for: str) -> ProviderEvent:
    kind, account = _kind_of_news(event.type), event.account or listed_for
    return ProviderEvent(
        provider=NAME,
        account=account,
        event_id=event.id,
        type=event.type,
        kind=kind,
        subject=_subject(event, kind, account),
    )


def _kind_of_news(event_type: str) -> SubjectKind | None:
    for start, kind in _KINDS:
        if event_type.startswith(start):
            return kind
    return None


def _subject(event: wire.Event, kind: SubjectKind | None, account: str) -> str:
    if kind is None:
        return ""
    about = msgspec.json.decode(event.data.object, type=wire.EventObject)
    if kind == "account" and about.object != "account":
        return about.account or account
    if kind == "intent" and about.object == "charge":
        return about.payment_intent or ""
    return about.id
