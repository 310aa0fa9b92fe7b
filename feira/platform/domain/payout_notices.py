"""What a shop's team is told about its money."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.chargebacks import ChargebackState
from feira.platform.domain.ids import ChargebackId, PayoutId, ShopId


class ChargebackNotice(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="chargeback.moved"
):
    """To a shop's team: a buyer's bank took money back, or decided. Answer it before `evidence_due_at`."""

    chargeback: ChargebackId
    shop: ShopId
    state: ChargebackState
    amount_minor: int
    currency: str
    evidence_due_at: datetime | None


class PayoutFailedNotice(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="payout.failed"
):
    """To a shop's team: a payout was given up, and its money is available again. Look at the bank details."""

    payout: PayoutId
    shop: ShopId
    amount_minor: int
    currency: str
    failure_code: str


PayoutNotice = PayoutFailedNotice | ChargebackNotice
