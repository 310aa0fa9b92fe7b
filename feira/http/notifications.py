"""The caller's notifications."""

from __future__ import annotations

from typing import Final

from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.services.notifications.notifications import (
    MarkRead,
    NotificationFilter,
    NotificationPage,
    ReadStateView,
    list_notifications,
    mark_read,
)
from feira.sql.database import Tx


@endpoint(
    "GET",
    "/v1/notifications",
    service="notifications",
    summary="List the caller's notifications, the newest first.",
)
async def list_mine(call: Call, query: NotificationFilter) -> NotificationPage:
    """New ones arrive on the topic `inbox:{user}` as `notification.created`."""
    async with call.market.database.connection() as con:
        return await list_notifications(con, call.principal, query)


@endpoint(
    "POST",
    "/v1/notifications/read",
    service="notifications",
    summary="Mark notifications read on every device.",
)
async def mark_mine_read(call: Call, body: MarkRead) -> ReadStateView:
    """Other devices learn of it on the topic `inbox:{user}` as `notification.read_state`."""

    async def work(tx: Tx) -> ReadStateView:
        return await mark_read(tx, call.principal, body)

    return await call.transact(ReadStateView, work)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (list_mine, mark_mine_read)
