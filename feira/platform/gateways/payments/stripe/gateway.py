"""The payment port at Stripe, put together."""

from __future__ import annotations

from typing import Final

from feira.platform.gateways.payments.objects import Capabilities
from feira.platform.gateways.payments.stripe.accounts import StripeAccounts
from feira.platform.gateways.payments.stripe.amounts import payout_steps
from feira.platform.gateways.payments.stripe.disputes import StripeDisputes
from feira.platform.gateways.payments.stripe.news import NAME, StripeNews
from feira.platform.gateways.payments.stripe.refunds import StripeRefunds
from feira.platform.gateways.payments.stripe.transfers import StripeTransfers

_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S


class StripeGateway(StripeAccounts, StripeRefunds, StripeTransfers, StripeDisputes, StripeNews):
    """See the port; one try a call, 20 s at the most."""

    name = NAME
    capabilities = Capabilities(
        manual_capture=True,
        payouts=True,
        transfers_reversible=True,
        evidence=True,
        # "At least 24 hours old" is when keys are removed.
        key_lifetime_s=23 * _HOUR_S,
        events_kept_s=30 * _DAY_S,
        # Of the card networks' windows the shortest; each intent tells its own.
        authorization_lasts_s=5 * _DAY_S,
        payout_steps=payout_steps(),
    )

    async def close(self) -> None:
        await self.stripe.close()
