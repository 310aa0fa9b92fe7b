"""Workers are killed with -9, and Redis with all it knows, while jobs run: each job has one effect all the same."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest

from feira.platform.runtime.config import Config, to_environment
from feira.platform.runtime.embedded.folder import DataFolder
from feira.platform.runtime.embedded.ports import PortBook
from feira.platform.runtime.embedded.valkey import ValkeyServer
from tests.chaos.worker_victim import Chore
from tests.integration.jobs_room import Mark, Room, holds, open_room, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    """A Valkey for this test alone, to be killed."""
    valkey = ValkeyServer(DataFolder(tmp_path), PortBook(tmp_path / "ports.json"))
    await valkey.start()
    yield valkey
    valkey.kill()
    await valkey.stop()


@pytest.fixture
async def room(
    config: Config, fresh_database_dsn: str, valkey: ValkeyServer
) -> AsyncIterator[Room]:
    settings = {"postgres_dsn": fresh_database_dsn, "redis_url": valkey.url}
    async with open_room(msgspec.structs.replace(config, **settings)) as room:
        yield room


class Victim:
    """A worker process."""

    def __init__(self, config: Config, *, slow_s: float = 0.0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.worker_victim", str(slow_s)],
            cwd=ROOT,
            env={**os.environ, **to_environment(config)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self, how: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(20)


@contextmanager
def victim(config: Config, *, slow_s: float = 0.0) -> Generator[Victim]:
    worker = Victim(config, slow_s=slow_s)
    try:
        yield worker
    finally:
        worker.end(signal.SIGKILL)


@asynccontextmanager
async def replaced_whenever_killed(config: Config) -> AsyncGenerator[list[Victim]]:
    """One worker after the other, as a supervisor would start them."""
    workers = [Victim(config, slow_s=0.05)]

    async def replace() -> None:
        while True:
            if workers[-1].process.poll() is not None:
                workers.append(Victim(config, slow_s=0.05))
            await asyncio.sleep(0.05)

    replacing = asyncio.create_task(replace())
    try:
        yield workers
    finally:
        replacing.cancel()
        await asyncio.gather(replacing, return_exceptions=True)
        for worker in workers:
            worker.end(signal.SIGKILL)


async def test_a_job_whose_worker_is_killed_is_finished_by_another_with_one_effect(
    room: Room,
) -> None:
    job = await room.add(Chore(name="orphan"), dedup="orphan")
    with victim(room.market.config, slow_s=1.8) as first:
        await until(lambda: holds(room.state(job), "running"))
        first.end(signal.SIGKILL)
    assert await room.state(job) == "running"
    with victim(room.market.config):
        await until(lambda: holds(room.state(job), "done"), deadline_s=40)
    assert await room.marks("orphan") == [2]


async def test_a_worker_told_to_stop_gives_its_job_back_at_once(room: Room) -> None:
    job = await room.add(Chore(name="handed"), dedup="handed")
    with victim(room.market.config, slow_s=1.8) as worker:
        await until(lambda: holds(room.state(job), "running"))
        assert worker.end(signal.SIGTERM) == 0
    # It had half a second to finish and needed more, or had been running for long enough.
    assert await room.state(job) in {"ready", "done"}
    assert len(await room.marks("handed")) <= 1


async def test_jobs_survive_workers_and_redis_being_killed_again_and_again(
    room: Room, valkey: ValkeyServer
) -> None:
    names = [f"c{number}" for number in range(120)]
    chance = random.Random(11)
    async with replaced_whenever_killed(room.market.config) as workers:

        async def commit_jobs() -> None:
            for name in names:
                await room.add(Chore(name=name), dedup=name)
                await asyncio.sleep(0.02)

        committing = asyncio.create_task(commit_jobs())
        for round_ in range(4):
            await until(lambda n=round_: _at_least(room, 10 * (n + 1)), deadline_s=40)
            await asyncio.sleep(chance.uniform(0, 0.2))
            workers[-1].end(signal.SIGKILL)
            if round_ % 2 == 1:
                valkey.kill()
                await valkey.stop()
                await asyncio.sleep(chance.uniform(0, 0.5))
                await valkey.start()
        await committing
        await until(
            lambda: holds(room.value("SELECT count(*) FROM jobs WHERE state = 'done'"), len(names)),
            deadline_s=60,
        )
    assert await room.value("SELECT count(*) FROM marks") == len(names)
    assert await room.value("SELECT count(DISTINCT name) FROM marks") == len(names)
    # The killing hit something: attempts were lost and made up for.
    assert await room.value("SELECT max(attempt) FROM jobs") > 1


async def test_a_worker_that_starts_before_redis_works_once_it_is_there(
    room: Room, valkey: ValkeyServer
) -> None:
    valkey.kill()
    await valkey.stop()
    async with room.worker():
        early = await room.add(Mark(name="early"), dedup="early")
        await asyncio.sleep(0.5)
        assert await room.state(early) == "ready"
        # Not a single attempt was spent on a Redis that was not there.
        assert await room.value("SELECT attempt FROM jobs") == 0
        await valkey.start()
        await until(lambda: holds(room.state(early), "done"))
        # And so it goes when Redis is lost under a running worker.
        valkey.kill()
        await valkey.stop()
        late = await room.add(Mark(name="late"), dedup="late")
        await asyncio.sleep(2.5)
        await valkey.start()
        await until(lambda: holds(room.state(late), "done"), deadline_s=40)
    assert await room.marks("early") == [1]
    assert len(await room.marks("late")) == 1


async def _at_least(room: Room, count: int) -> bool:
    return await room.value("SELECT count(*) FROM marks") >= count
