"""Refunds, returns and claims: their news, and what silence means."""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun, until_none_is_left
from feira.platform.domain.jobs import EndReturnDeadlines, NotifyRefund, NotifyReturn
from feira.services.notifications.notifications import notify
from feira.services.returns.deadlines import end_one_deadline
from feira.services.returns.notices import refund_notice, return_notices
from feira.sql.database import Tx


async def handle_notify_refund(run: JobRun, job: NotifyRefund) -> None:
    """The buyer is told in the app; how long it takes is the bank's."""
    async with run.market.database.connection() as con:
        notices = await refund_notice(con, job.refund)

    async def tell(tx: Tx) -> int:
        return await notify(tx, notices, effect=f"refund_promised:{job.refund}")

    await run.commit(tell)


async def handle_notify_return(run: JobRun, job: NotifyReturn) -> None:
    """The other side is told in the app; by mail it hears of the unread conversation."""
    async with run.market.database.connection() as con:
        notices = await return_notices(con, job)

    async def tell(tx: Tx) -> int:
        return await notify(tx, notices, effect=f"return:{job.returned}:{job.fact}")

    await run.commit(tell)


async def handle_end_deadlines(run: JobRun, _: EndReturnDeadlines) -> None:
    """Each return in a transaction of its own, so that no order is held while others are worked off."""
    await until_none_is_left(run, lambda tx: end_one_deadline(tx, run.market.config))


HANDLERS: Final[Handlers] = {
    NotifyRefund: handle_notify_refund,
    NotifyReturn: handle_notify_return,
    EndReturnDeadlines: handle_end_deadlines,
}
