"""What a shop's topic says about its money on the way to the bank. Operators hear on `ops` of what needs them."""

from __future__ import annotations

from datetime import date, datetime

from feira.platform.domain.events import Event
from feira.platform.domain.ids import OrderId, PayoutId, ShopId
from feira.platform.domain.payout_schedule import PayoutSchedule
from feira.platform.domain.payouts import PayoutState


class ReleaseMoved(Event, frozen=True, kw_only=True, tag="payout.release_moved"):
    """An order's money can be paid out from `due_at` on; while `is_paused`, that moves away. `cause` moved it."""

    order: OrderId
    currency: str
    due_at: datetime
    is_paused: bool
    cause: str


class FundsReleased(Event, frozen=True, kw_only=True, tag="payout.funds_released"):
    """An order's money settled what the shop owed (`settled_minor` of it); the rest can be paid out."""

    order: OrderId
    currency: str
    amount_minor: int
    settled_minor: int


class PayoutMoved(Event, frozen=True, kw_only=True, tag="payout.moved"):
    """On the shop's topic; on `ops` when it failed, or its outcome is unknown.

    `retry_at`: it was refused or sent back, and is tried again then.
    """

    payout: PayoutId
    shop: ShopId
    state: PayoutState
    amount_minor: int
    currency: str
    attempt: int
    failure_code: str
    retry_at: datetime | None
    arrives_on: date | None
    is_held: bool
    is_unknown: bool


class PayoutSettingsChanged(Event, frozen=True, kw_only=True, tag="payout.settings_changed"):
    """How the shop is paid from now on, and when next."""

    shop: ShopId
    schedule: PayoutSchedule
    next_slot_at: datetime | None
    paused_reason: str
    needs_bank_details: bool


AnyPayoutEvent = ReleaseMoved | FundsReleased | PayoutMoved | PayoutSettingsChanged
