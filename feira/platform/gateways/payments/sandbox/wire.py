"""The sandbox company's public API: objects, requests, errors and webhooks as they go over the wire."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

AccountStatus = Literal["pending", "verified", "restricted"]
IntentState = Literal["requires_payment", "succeeded", "canceled"]
RefundState = Literal["pending", "succeeded", "failed"]
EventType = Literal[
    "account.updated",
    "payment_intent.succeeded",
    "payment_intent.declined",
    "payment_intent.canceled",
    "refund.updated",
]
FaultKind = Literal["refuse", "apply_then_hang_up"]

SIGNATURE_HEADER: Final = "Sandbox-Signature"
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
DELAY_S_MAX: Final = 7 * 24 * 3600

AmountMinor = Annotated[int, Meta(gt=0, le=10**15)]
DelaySeconds = Annotated[int, Meta(ge=0, le=DELAY_S_MAX)]


class AccountObject(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    status: AccountStatus


class IntentObject(msgspec.Struct, frozen=True, kw_only=True):
    """`fee_minor` is 2.9 % + 30 minor units, charged when it succeeds."""

    id: str
    state: IntentState
    amount_minor: int
    currency: str
    fee_minor: int
    refunded_minor: int
    last_decline_code: str
    payment_page_url: str
    metadata: dict[str, str]


class RefundObject(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    payment_intent: str
    state: RefundState
    amount_minor: int


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class CreateAccount(_Request, frozen=True, kw_only=True):
    """A name with `restricted` in it fails the identity check."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]


class CreateIntent(_Request, frozen=True, kw_only=True):
    amount_minor: AmountMinor
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    return_url: Annotated[str, Meta(pattern=r"^https?://[^\s\"<>\\]+$", max_length=2000)]
    metadata: Annotated[dict[str, Annotated[str, Meta(max_length=500)]], Meta(max_length=50)] = (
        msgspec.field(default_factory=dict[str, str])
    )


class CancelIntent(_Request, frozen=True, kw_only=True):
    pass


class ConfirmIntent(_Request, frozen=True, kw_only=True):
    """Pay at once, without the page. `delay_s` puts the capture off, `webhook_delay_s` only the news of it."""

    card: Annotated[str, Meta(pattern="^[0-9]{12,19}$")]
    delay_s: DelaySeconds = 0
    webhook_delay_s: DelaySeconds = 0
    duplicates: Annotated[int, Meta(ge=0, le=10)] = 0


class CreateRefund(_Request, frozen=True, kw_only=True):
    payment_intent: str
    amount_minor: AmountMinor


class SetFault(_Request, frozen=True, kw_only=True):
    """The next `calls` of `operation` go wrong: refused with 503, or carried out and hung up on."""

    operation: Literal[
        "accounts.create",
        "payment_intents.create",
        "payment_intents.cancel",
        "payment_intents.confirm",
        "refunds.create",
    ]
    kind: FaultKind
    calls: Annotated[int, Meta(ge=0, le=1000)] = 1


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    error: ErrorBody


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`object` is the id of the account, intent or refund that changed: fetch it."""

    id: str
    type: EventType
    created: int
    object: str
