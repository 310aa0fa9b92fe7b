"""Shops as Connect accounts: Stripe collects what the law wants to know, the market answers for losses and fees."""

from __future__ import annotations

from typing import Final

from feira.platform.gateways.payments.objects import Account, AccountStatus, OnboardingLink
from feira.platform.gateways.payments.stripe import wire
from feira.platform.gateways.payments.stripe.part import StripePart
from feira.platform.gateways.payments.stripe.times import moment

_NAME_LENGTH_MAX: Final = 100


class StripeAccounts(StripePart):
    """Express accounts that receive transfers, and are paid out only when we say so."""

    async def create_account(
        self, *, shop_name: str, country: str, idempotency_key: str
    ) -> Account:
        call = self.stripe.v1.accounts.create_async(
            {
                "country": country,
                "business_profile": {"name": shop_name[:_NAME_LENGTH_MAX]},
                "controller": {
                    "fees": {"payer": "application"},
                    "losses": {"payments": "application"},
                    "requirement_collection": "stripe",
                    "stripe_dashboard": {"type": "express"},
                },
                "capabilities": {"transfers": {"requested": True}},
                "settings": {"payouts": {"schedule": {"interval": "manual"}}},
            },
            {"idempotency_key": idempotency_key},
        )
        return _account(await self.stripe.ask(call, wire.Account))

    async def fetch_account(self, reference: str) -> Account:
        call = self.stripe.v1.accounts.retrieve_async(reference)
        return _account(await self.stripe.ask(call, wire.Account))

    async def make_onboarding_link(
        self, reference: str, *, return_url: str, refresh_url: str
    ) -> OnboardingLink:
        call = self.stripe.v1.account_links.create_async(
            {
                "account": reference,
                "type": "account_onboarding",
                "return_url": return_url,
                "refresh_url": refresh_url,
                # All at once: a seller is not stopped later, at the first big sale.
                "collection_options": {"fields": "eventually_due"},
            }
        )
        link = await self.stripe.ask(call, wire.AccountLink)
        return OnboardingLink(url=link.url, expires_at=moment(link.expires_at))


def _account(account: wire.Account) -> Account:
    requirements = account.requirements or wire.Requirements()
    disabled_reason = requirements.disabled_reason or ""
    return Account(
        reference=account.id,
        status=_status(account, disabled_reason),
        requirements=requirements.currently_due or (),
        disabled_reason=disabled_reason,
    )


def _status(account: wire.Account, disabled_reason: str) -> AccountStatus:
    capabilities = account.capabilities or wire.AccountCapabilities()
    if capabilities.transfers == "active" and account.payouts_enabled:
        return "verified"
    # A new account is disabled as well: for what its owner was not asked yet, or Stripe has not looked at.
    if account.details_submitted and disabled_reason not in {
        "",
        "requirements.pending_verification",
        "under_review",
    }:
        return "restricted"
    return "pending"
