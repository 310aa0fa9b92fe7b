"""Slots across the days on which clocks change, and at the ends of months."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain.schedules import (
    Daily,
    Interval,
    Monthly,
    Slots,
    Weekly,
    due_slots,
    first_instant,
    is_time_zone,
    last_slot,
    next_slot,
)

# A clock change of each sort: an hour, half an hour, at midnight both ways, a day that was skipped, none at all.
CHANGES = (
    ("Europe/Lisbon", "2026-03-29"),
    ("Europe/Lisbon", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Sao_Paulo", "2017-10-15"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Havana", "2026-03-08"),
    ("America/Havana", "2026-11-01"),
    ("Pacific/Apia", "2011-12-30"),
    ("Asia/Kathmandu", "2026-06-01"),
)
ZONES = sorted({zone for zone, _ in CHANGES} | {"UTC", "Africa/Casablanca", "Antarctica/Troll"})

instants = st.datetimes(
    datetime.fromisoformat("2010-01-01"),
    datetime.fromisoformat("2037-12-31"),
    timezones=st.just(UTC),
)
clock_times = st.times()
zones = st.sampled_from(ZONES)
calendars = st.one_of(
    st.builds(Daily, at=clock_times, zone=zones),
    st.builds(
        Weekly, at=clock_times, zone=zones, weekday=st.integers(1, 7), weeks=st.integers(1, 4)
    ),
    st.builds(Monthly, at=clock_times, zone=zones, day=st.integers(1, 31)),
)
all_slots = st.one_of(calendars, st.builds(Interval, seconds=st.integers(1, 10 * 86_400)))


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("slots", "after", "expected"),
    [
        # Lisbon's clocks go from 01:00 to 02:00 on the 29th of March: 01:30 is never shown.
        (
            Daily(at=time(1, 30), zone="Europe/Lisbon"),
            "2026-03-28T01:30+00:00",
            "2026-03-29T01:00+00:00",
        ),
        (
            Daily(at=time(1, 30), zone="Europe/Lisbon"),
            "2026-03-29T01:00+00:00",
            "2026-03-30T00:30+00:00",
        ),
        # And from 02:00 back to 01:00 on the 25th of October: 01:30 is shown twice, an hour apart.
        (
            Daily(at=time(1, 30), zone="Europe/Lisbon"),
            "2026-10-24T00:30+00:00",
            "2026-10-25T00:30+00:00",
        ),
        (
            Daily(at=time(1, 30), zone="Europe/Lisbon"),
            "2026-10-25T00:30+00:00",
            "2026-10-26T01:30+00:00",
        ),
        # 9 o'clock stays 9 o'clock, whatever the offset is.
        (
            Weekly(weekday=1, at=time(9), zone="Europe/Lisbon"),
            "2026-03-23T09:00+00:00",
            "2026-03-30T08:00+00:00",
        ),
        # Sao Paulo once had no midnight, Samoa no 30th of December.
        (
            Daily(at=time(0), zone="America/Sao_Paulo"),
            "2017-10-14T03:00+00:00",
            "2017-10-15T03:00+00:00",
        ),
        (
            Daily(at=time(10), zone="Pacific/Apia"),
            "2011-12-29T20:00+00:00",
            "2011-12-30T10:00+00:00",
        ),
        (
            Daily(at=time(10), zone="Pacific/Apia"),
            "2011-12-30T10:00+00:00",
            "2011-12-30T20:00+00:00",
        ),
        (Monthly(day=31), "2026-01-31T00:00+00:00", "2026-02-28T00:00+00:00"),
        (Monthly(day=31), "2028-01-31T00:00+00:00", "2028-02-29T00:00+00:00"),
        (Monthly(day=31), "2026-02-28T00:00+00:00", "2026-03-31T00:00+00:00"),
        (Monthly(day=31), "2026-03-31T00:00+00:00", "2026-04-30T00:00+00:00"),
        (Monthly(day=30), "2026-12-30T00:00+00:00", "2027-01-30T00:00+00:00"),
        (Monthly(day=1, zone="Asia/Kathmandu"), "2026-05-31T18:14+00:00", "2026-05-31T18:15+00:00"),
        (Interval(seconds=3600), "2026-01-01T00:00+00:00", "2026-01-01T01:00+00:00"),
        (Interval(seconds=7), "1969-12-31T23:59:59+00:00", "1970-01-01T00:00+00:00"),
    ],
)
def test_the_next_slot(slots: Slots, after: str, expected: str) -> None:
    assert next_slot(slots, datetime.fromisoformat(after)) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_around_a_clock_change_every_minute_is_the_first_instant_that_shows_it_or_a_later_one(
    zone: str, day: str
) -> None:
    clocks = ZoneInfo(zone)
    begin = at(day) - timedelta(days=2)
    minutes = [begin + timedelta(minutes=number) for number in range(4 * 24 * 60)]
    shown = [minute.astimezone(clocks).replace(tzinfo=None) for minute in minutes]
    wall = datetime.fromisoformat(day) - timedelta(hours=6)
    position = 0
    for _ in range(36 * 60):
        # What was shown first stays first: the search never goes back.
        while shown[position] < wall:
            position += 1
        assert first_instant(wall, clocks) == minutes[position], wall
        wall += timedelta(minutes=1)


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_has_one_daily_slot_for_each_day_that_the_zone_has(zone: str) -> None:
    clocks = ZoneInfo(zone)
    daily = Daily(at=time(2, 30), zone=zone)
    slot = at("2027-01-01T00:00", zone)
    days: list[date] = []
    while (slot := next_slot(daily, slot)) < at("2028-01-01T00:00", zone):
        days.append(slot.astimezone(clocks).date())
    assert len(days) == len(set(days)) == 365


@pytest.mark.parametrize("day", range(1, 32))
def test_a_year_has_twelve_monthly_slots_on_the_day_or_the_last_one(day: int) -> None:
    slot = at("2023-12-31T23:59")
    found = [slot := next_slot(Monthly(day=day), slot) for _ in range(24)]
    assert [(found.year, found.month) for found in found] == [
        (year, month) for year in (2024, 2025) for month in range(1, 13)
    ]
    for one in found:
        is_last = (one + timedelta(days=1)).month != one.month
        assert one.day == day or (one.day < day and is_last)


@given(slots=all_slots, instant=instants)
def test_slots_lie_in_order_and_none_is_left_out(slots: Slots, instant: datetime) -> None:
    before, after = last_slot(slots, instant), next_slot(slots, instant)
    assert before <= instant < after
    assert next_slot(slots, before) == after
    assert last_slot(slots, after) == after
    assert last_slot(slots, after - timedelta(microseconds=1)) == before


@given(slots=calendars, instant=instants)
def test_a_slot_shows_its_time_unless_its_clocks_skip_it(
    slots: Daily | Weekly | Monthly, instant: datetime
) -> None:
    clocks = ZoneInfo(slots.zone)
    slot = next_slot(slots, instant)
    shown = slot.astimezone(clocks).replace(tzinfo=None)
    # Clocks change on whole seconds.
    just_before = (slot - timedelta(seconds=1)).astimezone(clocks).replace(tzinfo=None)
    assert shown.time() == slots.at or shown - just_before > timedelta(seconds=1)
    if isinstance(slots, Weekly) and shown.time() == slots.at:
        assert shown.isoweekday() == slots.weekday


@given(
    slots=all_slots,
    fired=st.none() | instants,
    later=st.timedeltas(timedelta(0), timedelta(days=90)),
    most=st.integers(1, 20),
)
def test_each_missed_slot_is_due_once_in_order(
    slots: Slots, fired: datetime | None, later: timedelta, most: int
) -> None:
    last = last_slot(slots, fired) if fired is not None else None
    now = (fired or datetime(2026, 1, 1, tzinfo=UTC)) + later
    latest = due_slots(slots, fired=last, now=now, missed="latest", most=most)
    each = due_slots(slots, fired=last, now=now, missed="each", most=most)
    current = last_slot(slots, now)
    if last == current:
        assert latest == each == []
        return
    assert latest == [current]
    if last is None:
        assert each == [current]
        return
    assert each[0] == next_slot(slots, last)
    assert all(next_slot(slots, one) == other for one, other in pairwise(each))
    assert len(each) == most or each[-1] == current
    assert len(each) <= most


def test_a_clock_that_went_back_has_nothing_due() -> None:
    noon = at("2026-01-01T12:00")
    for missed in ("each", "latest"):
        due = due_slots(
            Interval(seconds=60), fired=noon, now=noon - timedelta(hours=1), missed=missed, most=9
        )
        assert due == []


def test_slots_travel_as_json() -> None:
    weekly = Weekly(weekday=5, at=time(9), zone="Europe/Berlin")
    text = b'{"every":"week","at":"09:00:00","zone":"Europe/Berlin","weekday":5,"weeks":1}'
    assert msgspec.json.encode(weekly) == text
    assert msgspec.json.decode(text, type=Slots) == weekly


@pytest.mark.parametrize(
    "text",
    [
        b'{"every":"day","zone":"Europe/Nowhere"}',
        b'{"every":"day","zone":"../../etc/passwd"}',
        b'{"every":"day","zone":"Europe"}',
        b'{"every":"day","zone":""}',
        b'{"every":"day","at":"09:00:00+02:00"}',
        b'{"every":"day","at":"24:00:00"}',
        b'{"every":"week","weekday":0}',
        b'{"every":"month","day":32}',
        b'{"every":"interval","seconds":0}',
        b'{"every":"year"}',
    ],
)
def test_what_is_no_schedule_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Slots)


def test_zones_are_known_by_their_names() -> None:
    assert is_time_zone("America/Argentina/Ushuaia")
    assert not is_time_zone("America")
