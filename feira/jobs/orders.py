"""Deadlines of orders: unpaid ones expire, delivered ones are accepted."""

from __future__ import annotations

from typing import Final

from feira.jobs.run import Handlers, JobRun, until_none_is_left
from feira.platform.domain.jobs import AcceptDeliveredOrders, ExpireUnpaidOrders
from feira.services.orders.deadlines import accept_delivered, expire_unpaid


async def handle_expire_unpaid(run: JobRun, _: ExpireUnpaidOrders) -> None:
    """Every batch is a transaction of its own, so that no order is held while others are worked off."""
    await until_none_is_left(run, expire_unpaid)


async def handle_accept_delivered(run: JobRun, _: AcceptDeliveredOrders) -> None:
    await until_none_is_left(run, accept_delivered)


HANDLERS: Final[Handlers] = {
    ExpireUnpaidOrders: handle_expire_unpaid,
    AcceptDeliveredOrders: handle_accept_delivered,
}
