"""Deadlines of orders: unpaid ones expire, late ones are cancelled, delivered ones accepted, and so on."""

from __future__ import annotations

from functools import partial
from typing import Final

from feira.jobs.run import Handlers, JobRun, until_none_is_left
from feira.platform.domain.jobs import ExpireUnpaidOrders, FireOrderDeadlines
from feira.services.orders.deadlines import AFTER_PAYMENT, expire_unpaid, fire


async def handle_expire_unpaid(run: JobRun, _: ExpireUnpaidOrders) -> None:
    """Every batch is a transaction of its own, so that no order is held while others are worked off."""
    await until_none_is_left(run, expire_unpaid)


async def handle_fire_deadlines(run: JobRun, _: FireOrderDeadlines) -> None:
    for kind in AFTER_PAYMENT:
        await until_none_is_left(run, partial(fire, kind=kind))


HANDLERS: Final[Handlers] = {
    ExpireUnpaidOrders: handle_expire_unpaid,
    FireOrderDeadlines: handle_fire_deadlines,
}
