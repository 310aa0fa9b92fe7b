"""Calendar slots: the instants at which something that repeats is due.

A slot is an instant in UTC. `Interval` counts seconds since 1970; the others name a time on the clocks of a
place. Whatever those clocks do, a slot is the first instant at which they show its time or a later one:

a time that is skipped (02:30 as summer time begins)  -> the first instant after the gap
a time that comes twice (as summer time ends)         -> once, the first time
two slots inside one gap (a zone that skips a day)    -> one slot
a day that a month has not (the 31st of April)        -> the month's last day
"""

from __future__ import annotations

import zoneinfo
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import dropwhile, islice, takewhile
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

# Instants are asked about between these years, so that no step leaves the calendar.
YEAR_MIN: Final = 1900
YEAR_MAX: Final = 9000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
# Clocks have skipped a whole day; from two days before, the first slot is surely not after the instant.
_SLACK: Final = timedelta(days=2)

Zone = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_+/-]+(?![\s\S])",
        description="An IANA time zone, such as Europe/Lisbon.",
    ),
]
# Naive: it is read from the zone's clocks.
ClockTime = Annotated[time, Meta(tz=False, description="On the zone's clocks, such as 09:00:00.")]


class Interval(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="every",
    tag="interval",
    forbid_unknown_fields=True,
):
    """Every so many seconds, at whole multiples since 1970: no clock or zone moves it."""

    seconds: Annotated[int, Meta(ge=1, le=366 * 86_400)]


class _InZone(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="every", forbid_unknown_fields=True
):
    at: ClockTime = time(0)
    zone: Zone = "UTC"

    def __post_init__(self) -> None:
        # msgspec tells a client so under the struct's path.
        if not is_time_zone(self.zone):
            raise ValueError(f"{self.zone!r} is no time zone; give an IANA name: Europe/Lisbon")


class Daily(_InZone, frozen=True, kw_only=True, tag="day"):
    """Every day at a time of the day."""


class Weekly(_InZone, frozen=True, kw_only=True, tag="week"):
    """On one day of each week; Monday is 1 (ISO 8601). `weeks`: of every so manieth week, for everybody the same ones."""

    weekday: Annotated[int, Meta(ge=1, le=7)]
    weeks: Annotated[int, Meta(ge=1, le=4)] = 1


class Monthly(_InZone, frozen=True, kw_only=True, tag="month"):
    """On one day of each month, or on its last one where it is shorter."""

    day: Annotated[int, Meta(ge=1, le=31)]


Slots = Interval | Daily | Weekly | Monthly
"""When something repeats; as JSON an object whose `every` is interval, day, week or month."""

Missed = Literal["each", "latest"]
"""What is done about slots that nobody was there to fire: each of them in turn, or only the latest."""


def next_slot(slots: Slots, after: datetime) -> datetime:
    """The first slot strictly after an instant."""
    _check(after)
    if isinstance(slots, Interval):
        return last_slot(slots, after) + timedelta(seconds=slots.seconds)
    return next(dropwhile(lambda slot: slot <= after, _slots_from(slots, after)))


def last_slot(slots: Slots, at: datetime) -> datetime:
    """The latest slot at an instant or before it."""
    _check(at)
    if isinstance(slots, Interval):
        step = timedelta(seconds=slots.seconds)
        return _EPOCH + (at - _EPOCH) // step * step
    *_, latest = takewhile(lambda slot: slot <= at, _slots_from(slots, at))
    return latest


def due_slots(
    slots: Slots, *, fired: datetime | None, now: datetime, missed: Missed, most: int
) -> list[datetime]:
    """The slots to fire now, in order: up to `most` that came after the one that `fired` last.

    What never fired begins with the latest slot: it missed none.
    """
    current = last_slot(slots, now)
    if fired is not None and fired >= current:
        return []
    if fired is None or missed == "latest":
        return [current]
    return list(takewhile(lambda slot: slot <= current, islice(_slots_after(slots, fired), most)))


def is_time_zone(name: str) -> bool:
    """Whether this machine knows an IANA zone of that name."""
    return _zone(name) is not None


def first_instant(wall: datetime, zone: zoneinfo.ZoneInfo) -> datetime:
    """The first instant at which a zone's clocks show a (naive) time or a later one."""
    assert wall.tzinfo is None, "a wall clock knows no zone"
    # PEP 495: of a time that comes twice, fold=0 is the first. Of one that never comes, fold=0 counts by the
    # offset before the gap, and lies after it; fold=1 counts by the offset after, and lies before.
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first <= second:
        return first
    before, after = second, first
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).replace(tzinfo=None) >= wall:
            after = middle
        else:
            before = middle
    # The clocks changed at a whole second, also where the time asked for is none.
    return after.replace(microsecond=0)


def _slots_after(slots: Slots, after: datetime) -> Iterator[datetime]:
    slot = after
    while True:
        slot = next_slot(slots, slot)
        yield slot


def _slots_from(slots: Daily | Weekly | Monthly, around: datetime) -> Iterator[datetime]:
    """Slots in order, from one that is not after `around`."""
    zone = _zone(slots.zone)
    assert zone is not None, "zones are checked as they come in"
    today = around.astimezone(zone).date()
    for day in _days_from(slots, today - _SLACK):
        yield first_instant(datetime.combine(day, slots.at), zone)


def _days_from(slots: Daily | Weekly | Monthly, day: date) -> Iterator[date]:
    """A slot's days in order, the first of them not after `day`."""
    match slots:
        case Daily():
            step = timedelta(days=1)
        case Weekly():
            days = 7 * slots.weeks
            step = timedelta(days=days)
            # The 1st of January of year 1 was a Monday: ordinals count weeks from there.
            day -= timedelta(days=(day.toordinal() - slots.weekday) % days)
        case Monthly():
            # The month before has its day before this one's first.
            month = day.year * 12 + day.month - 2
            while True:
                yield _day_of_month(*divmod(month, 12), slots.day)
                month += 1
    while True:
        yield day
        day += step


def _day_of_month(year: int, month_index: int, day: int) -> date:
    month = month_index + 1
    return date(year, month, min(day, monthrange(year, month)[1]))


def _check(instant: datetime) -> None:
    assert instant.tzinfo is not None, "an instant has a zone"
    assert YEAR_MIN <= instant.year <= YEAR_MAX, "an instant of our times"


# Names come from outside: they are not all kept.
@lru_cache(maxsize=1024)
def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    # OSError: a folder of zones, such as "America".
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None
