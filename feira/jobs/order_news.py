"""Tells an order's sides what happened to it, and what is about to: by mail, then in the app."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.ids import UserId
from feira.platform.domain.jobs import NotifyOrderMoved, RemindOfDeadline
from feira.platform.domain.notices import OrderMovedNotice
from feira.platform.domain.order_news import NEWS, REMINDERS, news_text
from feira.services.notifications.mails import order_moved_mail
from feira.services.notifications.notifications import notify
from feira.services.notifications.readers import (
    OrderFacts,
    list_people,
    list_team,
    read_order,
)
from feira.services.orders.deadlines import runs_until
from feira.sql.database import Tx


async def handle_order_moved(run: JobRun, job: NotifyOrderMoved) -> None:
    """Everybody of the sides that it concerns, but for whoever did it."""
    sides, _ = NEWS[job.fact]
    async with run.market.database.connection() as con:
        order = await read_order(con, job.order)
        people: set[UserId] = {order.buyer_id} if "buyer" in sides else set()
        if "seller" in sides:
            people |= set(await list_team(con, order.shop_id))
    text = news_text(
        job.fact,
        number=order.number,
        refund_minor=job.refund_minor,
        currency=order.currency,
    )
    notice = _notice(order, f"order.{job.fact}", text, job.reason)
    await _tell(run, people - {job.actor}, notice, f"order_moved:{order.id}:{job.version}")


async def handle_deadline(run: JobRun, job: RemindOfDeadline) -> None:
    """Whoever has something to lose by it."""
    side, _, text = REMINDERS[job.deadline]
    async with run.market.database.connection() as con:
        if await runs_until(con, job.order, job.deadline) != job.due_at:
            return
        order = await read_order(con, job.order)
        people = [order.buyer_id] if side == "buyer" else await list_team(con, order.shop_id)
    notice = _notice(order, f"deadline.{job.deadline}", text.format(number=order.number), "")
    effect = f"deadline:{order.id}:{job.deadline}:{job.due_at.isoformat()}"
    await _tell(run, people, notice, effect)


def _notice(order: OrderFacts, cause: str, text: str, reason: str) -> OrderMovedNotice:
    return OrderMovedNotice(
        order=order.id,
        number=order.number,
        shop=order.shop_id,
        shop_name=order.shop_name,
        cause=cause,
        text=text,
        reason=reason,
    )


async def _tell(
    run: JobRun, users: Iterable[UserId], notice: OrderMovedNotice, effect: str
) -> None:
    users = list(users)
    async with run.market.database.connection() as con:
        people = await list_people(con, users)
    for person in people:
        await run.market.mail.send(
            order_moved_mail(
                person.email,
                person.display_name,
                text=notice.text,
                reason=notice.reason,
                link=f"{run.market.config.public_url}/orders/{notice.order}",
                idempotency_key=f"{effect}:{person.id}",
            )
        )

    async def tell(tx: Tx) -> int:
        return await notify(tx, dict.fromkeys(users, notice), effect=effect)

    await run.commit(tell)


HANDLERS: Final[Handlers] = {
    NotifyOrderMoved: handle_order_moved,
    RemindOfDeadline: handle_deadline,
}
