"""What the ledger does by the clock: sums that became final are rolled up, and every rule is checked at night."""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.jobs import CheckLedger, RollUpLedger
from feira.services.ledger.balances import roll_up
from feira.services.ledger.checks import examine, record


async def handle_roll_up(run: JobRun, job: RollUpLedger) -> None:
    del job
    await run.commit(roll_up)


async def handle_check(run: JobRun, job: CheckLedger) -> None:
    findings = await examine(run.market.database)
    await run.commit(lambda tx: record(tx, findings, cause="schedule", check_id=job.check))


HANDLERS: Final[Handlers] = {RollUpLedger: handle_roll_up, CheckLedger: handle_check}
