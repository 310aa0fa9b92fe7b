"""Forgets what nobody will ask for again."""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.jobs import Purge
from feira.services.users.expiry import forget_expired
from feira.sql.jobs import purge_step

BATCH: Final = 1000


async def handle_purge(run: JobRun, job: Purge) -> None:
    """Delete in small steps, each a statement of its own, so that nobody waits for a long one."""
    del job
    for name in ("purge_jobs", "purge_fires", "purge_idempotency_keys"):
        while True:
            async with run.market.database.connection() as con:
                if await purge_step(con, name, limit=BATCH) < BATCH:
                    break
    while await run.market.database.transact(lambda tx: forget_expired(tx, limit=BATCH)):
        pass


HANDLERS: Final[Handlers] = {Purge: handle_purge}
