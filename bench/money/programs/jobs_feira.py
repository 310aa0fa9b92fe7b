"""Feira's side: python -m bench.money.programs.jobs_feira worker|fill N|ping N, configured by FEIRA_ variables."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time

import uvloop

from feira.app import open_ground
from feira.commands.signals import stop_on_signals
from feira.jobs.run import JobRun
from feira.jobs.worker import run_worker
from feira.platform.domain.jobs import Job
from feira.platform.runtime.config import load_config
from feira.platform.runtime.telemetry import configure_logging
from feira.sql.database import Database, Tx

_JOBS_PER_TRANSACTION = 500


class Work(Job, frozen=True, kw_only=True, tag="bench.work"):
    number: int


async def handle(run: JobRun, job: Work) -> None:
    async def write(tx: Tx) -> None:
        await tx.con.execute("INSERT INTO bench_done (number) VALUES ($1)", job.number)

    await run.commit(write)


async def add(database: Database, numbers: range) -> None:
    async def work(tx: Tx) -> None:
        for number in numbers:
            tx.enqueue(Work(number=number))

    await database.transact(work)


async def main(what: str, count: int) -> None:
    config = load_config(os.environ)
    configure_logging("warning", "console")
    async with open_ground(config) as ground:
        database = ground.market.database
        if what == "worker":
            stop = asyncio.Event()
            stop_on_signals(stop)
            await run_worker(
                ground.market, ground.doorbell, stop, handlers={Work: handle}, schedules=()
            )
        elif what == "fill":
            for first in range(0, count, _JOBS_PER_TRANSACTION):
                await add(database, range(first, min(first + _JOBS_PER_TRANSACTION, count)))
        else:
            began: dict[int, float] = {}
            for number in range(count):
                # Off the beat of whoever polls.
                await asyncio.sleep(random.uniform(0.1, 0.2))
                began[number] = time.time()
                await add(database, range(number, number + 1))
            await asyncio.sleep(1)
            print(json.dumps(began))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
