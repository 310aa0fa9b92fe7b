"""A worker is killed at every failpoint of the job queue, one after the other; what is left is drained, and each
effect, here and outside, exists exactly once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from feira.platform.domain.ids import JobId
from feira.platform.runtime.config import Config, to_environment
from tests.chaos.killed_at import failpoints_in
from tests.chaos.worker_victim import Chore, chore_handler
from tests.integration.jobs_room import Room, holds, open_room, until

ROOT: Final = Path(__file__).parents[2]
POINTS: Final = (
    "relay.queued",
    "relay.sent",
    "jobs.claiming",
    "jobs.claimed",
    "victim.calling",
    "victim.called",
    "jobs.committing",
    "jobs.committed",
    "jobs.settling",
    "jobs.settled",
    "sweeper.sweeping",
    "sweeper.swept",
    "schedule.firing",
    "schedule.fired",
)


@pytest.fixture
async def room(config: Config, fresh_database_dsn: str) -> AsyncIterator[Room]:
    own = msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)
    async with open_room(own) as room:
        room.more_handlers = {Chore: chore_handler(0)}
        yield room


@pytest.fixture
def killer(room: Room) -> Iterator[subprocess.Popen[str]]:
    """Makes a worker for each failpoint it is told, and says how it ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.worker_victim", "--forking"],
        cwd=ROOT,
        env={**os.environ, **to_environment(room.market.config)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        pass
    process.wait(60)


async def prepare(room: Room, point: str) -> None:
    """Have something go past the failpoint."""
    if point.startswith("sweeper."):
        silent = await room.add(Chore(name=point), dedup=point)
        await room.execute(
            "UPDATE jobs SET state = 'running', attempt = 1, lease_until = now() - interval '1 s'"
            " WHERE id = $1",
            silent,
        )
    elif not point.startswith("schedule."):
        fails = 1 if point in {"jobs.settling", "jobs.settled"} else 0
        await room.add(Chore(name=point, fails=fails), dedup=point)


def test_the_matrix_leaves_no_failpoint_out() -> None:
    files = (
        f"feira/jobs/{name}.py" for name in ("relay", "attempts", "run", "sweeper", "schedule")
    )
    assert set(POINTS) == failpoints_in(*files, "tests/chaos/worker_victim.py")


async def test_whichever_failpoint_a_worker_is_killed_at_each_effect_exists_exactly_once(
    room: Room, killer: subprocess.Popen[str]
) -> None:
    assert killer.stdin is not None
    assert killer.stdout is not None
    for point in POINTS:
        await prepare(room, point)
        killer.stdin.write(f"{point}\n")
        killer.stdin.flush()
        assert killer.stdout.readline().split() == [point, "SIGKILL"]
    expected = {point for point in POINTS if not point.startswith("schedule.")} | {"scheduled"}
    undone = "SELECT count(*) FROM jobs WHERE state <> 'done'"
    async with room.worker():
        await until(lambda: holds(room.value(undone), 0), deadline_s=40)
    assert await names(room, "SELECT array_agg(name) FROM marks") == sorted(expected)
    assert await names(room, "SELECT array_agg(key) FROM outside") == sorted(expected)
    assert await names(room, "SELECT array_agg(args ->> 'name') FROM jobs") == sorted(expected)
    # The killing hit something: outside calls were repeated, with the same key.
    assert await room.value("SELECT calls FROM outside WHERE key = 'victim.called'") > 1
    assert await room.value("SELECT count(*) FROM schedule_fires") == 1


async def names(room: Room, statement: str) -> list[str]:
    return sorted(await room.value(statement))


async def test_each_rule_of_the_tables_refuses_what_it_is_there_to_refuse(room: Room) -> None:
    """Whoever drops one fails this; and the first four are what the promises above stand on."""
    job = JobId(await room.add(Chore(name="x"), dedup="x"))
    insert = "INSERT INTO jobs (kind, args, {0}) VALUES ('k', '{{}}', {1})"
    refused = {
        "jobs_dedup_unique": insert.format("dedup", "'x'"),
        "jobs_pkey": insert.format("id", f"'{job}'"),
        "schedule_fires_pkey": "INSERT INTO schedule_fires VALUES ('s', 'epoch'), ('s', 'epoch')",
        "jobs_done_is_not_cancelled": insert.format(
            "state, finished_at, cancel_asked_at", "'done', now(), now()"
        ),
        "jobs_lease_while_held": insert.format("state", "'running'"),
        "jobs_finished_at_end": insert.format("state", "'done'"),
        "jobs_attempt_not_negative": insert.format("attempt", "-1"),
        "jobs_attempts_max_positive": insert.format("attempts_max", "0"),
        "job_kinds_pkey": "INSERT INTO job_kinds (kind) VALUES ('k'), ('k')",
        "job_kinds_concurrency_max_positive": "INSERT INTO job_kinds VALUES ('k', 0)",
        "job_kinds_pause_whole": "INSERT INTO job_kinds (kind, paused_at) VALUES ('k', now())",
        "job_failures_pkey": "INSERT INTO job_failures (job_id, attempt, outcome, error)"
        " SELECT id, 1, 'retry', '' FROM jobs, generate_series(1, 2)",
        "job_failures_outcome_known": "INSERT INTO job_failures (job_id, attempt, outcome, error)"
        " SELECT id, 1, 'fine', '' FROM jobs",
        "job_failures_job_id_fkey": "INSERT INTO job_failures (job_id, attempt, outcome, error)"
        " VALUES (gen_random_uuid(), 1, 'retry', '')",
    }
    for name, statement in refused.items():
        with pytest.raises(Exception, match=f'"{name}"'):
            await room.execute(statement)
    declared = await room.value(
        "SELECT array_agg(conname::text) FROM pg_constraint WHERE contype <> 'n' AND conrelid = ANY"
        " ('{jobs, job_kinds, job_failures, schedule_fires}'::regclass[])"
    )
    assert set(declared) == set(refused)
