"""Chargebacks: news of disputes, answers to banks, and telling the shops."""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.payout_jobs import NotifyChargeback, SubmitEvidence
from feira.services.chargebacks.answering import give_to_bank
from feira.services.chargebacks.notices import chargeback_notices
from feira.services.chargebacks.outcomes import apply_dispute
from feira.services.notifications.notifications import notify
from feira.services.payments.webhooks import WebhookRow, mark_handled
from feira.sql.database import Tx


async def handle_submit_evidence(run: JobRun, job: SubmitEvidence) -> None:
    await give_to_bank(run.market, job.chargeback)


async def handle_notify(run: JobRun, job: NotifyChargeback) -> None:
    """Each shop's team learns of its part."""
    async with run.market.database.connection() as con:
        notices = await chargeback_notices(con, job.chargeback, job.state)

    async def tell(tx: Tx) -> int:
        return await notify(tx, notices, effect=f"chargeback:{job.chargeback}:{job.state}")

    await run.commit(tell)


async def look_at_dispute(run: JobRun, event: WebhookRow) -> None:
    dispute = await run.market.payments.fetch_dispute(event.subject)

    async def apply(tx: Tx) -> None:
        await apply_dispute(tx, run.market.payments.name, dispute)
        await mark_handled(tx, event)

    await run.commit(apply)


HANDLERS: Final[Handlers] = {
    SubmitEvidence: handle_submit_evidence,
    NotifyChargeback: handle_notify,
}
