"""Deadlines of orders: unpaid ones expire, delivered ones are accepted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.jobs import AcceptDeliveredOrders, ExpireUnpaidOrders
from feira.services.orders.deadlines import accept_delivered, expire_unpaid
from feira.sql.database import Tx

# A run ends even when deadlines arrive as fast as they are worked off; the next slot goes on.
_BATCHES_MAX: Final = 100


async def handle_expire_unpaid(run: JobRun, _: ExpireUnpaidOrders) -> None:
    """Every batch is a transaction of its own, so that no order is held while others are worked off."""
    await _until_none_is_left(run, expire_unpaid)


async def handle_accept_delivered(run: JobRun, _: AcceptDeliveredOrders) -> None:
    await _until_none_is_left(run, accept_delivered)


async def _until_none_is_left(run: JobRun, batch: Callable[[Tx], Awaitable[int]]) -> None:
    # Any number of these may run at once: they pass by each other's locked orders.
    for _ in range(_BATCHES_MAX):
        if await run.market.database.transact(batch) == 0:
            return


HANDLERS: Final[Handlers] = {
    ExpireUnpaidOrders: handle_expire_unpaid,
    AcceptDeliveredOrders: handle_accept_delivered,
}
