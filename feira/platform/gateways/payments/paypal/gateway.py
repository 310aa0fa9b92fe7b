"""The payment port at PayPal, put together."""

from __future__ import annotations

from typing import Final

from feira.platform.gateways.payments.lacking import (
    WithoutEvidence,
    WithoutMovements,
    WithoutPayouts,
)
from feira.platform.gateways.payments.objects import Capabilities
from feira.platform.gateways.payments.paypal.amounts import payout_steps
from feira.platform.gateways.payments.paypal.disputes import PayPalDisputes
from feira.platform.gateways.payments.paypal.news import PayPalNews
from feira.platform.gateways.payments.paypal.part import NAME
from feira.platform.gateways.payments.paypal.refunds import PayPalRefunds
from feira.platform.gateways.payments.paypal.transfers import PayPalTransfers

_DAY_S: Final = 24 * 3600


class PayPalGateway(
    PayPalRefunds,
    PayPalTransfers,
    PayPalDisputes,
    PayPalNews,
    WithoutPayouts,
    WithoutEvidence,
    WithoutMovements,
):
    """See the port; one try a call, 20 s at the most."""

    name = NAME
    capabilities = Capabilities(
        manual_capture=True,
        payouts=False,
        transfers_reversible=False,
        evidence=False,
        # What moves money is known for 30 days (payouts) or 45 (refunds); an order captured or authorised twice is refused.
        key_lifetime_s=30 * _DAY_S,
        events_kept_s=30 * _DAY_S,
        # The honour period: later a capture may fail.
        authorization_lasts_s=3 * _DAY_S,
        payout_steps=payout_steps(),
    )

    async def close(self) -> None:
        await self.paypal.close()
