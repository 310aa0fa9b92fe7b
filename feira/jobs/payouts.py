"""Shops are paid: clearance ends, slots come, and each payout finds its way to the bank."""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun, until_none_is_left
from feira.platform.domain.payout_jobs import (
    AdvancePayout,
    NotifyPayoutFailed,
    ReleaseCleared,
    RunPayouts,
    WatchPayouts,
)
from feira.services.notifications.notifications import notify
from feira.services.payments.releases import release_due
from feira.services.payments.webhooks import WebhookRow, mark_handled
from feira.services.payouts.making import run_payouts
from feira.services.payouts.moving import advance
from feira.services.payouts.notices import failure_notices
from feira.services.payouts.outcomes import apply_payout, apply_transfer, payout_of
from feira.services.payouts.watching import look_after_stale
from feira.sql.database import Tx


async def handle_release_cleared(run: JobRun, _: ReleaseCleared) -> None:
    await until_none_is_left(run, release_due)


async def handle_run_payouts(run: JobRun, _: RunPayouts) -> None:
    await run_payouts(run.market)


async def handle_advance(run: JobRun, job: AdvancePayout) -> None:
    await advance(run.market, job.payout)


async def handle_watch(run: JobRun, _: WatchPayouts) -> None:
    await look_after_stale(run.market)


async def handle_notify_failed(run: JobRun, job: NotifyPayoutFailed) -> None:
    """The shop's team learns that its money came back, and where to look."""
    async with run.market.database.connection() as con:
        notices = await failure_notices(con, job.payout)

    async def tell(tx: Tx) -> int:
        return await notify(tx, notices, effect=f"payout_failed:{job.payout}")

    await run.commit(tell)


async def look_at_transfer(run: JobRun, event: WebhookRow) -> None:
    transfer = await run.market.payments.fetch_transfer(event.subject)
    payout_id = payout_of(transfer.client_reference)

    async def apply(tx: Tx) -> None:
        if payout_id is not None:
            await apply_transfer(tx, payout_id, transfer)
            tx.enqueue(AdvancePayout(payout=payout_id))
        await mark_handled(tx, event)

    await run.commit(apply)


async def look_at_payout(run: JobRun, event: WebhookRow) -> None:
    payout = await run.market.payments.fetch_payout(event.subject, account=event.account)
    payout_id = payout_of(payout.client_reference)

    async def apply(tx: Tx) -> None:
        if payout_id is not None:
            await apply_payout(tx, payout_id, payout)
        await mark_handled(tx, event)

    await run.commit(apply)


HANDLERS: Final[Handlers] = {
    ReleaseCleared: handle_release_cleared,
    RunPayouts: handle_run_payouts,
    AdvancePayout: handle_advance,
    WatchPayouts: handle_watch,
    NotifyPayoutFailed: handle_notify_failed,
}
