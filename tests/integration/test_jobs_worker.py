from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest

from feira.jobs.attempts import Attempts
from feira.jobs.queue import close_queue, enqueue, open_queue
from feira.jobs.relay import Relay
from feira.jobs.run import JobRun, LostAttempt
from feira.jobs.sweeper import Sweeper
from feira.platform.domain.errors import Unavailable
from feira.platform.domain.topics import OPS
from feira.platform.runtime.config import Config
from feira.platform.runtime.doorbell import jobs_doorbell
from feira.sql.database import Tx
from feira.sql.jobs import claim_attempt
from feira.sql.topics import read_events
from tests.integration.jobs_room import Mark, Nobody, Room, Stall, holds, now, open_room, until


@pytest.fixture
async def room(config: Config, fresh_database_dsn: str) -> AsyncIterator[Room]:
    async with open_room(msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)) as room:
        yield room


async def test_a_claim_does_not_wait_for_the_disk_and_all_else_does(room: Room) -> None:
    attempt = await room.queue_one(Mark(name="fast"), dedup="fast")
    kept = "SELECT current_setting('synchronous_commit')"
    async with room.market.database.connection() as con:
        await con.execute("SET synchronous_commit = on")
        claimed = await claim_attempt(
            con, attempt.id, 1, leases_s={}, lease_else_s=9, worker="test"
        )
        assert claimed is not None
        assert await con.fetchval(kept) == "on"


async def test_a_committed_job_is_done_once_by_many_workers(room: Room) -> None:
    async with room.worker(), room.worker(), room.worker():
        jobs = [await room.add(Mark(name=f"m{n}"), dedup=f"m{n}") for n in range(30)]
        await until(
            lambda: holds(room.value("SELECT count(*) FROM jobs WHERE state = 'done'"), len(jobs)),
            deadline_s=40,
        )
    assert await room.value("SELECT count(*) FROM marks") == 30
    assert await room.value("SELECT count(DISTINCT name) FROM marks") == 30
    assert await room.value("SELECT max(attempt) FROM jobs") == 1


async def test_a_message_delivered_many_times_has_one_effect(room: Room) -> None:
    attempt = await room.queue_one(Mark(name="twice"), dedup="twice")
    attempts = Attempts(room.market, room.handlers)
    await asyncio.gather(*(attempts.perform(attempt.id, attempt.attempt) for _ in range(10)))
    assert await room.marks("twice") == [1]
    await attempts.perform(attempt.id, attempt.attempt)
    assert await room.marks("twice") == [1]
    assert room.started == [("twice", 1)]


async def test_a_message_put_into_the_queue_again_after_it_was_handled_does_nothing(
    room: Room,
) -> None:
    attempt = await room.queue_one(Mark(name="again"), dedup="again")
    queue = open_queue(room.market.config)
    async with room.worker():
        await enqueue(queue, [attempt])
        await until(lambda: holds(room.state(attempt.id), "done"))
        await enqueue(queue, [attempt])
        await until(lambda: holds(queue.zcard(queue.default_queue_name), 0))
    await close_queue(queue)
    assert await room.marks("again") == [1]


async def test_an_attempt_that_wakes_late_cannot_commit(room: Room) -> None:
    room.gate.clear()
    attempt = await room.queue_one(Mark(name="late"), dedup="late")
    attempts = Attempts(room.market, room.handlers)
    old = asyncio.create_task(attempts.perform(attempt.id, 1))
    await until(lambda: holds(now(room.started), [("late", 1)]))
    await room.expire_lease(attempt.id)
    assert await Sweeper(room.market, room.doorbell).sweep_once() == 1
    await room.execute(
        "UPDATE jobs SET state = 'queued', attempt = attempt + 1, lease_until = now() + interval '1 min'"
    )
    new = asyncio.create_task(attempts.perform(attempt.id, 2))
    await until(lambda: holds(now(len(room.started)), 2))
    room.gate.set()
    await asyncio.gather(old, new)
    assert await room.marks("late") == [2]
    assert await room.state(attempt.id) == "done"


async def test_a_commit_without_the_job_leaves_nothing(room: Room) -> None:
    attempt = await room.queue_one(Mark(name="lost"), dedup="lost")
    with pytest.raises(LostAttempt):
        await room.mark(JobRun(room.market, attempt.id, 1), Mark(name="lost"))
    assert await room.marks("lost") == []
    assert await room.state(attempt.id) == "queued"


async def test_a_failed_attempt_waits_and_a_used_up_job_is_dead_and_told(room: Room) -> None:
    room.failing = [ValueError(f"broken {n}\nDETAIL: Key (email)=(a@b.c)") for n in range(3)]
    job = await room.add(Mark(name="broken"), dedup="broken")
    queue = open_queue(room.market.config)
    relay = Relay(room.market, room.doorbell)
    attempts = Attempts(room.market, room.handlers)
    for number in (1, 2, 3):
        assert await relay.relay_once(queue) == 1
        await attempts.perform(job, number)
        wait_s = await room.value("SELECT extract(epoch FROM run_at - now()) FROM jobs")
        if number < 3:
            assert await room.state(job) == "ready"
            # 2 s, 4 s, less up to half of it.
            assert 2.0**number / 2 - 1 < wait_s <= 2.0**number
            assert await relay.relay_once(queue) == 0
            await room.execute("UPDATE jobs SET run_at = now()")
    await close_queue(queue)
    assert await room.state(job) == "dead"
    assert await room.value("SELECT last_error FROM jobs") == "ValueError: broken 2"
    async with room.market.database.connection() as con:
        events = await read_events(con, OPS, after=0, limit=10)
    assert [msgspec.json.decode(event.body)["kind"] for event in events] == ["job.died"]


