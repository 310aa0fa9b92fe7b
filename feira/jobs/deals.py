"""Offers: the news of each step, and the end of those that nobody answered in time."""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun, until_none_is_left
from feira.platform.domain.jobs import ExpireOffers, NotifyOffer
from feira.services.deals.notices import notices_of
from feira.services.deals.offers import expire_offers
from feira.services.notifications.notifications import notify
from feira.sql.database import Tx


async def handle_notify_offer(run: JobRun, job: NotifyOffer) -> None:
    """The side that did not do it is told in the app; by mail it hears of the unread conversation."""
    async with run.market.database.connection() as con:
        notices = await notices_of(con, job.offer, job.step)

    async def tell(tx: Tx) -> int:
        return await notify(tx, notices, effect=f"offer:{job.offer}:{job.step}")

    await run.commit(tell)


async def handle_expire_offers(run: JobRun, _: ExpireOffers) -> None:
    await until_none_is_left(run, expire_offers)


HANDLERS: Final[Handlers] = {
    NotifyOffer: handle_notify_offer,
    ExpireOffers: handle_expire_offers,
}
