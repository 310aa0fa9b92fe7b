"""Who goes first, how many at once, what is paused and what is cancelled: by every relay and worker alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar
from uuid import uuid4

import msgspec
import pytest

from feira.jobs.attempts import Attempts
from feira.jobs.queue import close_queue, enqueue, open_queue
from feira.jobs.relay import QUEUED_MAX, Relay
from feira.jobs.run import JobRun
from feira.jobs.sweeper import Sweeper
from feira.platform.domain.errors import Conflict
from feira.platform.domain.ids import JobId, SessionId, UserId
from feira.platform.domain.jobs import PATIENCE_S, Job, Priority
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import OPS
from feira.platform.runtime.config import Config
from feira.services.operations.job_views import PauseKind
from feira.services.operations.jobs import cancel, pause_kind, resume_kind, show_job
from feira.sql.database import Tx
from feira.sql.jobs import queue_due
from feira.sql.topics import read_events
from tests.integration.jobs_room import Mark, Room, holds, now, open_room, until


class Urgent(Job, frozen=True, kw_only=True, tag="test.urgent"):
    priority: ClassVar[Priority] = "high"


class Idle(Job, frozen=True, kw_only=True, tag="test.idle"):
    priority: ClassVar[Priority] = "low"


class Scarce(Job, frozen=True, kw_only=True, tag="test.scarce"):
    concurrency_max: ClassVar[int | None] = 2
    name: str = ""


ADMIN = Principal(
    user_id=UserId(uuid4()),
    session_id=SessionId(uuid4()),
    display_name="Ana",
    roles=frozenset({"anyone", "user", "admin"}),
)


@pytest.fixture
async def room(config: Config, fresh_database_dsn: str) -> AsyncIterator[Room]:
    async with open_room(msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)) as room:
        yield room


async def take(room: Room, limit: int) -> list[JobId]:
    patience_s = {"test.urgent": PATIENCE_S["high"], "test.idle": PATIENCE_S["low"]}
    async with room.market.database.connection() as con:
        taken = await queue_due(con, limit=limit, lease_s=60, patience_s=patience_s)
    return [attempt.id for attempt in taken]


async def waiting_since(room: Room, job: JobId, seconds: float) -> JobId:
    await room.execute(
        "UPDATE jobs SET run_at = now() - make_interval(secs => $2) WHERE id = $1", job, seconds
    )
    return job


async def test_high_goes_before_normal_before_low(room: Room) -> None:
    low = await room.add(Idle(), dedup="low")
    normal = await room.add(Mark(name="normal"), dedup="normal")
    high = await room.add(Urgent(), dedup="high")
    assert await take(room, 1) == [high]
    assert await take(room, 5) == [normal, low]


async def test_low_is_overtaken_for_no_longer_than_its_patience(room: Room) -> None:
    patience_s = PATIENCE_S["low"]
    starved = await waiting_since(room, await room.add(Idle(), dedup="old"), patience_s + 5)
    fresh = [await room.add(Urgent(), dedup=f"u{number}") for number in range(20)]
    still = await waiting_since(room, await room.add(Idle(), dedup="new"), patience_s - 20)
    taken = await take(room, 50)
    assert taken == [starved, *fresh, still]


async def test_a_crowd_of_one_kind_is_in_no_others_way(room: Room) -> None:
    await room.execute(
        "INSERT INTO jobs (kind, args, run_at) SELECT 'test.idle', '{}', now() - interval '60 s'"
        " FROM generate_series(1, 500)"
    )
    high = await room.add(Urgent(), dedup="high")
    assert (await take(room, 10))[0] == high


async def test_the_queue_keeps_the_order_in_which_jobs_were_taken(room: Room) -> None:
    queue = open_queue(room.market.config)
    for job in (Idle(), Mark(name="m"), Urgent()):
        await room.add(job, dedup=str(uuid4()))
        relay = Relay(room.market, room.doorbell)
        assert await relay.relay_once(queue) == 1
    names = await queue.zrange(queue.default_queue_name, 0, -1)
    async with room.market.database.connection() as con:
        rows = {
            row["id"]: row["kind"] for row in await con.fetch("SELECT id::text, kind FROM jobs")
        }
    assert [rows[name.decode().split("}")[1].split(":")[0]] for name in names] == [
        "test.urgent",
        "test.mark",
        "test.idle",
    ]
    await queue.delete(queue.default_queue_name)
    await close_queue(queue)


async def test_messages_that_killed_workers_left_in_redis_take_no_room(room: Room) -> None:
    queue = open_queue(room.market.config)
    left = {f"left-{number}": 1.0 for number in range(2 * QUEUED_MAX)}
    await queue.zadd(queue.default_queue_name, left)
    for number in range(QUEUED_MAX + 50):
        await room.add(Mark(name="m"), dedup=f"m{number}")
    relay = Relay(room.market, room.doorbell)
    taken = 0
    while more := await relay.relay_once(queue):
        taken += more
    assert taken == QUEUED_MAX
    await queue.delete(queue.default_queue_name)
    await close_queue(queue)


async def test_no_more_of_a_limited_kind_are_under_way_however_many_relays_take(
    room: Room,
) -> None:
    for number in range(12):
        await room.add(Scarce(), dedup=f"s{number}")
    free = await room.add(Mark(name="free"), dedup="free")
    await Relay(room.market, room.doorbell).declare()
    taken = [
        job for many in await asyncio.gather(*(take(room, 5) for _ in range(8))) for job in many
    ]
    assert free in taken
    assert len(taken) == len(set(taken)) == 3
    held = "SELECT count(*) FROM jobs WHERE kind = 'test.scarce' AND state = 'queued'"
    assert await room.value(held) == 2
    # One ends, and its place is free; one whose process died holds its place until its lease ends.
    await room.execute(
        "UPDATE jobs SET state = 'done', finished_at = now(), lease_until = NULL WHERE id ="
        " (SELECT id FROM jobs WHERE kind = 'test.scarce' AND state = 'queued' LIMIT 1)"
    )
    assert len(await take(room, 5)) == 1
    assert await take(room, 5) == []
    await room.execute(
        "UPDATE jobs SET lease_until = now() - interval '1 s'"
        " WHERE state = 'queued' AND kind = 'test.scarce'"
    )
    await Sweeper(room.market, room.doorbell).sweep_once()
    assert await room.value(held) == 0
    assert len(await take(room, 5)) == 2


async def test_workers_keep_to_a_kinds_limit_and_get_through_all_of_it(room: Room) -> None:
    running: list[int] = [0]

    async def slow(run: JobRun, job: Scarce) -> None:
        running.append(running[-1] + 1)
        await asyncio.sleep(0.02)
        running.append(running[-1] - 1)

        async def insert(tx: Tx) -> None:
            await tx.con.execute("INSERT INTO marks VALUES ($1, $2)", job.name, run.attempt)

        await run.commit(insert)

    room.more_handlers = {Scarce: slow}
    for number in range(10):
        await room.add(Scarce(name=f"s{number}"), dedup=f"s{number}")
    async with room.worker(), room.worker():
        await until(lambda: holds(room.value("SELECT count(DISTINCT name) FROM marks"), 10))
    assert max(running) <= 2


async def test_a_paused_kind_waits_and_goes_on_when_resumed(room: Room) -> None:
    transact = room.market.database.transact
    reason = PauseKind(reason="Not now.")
    await transact(lambda tx: pause_kind(tx, ADMIN, "test.mark", reason))
    paused = await room.add(Mark(name="paused"), dedup="paused")
    high = await room.add(Urgent(), dedup="high")
    assert await take(room, 5) == [high]
    async with room.worker():
        await asyncio.sleep(0.3)
        assert await room.state(paused) == "ready"
        await transact(lambda tx: resume_kind(tx, ADMIN, "test.mark"))
        await until(lambda: holds(room.state(paused), "done"))
    assert await room.marks("paused") == [1]


async def test_a_job_cancelled_while_it_waits_never_runs(room: Room) -> None:
    queue = open_queue(room.market.config)
    ready = await room.add(Mark(name="ready"), dedup="ready")
    queued = await room.queue_one(Mark(name="queued"), dedup="queued")
    for job in (ready, queued.id):
        answer = await room.market.database.transact(lambda tx, job=job: cancel(tx, ADMIN, job))
        assert answer.state == "cancelled"
    async with room.worker():
        await enqueue(queue, [queued])
        await until(lambda: holds(queue.zcard(queue.default_queue_name), 0))
    await close_queue(queue)
    assert room.started == []
    with pytest.raises(Conflict, match="cancelled already"):
        await room.market.database.transact(lambda tx: cancel(tx, ADMIN, ready))


async def test_a_job_cancelled_while_it_runs_commits_nothing(room: Room) -> None:
    room.gate.clear()
    attempt = await room.queue_one(Mark(name="running"), dedup="running")
    running = asyncio.create_task(Attempts(room.market, room.handlers).perform(attempt.id, 1))
    await until(lambda: holds(now(room.started), [("running", 1)]))
    answer = await room.market.database.transact(lambda tx: cancel(tx, ADMIN, attempt.id))
    assert answer.state == "running"
    room.gate.set()
    await running
    assert await room.state(attempt.id) == "cancelled"
    assert await room.marks("running") == []
    async with room.market.database.connection() as con:
        events = await read_events(con, OPS, after=0, limit=10)
    bodies = [msgspec.json.decode(event.body) for event in events]
    assert [body["kind"] for body in bodies] == ["job.cancel_asked", "job.cancelled"]
    assert {body["by"] for body in bodies} == {str(ADMIN.user_id)}


@pytest.mark.parametrize("how", ["fails", "returns", "is released", "falls silent"])
async def test_however_a_cancelled_attempt_ends_its_job_is_cancelled(room: Room, how: str) -> None:
    room.gate.clear()
    entered = asyncio.Event()

    async def handler(run: JobRun, job: Mark) -> None:
        entered.set()
        await room.gate.wait()
        if how == "fails":
            raise ValueError("broken")

    attempt = await room.queue_one(Mark(name="c"), dedup="c")
    attempts = Attempts(room.market, {Mark: handler})
    running = asyncio.create_task(attempts.perform(attempt.id, 1))
    await entered.wait()
    await room.market.database.transact(lambda tx: cancel(tx, ADMIN, attempt.id))
    if how == "is released":
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    elif how == "falls silent":
        await room.expire_lease(attempt.id)
        await Sweeper(room.market, room.doorbell).sweep_once()
    assert await room.state(attempt.id) == (
        "running" if how in {"fails", "returns"} else "cancelled"
    )
    room.gate.set()
    await asyncio.gather(running, return_exceptions=True)
    assert await room.state(attempt.id) == "cancelled"


async def test_a_jobs_history_says_what_each_failed_attempt_fell_over(room: Room) -> None:
    room.failing = [ValueError("first"), KeyError("second")]
    job = await room.add(Mark(name="h"), dedup="h")
    attempts = Attempts(room.market, room.handlers)
    for number in (1, 2, 3):
        await room.execute("UPDATE jobs SET run_at = now()")
        assert await take(room, 1) == [job]
        if number == 3:
            await room.execute("UPDATE jobs SET state = 'running', worker = 'gone'")
            await room.expire_lease(job)
            await Sweeper(room.market, room.doorbell).sweep_once()
        else:
            await attempts.perform(job, number)
    async with room.market.database.connection() as con:
        whole = await show_job(con, ADMIN, job)
    assert [(f.attempt, f.outcome, f.error[:18]) for f in whole.failures] == [
        (1, "retry", "ValueError: first"),
        (2, "retry", "KeyError: 'second'"),
        (3, "dead", "LeaseExpired: atte"),
    ]
    assert whole.failures[0].worker == room.market.config.node_name
    assert whole.failures[2].worker == "gone"
    assert whole.failures[0].started_at is not None
    assert whole.state == "dead"
