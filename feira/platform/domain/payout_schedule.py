"""When a shop is paid: at the first instant of a day on the clocks of its own place.

manual      never by itself
daily       each day
weekly      on one weekday
biweekly    on one weekday of every second week, the same weeks for everybody
monthly     on one day of the month, or on its last one where it is shorter

What the clocks do there is `schedules.py`'s to know. A slot that nobody fired is not made up for by itself:
the next payout covers all that is available by then, so only the latest missed slot counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain import schedules
from feira.platform.domain.schedules import Daily, Monthly, Slots, Weekly, Zone, is_time_zone

Frequency = Literal["manual", "daily", "weekly", "biweekly", "monthly"]


class PayoutSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`weekday` counts for weekly and biweekly (Monday is 1), `month_day` for monthly."""

    frequency: Frequency = "weekly"
    weekday: Annotated[int, Meta(ge=1, le=7)] = 1
    month_day: Annotated[int, Meta(ge=1, le=31)] = 1
    zone: Zone = "UTC"

    def __post_init__(self) -> None:
        if not is_time_zone(self.zone):
            raise ValueError(f"{self.zone!r} is no time zone; give an IANA name: Europe/Lisbon")

    @property
    def slots(self) -> Slots | None:
        match self.frequency:
            case "manual":
                return None
            case "daily":
                return Daily(zone=self.zone)
            case "weekly":
                return Weekly(zone=self.zone, weekday=self.weekday)
            case "biweekly":
                return Weekly(zone=self.zone, weekday=self.weekday, weeks=2)
            case "monthly":
                return Monthly(zone=self.zone, day=self.month_day)


DEFAULT: Final = PayoutSchedule()


def next_slot(schedule: PayoutSchedule, after: datetime) -> datetime | None:
    """The first slot strictly after an instant; None where the shop asks for its payouts itself."""
    slots = schedule.slots
    return None if slots is None else schedules.next_slot(slots, after)


def latest_due(
    schedule: PayoutSchedule, *, awaited: datetime | None, now: datetime
) -> datetime | None:
    """The slot to pay for now: the latest one, if the one that was awaited has come."""
    slots = schedule.slots
    if slots is None or awaited is None or awaited > now:
        return None
    return max(awaited, schedules.last_slot(slots, now))
