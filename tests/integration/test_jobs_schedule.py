from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from feira.jobs.housekeeping import handle_purge
from feira.jobs.run import JobRun
from feira.jobs.schedule import CATCH_UP_MAX, SCHEDULES, Schedule, Ticker
from feira.platform.domain.ids import JobId
from feira.platform.domain.jobs import Purge
from feira.platform.domain.schedules import Daily, Missed
from feira.platform.runtime.config import Config
from tests.integration.jobs_room import Mark, Room, holds, open_room, until


@pytest.fixture
async def room(config: Config, fresh_database_dsn: str) -> AsyncIterator[Room]:
    async with open_room(msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)) as room:
        yield room


def every(seconds: int, *, missed: Missed = "latest") -> Schedule:
    return Schedule(name="test.every", every_s=seconds, job=mark_of, missed=missed)


def mark_of(slot: datetime) -> Mark:
    return Mark(name=str(int(slot.timestamp())))


async def test_many_tickers_fire_a_slot_once(room: Room) -> None:
    hourly = every(3600)
    tickers = [Ticker(room.market, [hourly]) for _ in range(3)]
    await asyncio.gather(*(ticker.tick() for ticker in tickers for _ in range(5)))
    # An hour may turn while this runs.
    fires = await room.value("SELECT count(*) FROM schedule_fires")
    assert fires in {1, 2}
    assert await room.value("SELECT count(*) FROM jobs") == fires


async def test_missed_slots_are_caught_up_once_by_many_tickers(room: Room) -> None:
    hourly = every(3600, missed="each")
    await Ticker(room.market, [hourly]).tick()
    await room.execute("UPDATE schedule_fires SET slot = slot - interval '5 hours'")
    before = await room.value("SELECT count(*) FROM jobs")
    await asyncio.gather(*(Ticker(room.market, [hourly]).tick() for _ in range(3)))
    # The job of the newest slot is there from the first tick; its dedup key makes it no second one.
    slots = await room.value("SELECT count(*) FROM schedule_fires")
    assert slots in {6, 7}
    jobs = await room.value("SELECT count(*) FROM jobs")
    assert jobs - before in {4, 5}
    assert await room.value("SELECT count(DISTINCT args ->> 'name') FROM jobs") == jobs


async def test_a_sweep_that_still_waits_is_not_doubled(room: Room) -> None:
    often = every(1)
    ticker = Ticker(room.market, [often])
    await ticker.tick()
    first = await room.value("SELECT slot FROM schedule_fires")
    await until(lambda: holds(room.value("SELECT now() > $1", first + timedelta(seconds=1)), True))
    await ticker.tick()
    assert await room.value("SELECT count(*) FROM jobs") == 1
    await room.execute("UPDATE jobs SET state = 'done', finished_at = now()")
    await ticker.tick()
    assert await room.value("SELECT count(*) FROM jobs") == 2


async def test_a_worker_does_what_its_schedules_ask(room: Room) -> None:
    stop = asyncio.Event()
    from feira.jobs.worker import run_worker

    working = asyncio.create_task(
        run_worker(room.market, room.doorbell, stop, handlers=room.handlers, schedules=[every(1)])
    )
    await until(lambda: _many_marks(room))
    stop.set()
    await working
    marks = await room.value("SELECT count(*) FROM marks")
    assert await room.value("SELECT count(DISTINCT name) FROM marks") == marks


async def _many_marks(room: Room) -> bool:
    return await room.value("SELECT count(*) FROM marks") >= 2


async def test_a_schedule_on_the_clocks_of_a_place_fires_its_missed_days(room: Room) -> None:
    at_nine = Daily(at=time(9), zone="America/Sao_Paulo")
    daily = Schedule(name="test.daily", on=at_nine, job=mark_of, missed="each")
    await Ticker(room.market, [daily]).tick()
    await room.execute("UPDATE schedule_fires SET slot = slot - interval '3 days'")
    await asyncio.gather(*(Ticker(room.market, [daily]).tick() for _ in range(3)))
    slots = await room.value("SELECT array_agg(slot ORDER BY slot) FROM schedule_fires")
    clocks = ZoneInfo("America/Sao_Paulo")
    shown = [slot.astimezone(clocks) for slot in slots]
    assert {at.time() for at in shown} == {time(9)}
    assert len({at.date() for at in shown}) == len(slots) == 4
    assert await room.value("SELECT count(*) FROM jobs") in {3, 4}


async def test_long_gone_slots_are_caught_up_some_at_a_time(room: Room) -> None:
    minutely = every(60, missed="each")
    await Ticker(room.market, [minutely]).tick()
    await room.execute("UPDATE schedule_fires SET slot = slot - interval '150 minutes'")
    await Ticker(room.market, [minutely]).tick()
    assert await room.value("SELECT count(*) FROM schedule_fires") == 1 + CATCH_UP_MAX
    await Ticker(room.market, [minutely]).tick()
    # A minute may turn meanwhile.
    assert await room.value("SELECT count(*) FROM schedule_fires") in {151, 152}


def test_schedules_have_names_of_their_own() -> None:
    names = [schedule.name for schedule in SCHEDULES]
    assert len(set(names)) == len(names)


async def test_purging_forgets_what_is_old_and_keeps_the_rest(room: Room) -> None:
    await room.execute(
        """
        INSERT INTO jobs (kind, args, dedup, state, finished_at) VALUES
            ('k', '{}', 'old done', 'done', now() - interval '8 days'),
            ('k', '{}', 'new done', 'done', now() - interval '6 days'),
            ('k', '{}', 'dead', 'dead', now() - interval '8 days'),
            ('k', '{}', 'long dead', 'dead', now() - interval '91 days'),
            ('k', '{}', 'ready', 'ready', NULL)
        """
    )
    await room.execute(
        """
        INSERT INTO schedule_fires VALUES
            ('a', now() - interval '9 days'), ('a', now() - interval '8 days'),
            ('b', now() - interval '8 days'), ('b', now())
        """
    )
    await room.execute(
        """
        INSERT INTO idempotency_keys (user_id, key, request_sha256, answer, created_at) VALUES
            (gen_random_uuid(), 'old', '', '', now() - interval '3 days'),
            (gen_random_uuid(), 'new', '', '', now())
        """
    )
    await handle_purge(JobRun(room.market, JobId(await room.value("SELECT uuidv7()")), 1), Purge())
    kept = await room.value("SELECT array_agg(dedup ORDER BY dedup) FROM jobs")
    assert kept == ["dead", "new done", "ready"]
    # Of `a` the newest, from which missed slots are counted.
    assert await room.value("SELECT count(*) FROM schedule_fires WHERE schedule = 'a'") == 1
    assert await room.value("SELECT count(*) FROM schedule_fires WHERE schedule = 'b'") == 1
    assert await room.value("SELECT array_agg(key) FROM idempotency_keys") == ["new"]
