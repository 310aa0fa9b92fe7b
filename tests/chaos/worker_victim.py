"""A worker process to be killed: python tests/chaos/worker_victim.py SLOW_S, configured by FEIRA_ variables.

Its one kind of job writes a mark after SLOW_S seconds. Leases are short, so that tests need not wait.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any, ClassVar, cast

import uvloop

from feira.commands.signals import stop_on_signals
from feira.jobs.run import JobRun
from feira.jobs.worker import run_worker
from feira.platform.domain.jobs import Job
from feira.platform.runtime.config import load_config
from feira.platform.runtime.doorbell import jobs_doorbell
from feira.services.market import Market
from feira.sql.database import Database, Tx, open_pool
from feira.sql.pulse import Pulse, asking

LEASE_MARGIN_S = 0.5


class Chore(Job, frozen=True, kw_only=True, tag="test.chore"):
    attempts_max: ClassVar[int] = 50
    timeout_s: ClassVar[float] = 2.0
    name: str


async def live(slow_s: float) -> None:
    config = load_config(os.environ)
    doorbell = jobs_doorbell(config)
    pool = await open_pool(config.postgres_dsn, size_min=1, size_max=10)
    database = Database(
        pool,
        on_events=lambda _: None,
        on_jobs=doorbell.ring,
        pulse=Pulse(asking(config.postgres_dsn)),
    )
    absent = cast("Any", None)
    market = Market(
        config=config,
        database=database,
        tokens=absent,
        payments=absent,
        storage=absent,
        search=absent,
        mail=absent,
    )

    async def handle(run: JobRun, job: Chore) -> None:
        await asyncio.sleep(slow_s)

        async def mark(tx: Tx) -> None:
            await tx.con.execute("INSERT INTO marks VALUES ($1, $2)", job.name, run.attempt)

        await run.commit(mark)

    stop = asyncio.Event()
    stop_on_signals(stop)
    await run_worker(
        market,
        doorbell,
        stop,
        handlers={Chore: handle},
        schedules=(),
        sweep_every_s=0.2,
        queued_lease_s=1.0,
        lease_margin_s=LEASE_MARGIN_S,
    )
    await doorbell.close()
    await database.close()


if __name__ == "__main__":
    uvloop.run(live(float(sys.argv[1])))
