"""The sandbox company's public API: objects, errors and webhooks as they go over the wire. `requests` has the rest."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

AccountStatus = Literal["pending", "verified", "restricted"]
Capture = Literal["automatic", "manual"]
IntentState = Literal["requires_payment", "requires_action", "authorized", "succeeded", "canceled"]
ShownIntentState = Literal[IntentState, "processing"]
RefundState = Literal["pending", "succeeded", "failed"]
PayoutState = Literal["pending", "paid", "failed"]
DisputeState = Literal["needs_response", "under_review", "won", "lost"]
MovementType = Literal[
    "charge",
    "refund",
    "refund_failure",
    "transfer",
    "transfer_reversal",
    "payout",
    "payout_failure",
    "dispute",
    "dispute_reversal",
]

SIGNATURE_HEADER: Final = "Sandbox-Signature"
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
# On the answer to a repeat, which is the first one's.
REPLAYED_HEADER: Final = "Idempotent-Replayed"


class AccountObject(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    country: str
    status: AccountStatus
    requirements: list[str]
    disabled_reason: str


class OnboardingLinkObject(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    expires_at: datetime


class IntentObject(msgspec.Struct, frozen=True, kw_only=True):
    """`fee_minor` is 2.9 % + 30 minor units of what was captured, charged when it succeeds."""

    id: str
    state: ShownIntentState
    amount_minor: int
    currency: str
    capture: Capture
    captured_minor: int
    fee_minor: int
    refunded_minor: int
    transferred_minor: int
    last_decline_code: str
    authorized_until: datetime | None
    payment_page_url: str
    group: str
    metadata: dict[str, str]


class RefundObject(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    payment_intent: str
    state: RefundState
    amount_minor: int
    client_reference: str
    failure_code: str


class TransferObject(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    account: str
    payment_intent: str | None
    amount_minor: int
    reversed_minor: int
    currency: str
    group: str
    client_reference: str


class ReversalObject(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    transfer: str
    amount_minor: int
    client_reference: str


class PayoutObject(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    account: str
    state: PayoutState
    amount_minor: int
    currency: str
    client_reference: str
    failure_code: str
    arrives_on: date


class DisputeObject(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    payment_intent: str
    state: DisputeState
    amount_minor: int
    currency: str
    fee_minor: int
    reason: str
    evidence_due_at: datetime


class BalanceTransactionObject(msgspec.Struct, frozen=True, kw_only=True):
    """`source` is the intent, refund, transfer, payout or dispute behind it; the net is the amount less the fee."""

    id: str
    account: str
    type: MovementType
    amount_minor: int
    fee_minor: int
    currency: str
    source: str
    created_at: datetime


class Listing(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`next` goes into `page` of the next request; null at the end."""

    data: list[T]
    next: str | None = None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    error: ErrorBody


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`object` is the id of what changed: fetch it. `account` is the account it lives in, empty for the market's own.

    Types are `account.`, `payment_intent.`, `refund.`, `transfer.`, `payout.` and `dispute.` something.
    """

    id: str
    type: str
    created: int
    object: str
    account: str = ""
