"""Deadlines of orders: unpaid ones expire, late ones are cancelled, delivered ones accepted, and so on."""

from __future__ import annotations

from functools import partial
from typing import Final

import asyncpg
import structlog

from feira.jobs.run import Handlers, JobRun, until_none_is_left
from feira.platform.domain.errors import FeiraError
from feira.platform.domain.jobs import ExpireUnpaidOrders, FireOrderDeadlines
from feira.platform.domain.order_commands import DeadlineKind
from feira.services.orders.deadlines import (
    AFTER_PAYMENT,
    expire_unpaid,
    fire,
    fire_one,
    list_due,
    put_off,
)

log = structlog.get_logger(__name__)

# What an order may be refused with, or run into, by a bug of ours or by hand-made data.
_FAULTS: Final = (FeiraError, AssertionError, asyncpg.PostgresError)


async def handle_expire_unpaid(run: JobRun, _: ExpireUnpaidOrders) -> None:
    """Every batch is a transaction of its own, so that no order is held while others are worked off."""
    await until_none_is_left(run, expire_unpaid)


async def handle_fire_deadlines(run: JobRun, _: FireOrderDeadlines) -> None:
    """An order whose deadline cannot be carried out keeps no other one from its own."""
    for kind in AFTER_PAYMENT:
        try:
            await until_none_is_left(run, partial(fire, kind=kind))
        except _FAULTS as fault:
            if isinstance(fault, FeiraError) and fault.retryable:
                raise
            await _fire_one_by_one(run, kind)


async def _fire_one_by_one(run: JobRun, kind: DeadlineKind) -> None:
    """Find out which order of a failed batch it was; the others go on."""
    database = run.market.database
    async with database.connection() as con:
        due = await list_due(con, kind)
    for order in due:
        try:
            await database.transact(partial(fire_one, kind=kind, order_id=order))
        except _FAULTS as fault:
            if isinstance(fault, FeiraError) and fault.retryable:
                raise
            log.exception("order_deadline_failed", order=str(order), deadline=kind)
            await database.transact(partial(put_off, kind=kind, order_id=order))


HANDLERS: Final[Handlers] = {
    ExpireUnpaidOrders: handle_expire_unpaid,
    FireOrderDeadlines: handle_fire_deadlines,
}
