"""Tells people: first by mail, then, with the job's end, in the app.

A mail's key names its effect, so that an attempt that comes after a lost one sends no second copy.
"""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.ids import UserId
from feira.platform.domain.jobs import NotifyOrderPaid, NotifyOrderShipped, NotifyUnreadMessages
from feira.platform.domain.notices import (
    Notice,
    OrderPaidNotice,
    OrderReceivedNotice,
    OrderShippedNotice,
    UnreadMessagesNotice,
)
from feira.services.notifications.mails import (
    order_paid_mail,
    order_received_mail,
    order_shipped_mail,
    unread_messages_mail,
)
from feira.services.notifications.notifications import notify
from feira.services.notifications.readers import (
    list_people,
    list_team,
    read_order,
    read_parcel,
    read_unread,
)
from feira.sql.database import Tx


async def handle_order_paid(run: JobRun, job: NotifyOrderPaid) -> None:
    """The buyer learns that the payment arrived, the shop's team that there is something to ship."""
    effect = f"order_paid:{job.order}"
    async with run.market.database.connection() as con:
        order = await read_order(con, job.order)
        team = await list_team(con, order.shop_id)
        people = await list_people(con, {order.buyer_id, *team})
    link = f"{run.market.config.public_url}/orders/{order.id}"
    for person in people:
        if person.id == order.buyer_id:
            mail = order_paid_mail(
                person.email,
                person.display_name,
                shop_name=order.shop_name,
                number=order.number,
                total_minor=order.total_minor,
                currency=order.currency,
                link=link,
                idempotency_key=f"{effect}:{person.id}",
            )
        else:
            mail = order_received_mail(
                person.email,
                person.display_name,
                shop_name=order.shop_name,
                buyer_name=order.buyer_name,
                number=order.number,
                total_minor=order.total_minor,
                currency=order.currency,
                link=link,
                idempotency_key=f"{effect}:{person.id}",
            )
        await run.market.mail.send(mail)
    received = OrderReceivedNotice(
        order=order.id,
        number=order.number,
        shop=order.shop_id,
        shop_name=order.shop_name,
        buyer_name=order.buyer_name,
        total_minor=order.total_minor,
        currency=order.currency,
    )
    paid = OrderPaidNotice(
        order=order.id,
        number=order.number,
        shop=order.shop_id,
        shop_name=order.shop_name,
        total_minor=order.total_minor,
        currency=order.currency,
    )
    notices: dict[UserId, Notice] = dict.fromkeys(team, received)
    notices[order.buyer_id] = paid

    async def tell(tx: Tx) -> int:
        return await notify(tx, notices, effect=effect)

    await run.commit(tell)


async def handle_order_shipped(run: JobRun, job: NotifyOrderShipped) -> None:
    """The buyer learns of the parcel."""
    effect = f"order_shipped:{job.shipment}"
    async with run.market.database.connection() as con:
        order = await read_order(con, job.order)
        parcel = await read_parcel(con, job.order, job.shipment)
        people = await list_people(con, [order.buyer_id])
    for person in people:
        await run.market.mail.send(
            order_shipped_mail(
                person.email,
                person.display_name,
                shop_name=order.shop_name,
                number=order.number,
                carrier=parcel.carrier,
                tracking_number=parcel.tracking_number,
                link=f"{run.market.config.public_url}/orders/{order.id}",
                idempotency_key=f"{effect}:{person.id}",
            )
        )
    shipped = OrderShippedNotice(
        order=order.id,
        number=order.number,
        shop=order.shop_id,
        shop_name=order.shop_name,
        shipment=job.shipment,
        carrier=parcel.carrier,
        tracking_number=parcel.tracking_number,
    )

    async def tell(tx: Tx) -> int:
        return await notify(tx, {order.buyer_id: shipped}, effect=effect)

    await run.commit(tell)


async def handle_unread_messages(run: JobRun, job: NotifyUnreadMessages) -> None:
    """A member who still has not read the message that began the streak is told, once a streak."""
    effect = f"unread:{job.conversation}:{job.seq}"
    async with run.market.database.connection() as con:
        unread = await read_unread(con, job.conversation, job.user)
        if unread is None or unread.read_seq >= job.seq or unread.sender_id == job.user:
            return
        people = await list_people(con, [job.user])
    for person in people:
        await run.market.mail.send(
            unread_messages_mail(
                person.email,
                person.display_name,
                sender_name=unread.sender_name,
                count=unread.count,
                link=f"{run.market.config.public_url}/chat/{job.conversation}",
                idempotency_key=f"{effect}:{person.id}",
            )
        )
    notice = UnreadMessagesNotice(
        conversation=job.conversation, sender_name=unread.sender_name, count=unread.count
    )

    async def tell(tx: Tx) -> int:
        return await notify(tx, {job.user: notice}, effect=effect)

    await run.commit(tell)


HANDLERS: Final[Handlers] = {
    NotifyOrderPaid: handle_order_paid,
    NotifyOrderShipped: handle_order_shipped,
    NotifyUnreadMessages: handle_unread_messages,
}
