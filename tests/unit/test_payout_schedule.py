"""When shops are paid, wherever they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain.payout_schedule import PayoutSchedule, latest_due, next_slot

# Clocks that change at midnight, by half an hour, by a day, in winter, and twice for Ramadan.
PLACES = (
    *("UTC", "Europe/Lisbon", "America/Havana", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo"),
    *("Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/New_York"),
)
instants = st.datetimes(datetime(2010, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
schedules = st.builds(
    PayoutSchedule,
    frequency=st.sampled_from(("daily", "weekly", "biweekly", "monthly")),
    weekday=st.integers(1, 7),
    month_day=st.integers(1, 31),
    zone=st.sampled_from(PLACES),
)


def slots(schedule: PayoutSchedule, after: str, count: int) -> list[str]:
    """The next slots as the clocks there show them."""
    zone = ZoneInfo(schedule.zone)
    slot = datetime.fromisoformat(after).replace(tzinfo=zone).astimezone(UTC)
    shown: list[str] = []
    for _ in range(count):
        following = next_slot(schedule, slot)
        assert following is not None
        slot = following
        shown.append(f"{slot.astimezone(zone):%Y-%m-%d %H:%M}")
    return shown


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        # Short months, and a leap year.
        (
            PayoutSchedule(frequency="monthly", month_day=31, zone="Europe/Lisbon"),
            "2028-01-31 00:00",
            ["2028-02-29 00:00", "2028-03-31 00:00", "2028-04-30 00:00"],
        ),
        (
            PayoutSchedule(frequency="monthly", month_day=30, zone="UTC"),
            "2026-01-30 00:00",
            ["2026-02-28 00:00", "2026-03-30 00:00"],
        ),
        # Summer time begins at midnight: the day has no 00:00.
        (
            PayoutSchedule(frequency="daily", zone="America/Havana"),
            "2026-03-07 00:00",
            ["2026-03-08 01:00", "2026-03-09 00:00"],
        ),
        # It ends at 01:00: the day has two of them.
        (
            PayoutSchedule(frequency="daily", zone="America/Havana"),
            "2026-10-31 00:00",
            ["2026-11-01 00:00", "2026-11-02 00:00"],
        ),
        # A Friday that Samoa never had.
        (
            PayoutSchedule(frequency="weekly", weekday=5, zone="Pacific/Apia"),
            "2011-12-23 00:00",
            ["2011-12-31 00:00", "2012-01-06 00:00"],
        ),
        (
            PayoutSchedule(frequency="biweekly", weekday=1, zone="Europe/Lisbon"),
            "2026-03-16 00:00",
            ["2026-03-30 00:00", "2026-04-13 00:00", "2026-04-27 00:00"],
        ),
    ],
)
def test_slots_fall_on_the_days_that_were_asked_for(
    schedule: PayoutSchedule, after: str, expected: list[str]
) -> None:
    assert slots(schedule, after, len(expected)) == expected


@given(schedules, instants)
def test_a_slot_is_the_first_instant_of_its_day(schedule: PayoutSchedule, after: datetime) -> None:
    slot = next_slot(schedule, after)
    assert slot is not None
    assert slot > after
    zone = ZoneInfo(schedule.zone)
    today = slot.astimezone(zone).date()
    before = (slot - timedelta(seconds=1)).astimezone(zone).date()
    assert before < today
    longest = {"daily": 3, "weekly": 8, "biweekly": 15, "monthly": 32}[schedule.frequency]
    assert slot - after <= timedelta(days=longest)


@given(schedules, instants)
def test_what_is_due_is_the_latest_slot_and_the_one_after_it_is_not_yet(
    schedule: PayoutSchedule, awaited: datetime
) -> None:
    first = next_slot(schedule, awaited)
    assert first is not None
    assert latest_due(schedule, awaited=first, now=first - timedelta(seconds=1)) is None
    now = first + timedelta(days=100)
    due = latest_due(schedule, awaited=first, now=now)
    assert due is not None
    assert first <= due <= now
    following = next_slot(schedule, due)
    assert following is not None
    assert following > now


@given(st.sampled_from(PLACES), st.integers(1, 7), instants)
def test_biweekly_slots_are_every_second_weekly_one(
    zone: str, weekday: int, after: datetime
) -> None:
    weekly = PayoutSchedule(frequency="weekly", weekday=weekday, zone=zone)
    biweekly = PayoutSchedule(frequency="biweekly", weekday=weekday, zone=zone)

    def some(schedule: PayoutSchedule, count: int) -> list[datetime]:
        found = [after]
        for _ in range(count):
            slot = next_slot(schedule, found[-1])
            assert slot is not None
            found.append(slot)
        return found[1:]

    weeks, fortnights = some(weekly, 12), some(biweekly, 5)
    assert fortnights == weeks[weeks.index(fortnights[0]) :: 2][:5]
    assert all(second > first for first, second in pairwise(weeks))


def test_a_manual_schedule_has_no_slots() -> None:
    manual = PayoutSchedule(frequency="manual")
    now = datetime.now(UTC)
    assert next_slot(manual, now) is None
    assert latest_due(manual, awaited=now, now=now) is None


def test_every_zone_that_this_machine_knows_has_slots() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    for zone in sorted(available_timezones() - {"localtime", "posixrules", "Factory"}):
        slot = next_slot(PayoutSchedule(frequency="monthly", month_day=31, zone=zone), now)
        assert slot is not None
        assert f"{slot.astimezone(ZoneInfo(zone)):%m-%d}" == "03-31", zone


def test_a_zone_that_is_none_is_refused_with_the_reason() -> None:
    with pytest.raises(msgspec.ValidationError, match="Mars/Olympus"):
        msgspec.json.decode(b'{"zone": "Mars/Olympus"}', type=PayoutSchedule)
