"""What payment providers have in common: accounts, intents, refunds, transfers, payouts, disputes, and news of them.

Amounts are integers in the currency's minor unit. `reference` is the provider's name for a thing, `client_reference`
ours for it, given when it was made: an effect whose answer was lost is recognised by it in a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

AccountStatus = Literal["pending", "verified", "restricted"]
CaptureMethod = Literal["automatic", "manual"]
IntentState = Literal[
    "requires_payment",  # nothing was tried yet, or the last try was declined
    "requires_action",  # the buyer has to do something, such as 3-D Secure
    "processing",  # tried, and the outcome is not known yet
    "authorized",  # reserved on the buyer's side until `authorized_until`; capture or cancel
    "succeeded",
    "canceled",  # by us, by the provider, or because the authorisation ran out
]
RefundState = Literal["pending", "succeeded", "failed"]
TransferState = Literal["pending", "made", "failed", "reversed"]
PayoutState = Literal["pending", "paid", "failed", "canceled"]
DisputeState = Literal[
    "inquiry",  # the bank asks first: no money has moved, and an answer may prevent that it does
    "needs_response",
    "under_review",
    "won",
    "lost",
]
MovementKind = Literal[
    "charge",
    "refund",
    "refund_failure",
    "transfer",
    "transfer_reversal",
    "payout",
    "payout_failure",
    "dispute",
    "dispute_reversal",
    "fee",
    "other",
]
SubjectKind = Literal["account", "intent", "refund", "transfer", "payout", "dispute"]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider can do. Ask before offering it; a call beyond it is refused as `not_supported`."""

    manual_capture: bool
    # False: a transfer ends at the seller, or the provider pays out by itself; there are no payouts to make.
    payouts: bool
    transfers_reversible: bool
    evidence: bool
    # How long a repeat under the same key is known to be one.
    key_lifetime_s: int
    # How far back `list_events` goes; 0 where there is no such list.
    events_kept_s: int
    authorization_lasts_s: int
    # Currencies in which payouts, and the transfers for them, are multiples of more than one minor unit.
    payout_steps: Mapping[str, int] = {}


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A shop's account at the provider. `requirements` are what the provider still wants to know of its owner."""

    reference: str
    status: AccountStatus
    requirements: tuple[str, ...] = ()
    disabled_reason: str = ""


class OnboardingLink(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's page on which a seller completes the account. It is for one visit, soon."""

    url: str
    expires_at: datetime


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the provider knows it. `fee_minor` and `captured_minor` are known once it succeeded."""

    reference: str
    state: IntentState
    amount_minor: int
    currency: str
    fee_minor: int
    decline_code: str
    payment_page_url: str | None
    capture: CaptureMethod = "automatic"
    captured_minor: int = 0
    authorized_until: datetime | None = None


class ProviderRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A succeeded refund may still fail later: banks return money."""

    reference: str
    intent_reference: str
    state: RefundState
    amount_minor: int
    client_reference: str = ""
    failure_code: str = ""


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Money moved from the market's balance to a shop's account. `group` ties it to what it is for."""

    reference: str
    account: str
    state: TransferState
    amount_minor: int
    reversed_minor: int
    currency: str
    group: str
    client_reference: str
    failure_code: str = ""


class TransferReversal(msgspec.Struct, frozen=True, kw_only=True):
    """Money taken back out of a transfer."""

    reference: str
    transfer_reference: str
    amount_minor: int
    client_reference: str


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """Money sent from a shop's account to its bank. A paid one may still fail: banks return money."""

    reference: str
    account: str
    state: PayoutState
    amount_minor: int
    currency: str
    client_reference: str
    failure_code: str = ""
    arrives_on: date | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What we say in a dispute, as plain text. Empty fields say nothing."""

    explanation: str
    product_description: str = ""
    customer_communication: str = ""
    carrier: str = ""
    tracking_number: str = ""
    shipped_on: date | None = None


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A buyer's bank takes a payment back. `fee_minor` is the provider's price for it.

    While it is open (but no `inquiry`), and when it is lost, `amount_minor` is gone from the market's balance. A lost one can be won yet.
    """

    reference: str
    intent_reference: str
    state: DisputeState
    amount_minor: int
    currency: str
    fee_minor: int
    reason: str
    evidence_due_at: datetime | None


class BalanceTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of a balance: `net_minor` = `amount_minor` - `fee_minor`, negative when money leaves.

    `source` is the reference of what moved it; for a charge, of its intent. `account` is empty for the market's own.
    """

    reference: str
    kind: MovementKind
    provider_kind: str
    amount_minor: int
    fee_minor: int
    net_minor: int
    currency: str
    source: str
    account: str
    created_at: datetime


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """News, verified or listed. It only says what to look at: `kind` what to fetch, `subject` which one.

    `kind` is null for news that we do not know. `account` is the shop's account that the subject lives in, empty for
    the market's own.
    """

    provider: str
    account: str
    event_id: str
    type: str
    kind: SubjectKind | None
    subject: str


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Part of a list; `next_page` gets the next one, null at the end."""

    items: tuple[T, ...]
    next_page: str | None = None
