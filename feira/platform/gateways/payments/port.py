"""What Feira needs of a payment provider.

Every call that changes something carries an idempotency key: a repeat with the same key and body has one effect, for
`capabilities.key_lifetime_s`. Every call raises one of these, and nothing else that is expected:

- `Unavailable` `payment.provider_unavailable`: away, slow, too many calls, or the outcome is unknown. Repeat with the
  same key, after `retry_after_s` where it is given.
- `Unavailable` `payment.outcome_unknown`: the provider answers this key with the same failure for ever, whether it
  has done it or not. List and adopt what is there; only proven absence allows a new key.
- `GatewayRefused` (a `Rejected`): it will not, and did nothing. `reason` says why, `try_later` whether to come again.

Amounts are positive integers in minor units, at most 10**15.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from feira.platform.gateways.payments.objects import (
    Account,
    BalanceTransaction,
    Capabilities,
    CaptureMethod,
    Dispute,
    Evidence,
    Intent,
    OnboardingLink,
    Page,
    Payout,
    ProviderEvent,
    ProviderRefund,
    Transfer,
    TransferReversal,
)


class Accounts(Protocol):
    """Shops at the provider."""

    async def create_account(
        self, *, shop_name: str, country: str, idempotency_key: str
    ) -> Account: ...

    async def fetch_account(self, reference: str) -> Account: ...

    async def make_onboarding_link(
        self, reference: str, *, return_url: str, refresh_url: str
    ) -> OnboardingLink:
        """Make a link for one visit. Each call makes a new one, so there is no key; `refresh_url` is where a
        seller is sent whose link is over.
        """
        ...


class Intents(Protocol):
    """The buyer's money, in and back."""

    async def create_intent(
        self,
        *,
        amount_minor: int,
        currency: str,
        return_url: str,
        metadata: Mapping[str, str],
        idempotency_key: str,
        capture: CaptureMethod = "automatic",
        group: str = "",
    ) -> Intent:
        """`group` is what later transfers out of this payment name too."""
        ...

    async def fetch_intent(self, reference: str) -> Intent: ...

    async def capture_intent(
        self, reference: str, *, idempotency_key: str, amount_minor: int | None = None
    ) -> Intent:
        """Take an authorised payment, or only part of it: the rest is released at once, for good.

        Raises:
            GatewayRefused: `unexpected_state` unless it is authorised; `amount_too_large`.
        """
        ...

    async def cancel_intent(self, reference: str, *, idempotency_key: str) -> Intent:
        """Cancel it where that is still possible, and return it as it is then: it may have succeeded before."""
        ...

    async def refund(
        self,
        intent_reference: str,
        *,
        amount_minor: int,
        client_reference: str,
        idempotency_key: str,
    ) -> ProviderRefund:
        """Give captured money back.

        Raises:
            GatewayRefused: `unexpected_state` (nothing was captured), `amount_too_large`, `balance_insufficient`.
        """
        ...

    async def fetch_refund(self, reference: str) -> ProviderRefund: ...

    async def list_refunds(self, intent_reference: str) -> list[ProviderRefund]: ...


class Transfers(Protocol):
    """The sellers' money: to their accounts, and where the provider has `payouts`, from there to their banks."""

    async def transfer(
        self,
        *,
        account: str,
        amount_minor: int,
        currency: str,
        group: str,
        client_reference: str,
        idempotency_key: str,
        intent_reference: str | None = None,
    ) -> Transfer:
        """Move money to a shop's account, out of one captured payment, or out of the market's balance if null.

        Raises:
            GatewayRefused: `balance_insufficient`, `amount_too_large` (more than the payment has left),
                `unexpected_state` (nothing was captured), `account_restricted`.
        """
        ...

    async def fetch_transfer(self, reference: str) -> Transfer: ...

    async def list_transfers(self, group: str, *, since: datetime) -> list[Transfer]:
        """List a group's transfers; `since` may be earlier than the first, and helps providers without groups."""
        ...

    async def reverse_transfer(
        self,
        reference: str,
        *,
        amount_minor: int,
        client_reference: str,
        idempotency_key: str,
    ) -> TransferReversal:
        """Take money back from a shop's account.

        Raises:
            GatewayRefused: `balance_insufficient` (the shop's account has less), `amount_too_large`,
                `not_supported`.
        """
        ...

    async def list_reversals(self, transfer_reference: str) -> list[TransferReversal]: ...

    async def payout(
        self,
        *,
        account: str,
        amount_minor: int,
        currency: str,
        client_reference: str,
        idempotency_key: str,
    ) -> Payout:
        """Send money from a shop's account to its bank.

        Raises:
            GatewayRefused: `balance_insufficient`, `account_restricted`, `not_supported`.
        """
        ...

    async def fetch_payout(self, reference: str, *, account: str) -> Payout: ...

    async def list_payouts(self, account: str, *, since: datetime) -> list[Payout]:
        """List an account's payouts that were made at `since` or later."""
        ...


class Disputes(Protocol):
    """Payments that buyers' banks take back."""

    async def fetch_dispute(self, reference: str) -> Dispute: ...

    async def submit_evidence(
        self, reference: str, evidence: Evidence, *, idempotency_key: str
    ) -> Dispute:
        """Answer the bank, once and for good.

        Raises:
            GatewayRefused: `unexpected_state` (answered or decided already), `not_supported`.
        """
        ...


class News(Protocol):
    """What happened at the provider."""

    async def list_events(
        self, *, since: datetime, page: str | None = None, account: str = ""
    ) -> Page[ProviderEvent]:
        """List events that were made at `since` or later, in no promised order; those of one shop's account where
        the provider keeps them apart. A provider without such a list gives none.
        """
        ...

    async def list_balance_transactions(
        self, *, since: datetime, page: str | None = None, account: str = ""
    ) -> Page[BalanceTransaction]:
        """List movements made at `since` or later, in no promised order, of the market's balance or a shop's."""
        ...

    async def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """Check the signature on the raw body, and its time, and parse it.

        Raises:
            NotAllowed: `webhook.bad_signature`, `webhook.stale` (more than five minutes away from now, before or
                after).
            InvalidInput: `webhook.malformed`: signed, but not an event.
            Unavailable: where checking needs the provider, and it is away.
        """
        ...


class PaymentGateway(Accounts, Intents, Transfers, Disputes, News, Protocol):
    """A provider. `name` stands in rows and keys for good."""

    name: str
    capabilities: Capabilities

    async def close(self) -> None: ...
