"""Jobs that pay shops, and that answer banks."""

from __future__ import annotations

from typing import ClassVar

from feira.platform.domain.chargebacks import ChargebackState
from feira.platform.domain.ids import ChargebackId, PayoutId
from feira.platform.domain.jobs import Job, MoneyJob


class ReleaseCleared(MoneyJob, frozen=True, kw_only=True, tag="payouts.release_cleared"):
    """Release completed orders' money whose clearance is over."""

    timeout_s: ClassVar[float] = 120.0


class RunPayouts(MoneyJob, frozen=True, kw_only=True, tag="payouts.run"):
    """Pay the shops whose slot has come."""

    timeout_s: ClassVar[float] = 600.0


class AdvancePayout(MoneyJob, frozen=True, kw_only=True, tag="payouts.advance"):
    """Bring one payout as far as it goes now."""

    payout: PayoutId
    timeout_s: ClassVar[float] = 60.0


class WatchPayouts(MoneyJob, frozen=True, kw_only=True, tag="payouts.watch"):
    """Look after payouts that should have moved and did not."""

    timeout_s: ClassVar[float] = 120.0


class SubmitEvidence(MoneyJob, frozen=True, kw_only=True, tag="chargebacks.submit_evidence"):
    """Give a bank the answer that was kept."""

    chargeback: ChargebackId


class NotifyChargeback(Job, frozen=True, kw_only=True, tag="notifications.chargeback"):
    """Tell the shops' teams where a chargeback went."""

    chargeback: ChargebackId
    state: ChargebackState


class NotifyPayoutFailed(Job, frozen=True, kw_only=True, tag="notifications.payout_failed"):
    """Tell a shop's team that its money came back."""

    payout: PayoutId
