"""Worker processes to be killed, configured by FEIRA_ variables. Leases are short, so that tests need not wait.

python -m tests.chaos.worker_victim SLOW_S     one worker whose jobs take so long
python -m tests.chaos.worker_victim --forking  for each failpoint read from the standard input, a worker that is
                                               killed there; its end is said on the standard output
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any, ClassVar, Final, cast

import uvloop

from feira.commands.signals import stop_on_signals
from feira.jobs.run import Handler, JobRun
from feira.jobs.schedule import Schedule
from feira.jobs.worker import run_worker
from feira.platform.domain.jobs import Job
from feira.platform.runtime.config import load_config
from feira.platform.runtime.doorbell import jobs_doorbell
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.sql.database import Database, Tx, open_pool
from feira.sql.pulse import Pulse, asking
from tests.chaos.killed_at import arm_by

LEASE_MARGIN_S: Final = 0.5
REACHES_ITS_FAILPOINT_WITHIN_S: Final = 30
# One slot for the length of any test, almost always.
A_YEAR_S: Final = 31_536_000


class Chore(Job, frozen=True, kw_only=True, tag="test.chore"):
    attempts_max: ClassVar[int] = 50
    timeout_s: ClassVar[float] = 2.0
    name: str
    fails: int = 0
    """So many attempts fail first."""


def chore_handler(slow_s: float) -> Handler:
    """Call outside, with a key, as often as it takes; then write a mark in the job's own commit."""

    async def handle(run: JobRun, job: Chore) -> None:
        await asyncio.sleep(slow_s)
        if run.attempt <= job.fails:
            raise ValueError("on purpose")
        failpoint("victim.calling")
        # Another company's: it commits by itself, and knows a repeated call by its key.
        async with run.market.database.connection() as con:
            await con.execute(
                "INSERT INTO outside VALUES ($1, 1)"
                " ON CONFLICT (key) DO UPDATE SET calls = outside.calls + 1",
                job.name,
            )
        failpoint("victim.called")

        async def mark(tx: Tx) -> None:
            await tx.con.execute("INSERT INTO marks VALUES ($1, $2)", job.name, run.attempt)

        await run.commit(mark)

    return handle


SCHEDULE: Final = Schedule(
    name="test.chores", every_s=A_YEAR_S, job=lambda _: Chore(name="scheduled")
)


async def live(slow_s: float, schedules: tuple[Schedule, ...] = ()) -> None:
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
    stop = asyncio.Event()
    stop_on_signals(stop)
    await run_worker(
        market,
        doorbell,
        stop,
        handlers={Chore: chore_handler(slow_s)},
        schedules=schedules,
        sweep_every_s=0.2,
        queued_lease_s=1.0,
        lease_margin_s=LEASE_MARGIN_S,
    )
    await doorbell.close()
    await database.close()


def fork_for_each_failpoint() -> None:
    """Forked from here, a worker starts without importing anything anew."""
    for line in sys.stdin:
        point = line.strip()
        pid = os.fork()
        if pid == 0:
            # Another signal's end than the failpoint's.
            signal.alarm(REACHES_ITS_FAILPOINT_WITHIN_S)
            arm_by(point)
            # Its log is for nobody.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            uvloop.run(live(0, (SCHEDULE,) if point.startswith("schedule.") else ()))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "exit"
        print(point, ended, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--forking":
        fork_for_each_failpoint()
    else:
        uvloop.run(live(float(sys.argv[1])))
