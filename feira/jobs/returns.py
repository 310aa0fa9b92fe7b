"""Refunds, returns and claims: their news."""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.jobs import NotifyRefund
from feira.services.notifications.notifications import notify
from feira.services.returns.notices import refund_notice
from feira.sql.database import Tx


async def handle_notify_refund(run: JobRun, job: NotifyRefund) -> None:
    """The buyer is told in the app; how long it takes is the bank's."""
    async with run.market.database.connection() as con:
        notices = await refund_notice(con, job.refund)

    async def tell(tx: Tx) -> int:
        return await notify(tx, notices, effect=f"refund_promised:{job.refund}")

    await run.commit(tell)


HANDLERS: Final[Handlers] = {NotifyRefund: handle_notify_refund}
