"""What shops and operators are told of chargebacks."""

from __future__ import annotations

from datetime import datetime

from feira.platform.domain.chargebacks import ChargebackState
from feira.platform.domain.events import Event
from feira.platform.domain.ids import ChargebackId, OrderId, ShopId


class ChargebackMoved(Event, frozen=True, kw_only=True, tag="chargeback.moved"):
    """On the topics of its shops, and on `ops`. `amount_minor` and `orders` are the shop's; on `ops`, all.

    Answer with evidence before `evidence_due_at`, once.
    """

    chargeback: ChargebackId
    shop: ShopId | None
    state: ChargebackState
    amount_minor: int
    currency: str
    reason: str
    orders: tuple[OrderId, ...]
    evidence_due_at: datetime | None
    is_answered: bool
