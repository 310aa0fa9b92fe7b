"""Stripe's objects, as far as we read them. Amounts are in Stripe's units, currencies in lower case, times in Unix seconds."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class _Object(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Metadata(_Object, frozen=True, kw_only=True):
    """What we write onto each thing that we make: our own name for it."""

    client_reference: str = ""


class Listing(_Object, Generic[T], frozen=True, kw_only=True):
    data: tuple[T, ...]
    has_more: bool


class Requirements(_Object, frozen=True, kw_only=True):
    currently_due: tuple[str, ...] | None = None
    disabled_reason: str | None = None


class AccountCapabilities(_Object, frozen=True, kw_only=True):
    transfers: str = ""


class Account(_Object, frozen=True, kw_only=True):
    id: str
    capabilities: AccountCapabilities | None = None
    details_submitted: bool = False
    payouts_enabled: bool = False
    requirements: Requirements | None = None


class AccountLink(_Object, frozen=True, kw_only=True):
    url: str
    expires_at: int


class BalanceEntry(_Object, frozen=True, kw_only=True):
    """A balance transaction without its source."""

    id: str
    amount: int
    fee: int
    net: int
    currency: str
    created: int
    type: str
    reporting_category: str = ""


class CardDetails(_Object, frozen=True, kw_only=True):
    capture_before: int | None = None


class MethodDetails(_Object, frozen=True, kw_only=True):
    card: CardDetails | None = None


class Charge(_Object, frozen=True, kw_only=True):
    """With its balance transaction expanded; that comes a moment after the charge."""

    id: str
    balance_transaction: BalanceEntry | None = None
    payment_method_details: MethodDetails | None = None


class PaymentError(_Object, frozen=True, kw_only=True):
    code: str | None = None
    decline_code: str | None = None


class PaymentIntent(_Object, frozen=True, kw_only=True):
    """With its latest charge expanded."""

    id: str
    status: str
    amount: int
    amount_received: int
    currency: str
    capture_method: str
    last_payment_error: PaymentError | None = None
    latest_charge: Charge | None = None


class CheckoutSession(_Object, frozen=True, kw_only=True):
    """With its payment intent expanded; there is none before the buyer has tried to pay."""

    id: str
    status: str | None = None
    url: str | None = None
    amount_total: int | None = None
    currency: str | None = None
    metadata: dict[str, str] | None = None
    payment_intent: PaymentIntent | None = None


class SessionName(_Object, frozen=True, kw_only=True):
    id: str


class Refund(_Object, frozen=True, kw_only=True):
    id: str
    status: str | None = None
    amount: int
    currency: str
    payment_intent: str | None = None
    failure_reason: str | None = None
    metadata: Metadata | None = None


class Transfer(_Object, frozen=True, kw_only=True):
    id: str
    amount: int
    amount_reversed: int
    currency: str
    destination: str | None = None
    reversed: bool
    transfer_group: str | None = None
    metadata: Metadata | None = None


class TransferReversal(_Object, frozen=True, kw_only=True):
    id: str
    amount: int
    currency: str
    transfer: str
    metadata: Metadata | None = None


class Payout(_Object, frozen=True, kw_only=True):
    id: str
    status: str
    amount: int
    currency: str
    arrival_date: int
    failure_code: str | None = None
    metadata: Metadata | None = None


class EvidenceDetails(_Object, frozen=True, kw_only=True):
    due_by: int | None = None


class Dispute(_Object, frozen=True, kw_only=True):
    id: str
    status: str
    amount: int
    currency: str
    reason: str
    payment_intent: str | None = None
    balance_transactions: tuple[BalanceEntry, ...] = ()
    evidence_details: EvidenceDetails | None = None


class Source(_Object, frozen=True, kw_only=True):
    """What a balance transaction is of, expanded: a charge names its intent, or the transfer that it is the end of."""

    id: str
    object: str
    payment_intent: str | None = None
    source_transfer: str | None = None


class BalanceTransaction(BalanceEntry, frozen=True, kw_only=True):
    """With its source expanded; some have none, and taxes and fees name one that cannot be expanded."""

    source: Source | str | None = None


class EventObject(_Object, frozen=True, kw_only=True):
    """What an event is about. Of a charge or a capability only what it belongs to counts."""

    object: str
    id: str = ""
    payment_intent: str | None = None
    account: str | None = None


class EventData(_Object, frozen=True, kw_only=True):
    """Read further only where the event is of a kind that counts: others have any shape."""

    object: msgspec.Raw


class Event(_Object, frozen=True, kw_only=True):
    """`account` is the connected account that it happened in."""

    id: str
    type: str
    created: int
    account: str | None = None
    data: EventData


def client_reference(metadata: Metadata | None) -> str:
    """Our name for a thing; empty on things that others made."""
    return metadata.client_reference if metadata is not None else ""
