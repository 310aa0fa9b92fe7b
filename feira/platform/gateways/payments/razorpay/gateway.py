"""The payment port at Razorpay, put together."""

from __future__ import annotations

from feira.platform.gateways.payments.lacking import (
    WithoutEvidence,
    WithoutMovements,
    WithoutPayouts,
)
from feira.platform.gateways.payments.objects import Capabilities
from feira.platform.gateways.payments.razorpay.news import RazorpayNews
from feira.platform.gateways.payments.razorpay.part import NAME, payout_steps
from feira.platform.gateways.payments.razorpay.refunds import RazorpayRefunds
from feira.platform.gateways.payments.razorpay.transfers import RazorpayTransfers


class RazorpayGateway(
    RazorpayRefunds,
    RazorpayTransfers,
    RazorpayNews,
    WithoutPayouts,
    WithoutEvidence,
    WithoutMovements,
):
    """See the port; one try a call, 20 s at the most."""

    name = NAME
    capabilities = Capabilities(
        manual_capture=False,
        payouts=False,
        transfers_reversible=True,
        evidence=False,
        # A repeat is found by looking; two processes that look at the same moment are not kept apart there.
        key_lifetime_s=0,
        events_kept_s=0,
        authorization_lasts_s=0,
        payout_steps=payout_steps(),
    )

    async def close(self) -> None:
        await self.razorpay.close()