async def test_an_outage_says_itself_when_to_come_back(room: Room) -> None:
    room.failing = [Unavailable("mail.away", "The provider is away.", retry_after_s=600)]
    attempt = await room.queue_one(Mark(name="away"), dedup="away")
    await Attempts(room.market, room.handlers).perform(attempt.id, 1)
    wait_s = await room.value("SELECT extract(epoch FROM run_at - now()) FROM jobs")
    assert 590 < wait_s <= 600


async def test_an_unknown_kind_is_dead_at_once(room: Room) -> None:
    attempt = await room.queue_one(Nobody(), dedup="nobody")
    await Attempts(room.market, room.handlers).perform(attempt.id, 1)
    assert await room.state(attempt.id) == "dead"
    assert "test.nobody" in await room.value("SELECT last_error FROM jobs")


async def test_arguments_that_do_not_decode_are_dead_at_once(room: Room) -> None:
    attempt = await room.queue_one(Mark(name="x"), dedup="x")
    await room.execute("""UPDATE jobs SET args = '{"kind": "test.mark", "nome": 1}'""")
    await Attempts(room.market, room.handlers).perform(attempt.id, 1)
    assert await room.state(attempt.id) == "dead"
    assert (await room.value("SELECT last_error FROM jobs")).startswith("UndecodableArgs")


async def test_an_attempt_ends_at_its_kinds_timeout(room: Room) -> None:
    attempt = await room.queue_one(Stall(), dedup="stall")
    await Attempts(room.market, room.handlers).perform(attempt.id, 1)
    assert await room.state(attempt.id) == "ready"
    assert "0.1 s" in await room.value("SELECT last_error FROM jobs")


async def test_a_handler_that_commits_nothing_is_done_when_it_returns(room: Room) -> None:
    async def nothing(run: JobRun, job: Mark) -> None:
        return

    attempt = await room.queue_one(Mark(name="nothing"), dedup="nothing")
    await Attempts(room.market, {Mark: nothing}).perform(attempt.id, 1)
    assert await room.state(attempt.id) == "done"


async def test_a_queued_attempt_that_never_ran_does_not_count(room: Room) -> None:
    attempt = await room.queue_one(Mark(name="unrun"), dedup="unrun")
    sweeper = Sweeper(room.market, room.doorbell)
    for _ in range(5):
        await room.expire_lease(attempt.id)
        assert await sweeper.sweep_once() == 1
        assert await room.state(attempt.id) == "ready"
        await room.execute(
            "UPDATE jobs SET state = 'queued', attempt = attempt + 1, lease_until = now()"
        )
    left = await room.value("SELECT attempts_max - attempt FROM jobs")
    assert left == Mark.attempts_max - 1


async def test_a_last_attempt_that_fell_silent_is_dead_and_told(room: Room) -> None:
    attempt = await room.queue_one(Mark(name="silent"), dedup="silent")
    await room.execute(
        "UPDATE jobs SET state = 'running', attempt = 3, lease_until = now() - interval '1 s'"
    )
    assert await Sweeper(room.market, room.doorbell).sweep_once() == 1
    assert await room.state(attempt.id) == "dead"
    async with room.market.database.connection() as con:
        assert len(await read_events(con, OPS, after=0, limit=10)) == 1


async def test_a_job_due_later_waits_for_its_time_and_not_longer(room: Room) -> None:
    # Nobody polls within the test's time: the relay knows when the next row is due.
    config = msgspec.structs.replace(room.market.config, job_relay_poll_s=3600)
    room.market = replace(room.market, config=config)
    async with room.worker():

        async def work(tx: Tx) -> None:
            run_at = await tx.con.fetchval("SELECT now() + interval '0.4 s'")
            tx.enqueue(Mark(name="later"), run_at=run_at, dedup="later")

        await room.market.database.transact(work)
        await until(lambda: holds(room.marks("later"), [1]))
    assert await room.value("SELECT finished_at >= run_at FROM jobs")


async def test_a_ring_on_one_node_wakes_the_worker_on_another(room: Room) -> None:
    config = msgspec.structs.replace(room.market.config, job_relay_poll_s=3600)
    other = jobs_doorbell(config)
    heard = asyncio.create_task(other.wait(20))
    while not heard.done():
        # Until the subscription stands, rings are lost; that is what polling is for.
        room.doorbell.ring()
        await asyncio.sleep(0.02)
    assert heard.result()
    await other.close()


async def test_a_stopping_worker_finishes_what_it_can_and_gives_the_rest_back(room: Room) -> None:
    room.gate.clear()
    async with room.worker() as stop:
        slow = await room.add(Mark(name="slow"), dedup="slow")
        await until(lambda: holds(room.state(slow), "running"))
        stop.set()
    assert await room.state(slow) == "ready"
    assert await room.marks("slow") == []
    room.gate.set()
    async with room.worker():
        await until(lambda: holds(room.state(slow), "done"))
    assert await room.marks("slow") == [2]


async def test_a_stopping_worker_waits_for_a_running_job(room: Room) -> None:
    room.gate.clear()
    async with room.worker() as stop:
        job = await room.add(Mark(name="nearly"), dedup="nearly")
        await until(lambda: holds(room.state(job), "running"))
        stop.set()
        await asyncio.sleep(0)
        room.gate.set()
    assert await room.state(job) == "done"
    assert await room.marks("nearly") == [1]


async def test_secrets_stay_out_of_what_operators_read(room: Room) -> None:
    room.failing = [ValueError(f"cannot reach {room.market.config.redis_url}")]
    attempt = await room.queue_one(Mark(name="secret"), dedup="secret")
    await Attempts(room.market, room.handlers).perform(attempt.id, 1)
    assert await room.value("SELECT last_error FROM jobs") == "ValueError: cannot reach ********"
