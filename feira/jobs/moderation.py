"""The news of a report that was decided."""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.jobs import NotifyReportDecided
from feira.services.messaging.moderation import notices_of_report
from feira.services.notifications.notifications import notify
from feira.sql.database import Tx


async def handle_report_decided(run: JobRun, job: NotifyReportDecided) -> None:
    """The reporter learns how it ended, and whoever was limited until when."""
    async with run.market.database.connection() as con:
        notices = await notices_of_report(con, job.report)

    async def tell(tx: Tx) -> int:
        return await notify(tx, notices, effect=f"report:{job.report}")

    await run.commit(tell)


HANDLERS: Final[Handlers] = {NotifyReportDecided: handle_report_decided}
