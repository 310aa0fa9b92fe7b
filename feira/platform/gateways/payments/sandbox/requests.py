"""What may be asked of the sandbox company: its API, and the levers that make it misbehave."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.gateways.payments.sandbox.wire import Capture

DELAY_S_MAX: Final = 7 * 24 * 3600

AmountMinor = Annotated[int, Meta(gt=0, le=10**15)]
DelaySeconds = Annotated[int, Meta(ge=0, le=DELAY_S_MAX)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s\"<>\\]+$", max_length=2000)]
Name = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=20_000)]
Rate = Annotated[float, Meta(ge=0, le=1)]

Operation = Literal[
    "accounts.create",
    "payment_intents.create",
    "payment_intents.capture",
    "payment_intents.cancel",
    "payment_intents.confirm",
    "refunds.create",
    "transfers.create",
    "transfers.reverse",
    "payouts.create",
    "disputes.submit_evidence",
]
CallFault = Literal[
    "refuse", "fail_500", "reject", "rate_limit", "slow", "apply_then_hang_up", "saved_500"
]
WebhookFault = Literal["lost", "doubled", "late", "shuffled"]
PayoutsDo = Literal["pay", "fail", "pay_then_fail"]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class CreateAccount(Body, frozen=True, kw_only=True):
    """A name with `restricted` in it fails the identity check; one with `unfinished` waits for its onboarding page."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    country: Annotated[str, Meta(pattern="^([A-Z]{2})?$")] = ""


class CreateOnboardingLink(Body, frozen=True, kw_only=True):
    return_url: Url
    refresh_url: Url


class CreateIntent(Body, frozen=True, kw_only=True):
    amount_minor: AmountMinor
    currency: Currency
    return_url: Url
    capture: Capture = "automatic"
    group: Name = ""
    metadata: Annotated[dict[str, Annotated[str, Meta(max_length=500)]], Meta(max_length=50)] = (
        msgspec.field(default_factory=dict[str, str])
    )


class CaptureIntent(Body, frozen=True, kw_only=True):
    """Null takes all that was authorised."""

    amount_minor: AmountMinor | None = None


class CancelIntent(Body, frozen=True, kw_only=True):
    pass


class ConfirmIntent(Body, frozen=True, kw_only=True):
    """Pay at once, without the page. `delay_s` puts the outcome off, `webhook_delay_s` only the news of it."""

    card: Annotated[str, Meta(pattern="^[0-9]{12,19}$")]
    delay_s: DelaySeconds = 0
    webhook_delay_s: DelaySeconds = 0
    duplicates: Annotated[int, Meta(ge=0, le=10)] = 0


class CreateRefund(Body, frozen=True, kw_only=True):
    payment_intent: str
    amount_minor: AmountMinor
    client_reference: Name = ""


class CreateTransfer(Body, frozen=True, kw_only=True):
    """Out of one payment where `payment_intent` names it, else out of the market's balance."""

    account: str
    amount_minor: AmountMinor
    currency: Currency
    payment_intent: str | None = None
    group: Name = ""
    client_reference: Name = ""


class CreateReversal(Body, frozen=True, kw_only=True):
    amount_minor: AmountMinor
    client_reference: Name = ""


class CreatePayout(Body, frozen=True, kw_only=True):
    account: str
    amount_minor: AmountMinor
    currency: Currency
    client_reference: Name = ""


class SubmitEvidence(Body, frozen=True, kw_only=True):
    """`winning_evidence` or `losing_evidence` in the explanation decides the dispute a moment later."""

    explanation: Text
    product_description: Text = ""
    customer_communication: Text = ""
    carrier: Name = ""
    tracking_number: Name = ""
    shipped_on: date | None = None


class SetFault(Body, frozen=True, kw_only=True):
    """The next `calls` of `operation` go wrong.

    `refuse` answers 503, `fail_500` 500, `reject` 422 and `rate_limit` 429 with Retry-After, and nothing is done. `slow` takes two
    seconds. `apply_then_hang_up` does it and answers nothing. `saved_500` does it and answers 500, now and to every
    repeat of its key.
    """

    operation: Operation
    kind: CallFault
    calls: Annotated[int, Meta(ge=0, le=1000)] = 1


class SetChaos(Body, frozen=True, kw_only=True):
    """Things go wrong by chance from now on: rates of each kind, at most 1 together. Drawn from `seed` alone.

    A call is drawn for by its idempotency key, once; a webhook by its number. `late` is two seconds, `shuffled` any
    part of one.
    """

    seed: Name
    calls: dict[CallFault, Rate] = msgspec.field(default_factory=dict[CallFault, float])
    webhooks: dict[WebhookFault, Rate] = msgspec.field(default_factory=dict[WebhookFault, float])


class ChangeAccount(Body, frozen=True, kw_only=True):
    """The company changes its mind on an account, or its bank begins to return payouts. Null leaves as it is."""

    status: Literal["verified", "restricted"] | None = None
    payouts_do: PayoutsDo | None = None


class OpenDispute(Body, frozen=True, kw_only=True):
    """A buyer's bank takes the money back; null is all that was not refunded."""

    payment_intent: str
    amount_minor: AmountMinor | None = None
    reason: Name = "fraudulent"


class CloseDispute(Body, frozen=True, kw_only=True):
    """The bank decides; a lost dispute can be won yet, and the money is reinstated."""

    outcome: Literal["won", "lost"]


class ExpireAuthorization(Body, frozen=True, kw_only=True):
    """The authorisation runs out now."""


class EmitEvent(Body, frozen=True, kw_only=True):
    """Send news of any type, also of one that nobody has heard of."""

    type: Name
    object: Name
    account: Name = ""
