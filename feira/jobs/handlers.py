"""Every kind of job and who handles it."""

from __future__ import annotations

from typing import Final

from feira.jobs import (
    chargebacks,
    deals,
    housekeeping,
    ledger,
    messaging,
    moderation,
    notifications,
    order_news,
    orders,
    payments,
    payouts,
    products,
    returns,
    users,
)
from feira.jobs.run import Handlers

_ROOMS: Final[tuple[Handlers, ...]] = (
    chargebacks.HANDLERS,
    deals.HANDLERS,
    housekeeping.HANDLERS,
    ledger.HANDLERS,
    messaging.HANDLERS,
    moderation.HANDLERS,
    notifications.HANDLERS,
    order_news.HANDLERS,
    orders.HANDLERS,
    payments.HANDLERS,
    payouts.HANDLERS,
    products.HANDLERS,
    returns.HANDLERS,
    users.HANDLERS,
)


def merge(rooms: tuple[Handlers, ...]) -> Handlers:
    """One table of all rooms' handlers; a kind has exactly one."""
    merged = {job: handler for handlers in rooms for job, handler in handlers.items()}
    assert len(merged) == sum(map(len, rooms)), "a kind of job has one handler"
    return merged


HANDLERS: Final[Handlers] = merge(_ROOMS)
