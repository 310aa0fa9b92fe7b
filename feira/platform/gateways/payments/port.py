"""What Feira needs of a payment provider. Every call that changes something carries an idempotency key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

AccountStatus = Literal["pending", "verified", "restricted"]
IntentState = Literal["requires_payment", "succeeded", "canceled"]
RefundState = Literal["pending", "succeeded", "failed"]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A shop's account at the provider."""

    reference: str
    status: AccountStatus


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the provider knows it. `fee_minor` is known once it succeeded."""

    reference: str
    state: IntentState
    amount_minor: int
    currency: str
    fee_minor: int
    decline_code: str
    payment_page_url: str | None


class ProviderRefund(msgspec.Struct, frozen=True, kw_only=True):
    reference: str
    intent_reference: str
    state: RefundState
    amount_minor: int


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A verified webhook. `subject` is the reference of the account, intent or refund to fetch."""

    provider: str
    account: str
    event_id: str
    type: Literal[
        "account.updated",
        "intent.succeeded",
        "intent.declined",
        "intent.canceled",
        "refund.updated",
    ]
    subject: str


class PaymentGateway(Protocol):
    """A provider. Away or slow: `Unavailable`; wrong request: `Rejected`."""

    name: str

    async def create_account(self, *, shop_name: str, idempotency_key: str) -> Account: ...

    async def fetch_account(self, reference: str) -> Account: ...

    async def create_intent(
        self,
        *,
        amount_minor: int,
        currency: str,
        return_url: str,
        metadata: Mapping[str, str],
        idempotency_key: str,
    ) -> Intent: ...

    async def fetch_intent(self, reference: str) -> Intent: ...

    async def cancel_intent(self, reference: str, *, idempotency_key: str) -> Intent: ...

    async def refund(
        self, intent_reference: str, *, amount_minor: int, idempotency_key: str
    ) -> ProviderRefund: ...

    async def fetch_refund(self, reference: str) -> ProviderRefund: ...

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """Check the signature on the raw body and parse it.

        Raises:
            NotAllowed: `webhook.bad_signature`.
        """
        ...

    async def close(self) -> None: ...
