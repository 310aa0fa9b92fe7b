"""What the ledger does by the clock: sums that became final are rolled up, providers' lists compared, every rule checked."""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.jobs import CheckLedger, MatchProviderMovements, RollUpLedger
from feira.services.ledger.balances import roll_up
from feira.services.ledger.checks import examine, record
from feira.services.ledger.reconciliation import compare, import_movements


async def handle_roll_up(run: JobRun, job: RollUpLedger) -> None:
    del job
    await run.commit(roll_up)


async def handle_check(run: JobRun, job: CheckLedger) -> None:
    findings = await examine(run.market.database)
    await run.commit(lambda tx: record(tx, findings, cause="schedule", check_id=job.check))


async def handle_reconcile(run: JobRun, job: MatchProviderMovements) -> None:
    del job
    imported = await import_movements(run.market)
    provider = run.market.payments.name
    await run.commit(lambda tx: compare(tx, provider, imported_count=imported))


HANDLERS: Final[Handlers] = {
    RollUpLedger: handle_roll_up,
    CheckLedger: handle_check,
    MatchProviderMovements: handle_reconcile,
}
