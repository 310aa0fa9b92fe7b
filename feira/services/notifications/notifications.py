"""The list of notifications each user has in the app, alike on every device."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import InvalidInput
from feira.platform.domain.ids import NotificationId, UserId
from feira.platform.domain.notices import Notice
from feira.platform.domain.notification_events import NotificationCreated, ReadState
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import inbox_topic
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, load_queries

SQL = load_queries("notifications")

# Counting stops here; a page shows "999+" beyond 999.
UNREAD_COUNT_MAX: Final = 1000
IDS_MAX: Final = 100


class NotificationView(msgspec.Struct, frozen=True, kw_only=True):
    """One notification; `kind` is that of `data`."""

    id: NotificationId
    kind: str
    data: Notice
    created_at: datetime
    read_at: datetime | None


class NotificationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next_cursor` is null on the last page. `unread` counts all, up to 1,000."""

    items: list[NotificationView]
    next_cursor: str | None
    unread: int


class NotificationFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before; `unread=true` leaves the read ones out."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: NotificationId | None = None
    unread: bool = False


class MarkRead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either some `ids`, or everything `up_to` and including one."""

    ids: Annotated[list[NotificationId], Meta(min_length=1, max_length=IDS_MAX)] | None = None
    up_to: NotificationId | None = None


class ReadStateView(msgspec.Struct, frozen=True, kw_only=True):
    """How many are unread now."""

    unread: int


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: NotificationId
    kind: str
    data: msgspec.Raw
    created_at: datetime
    read_at: datetime | None


async def notify(tx: Tx, notices: dict[UserId, Notice], *, effect: str) -> int:
    """Tell each user one thing, once per `effect` however often it is asked for; return how many were told.

    Users are taken in the order of their ids, so that two tellers never wait for each other.
    """
    told = 0
    for user, notice in sorted(notices.items()):
        await tx.con.execute(SQL["lock_inbox"], user)
        kind = str(type(notice).__struct_config__.tag)
        row = await tx.con.fetchrow(
            SQL["insert_notification"],
            user,
            kind,
            msgspec.Raw(msgspec.json.encode(notice)),
            f"{effect}:{user}",
            tx.now,
        )
        if row is None:
            continue
        told += 1
        tx.emit(
            inbox_topic(user),
            NotificationCreated(
                notification=row["id"],
                data=notice,
                created_at=row["created_at"],
                unread=await count_unread(tx.con, user),
            ),
        )
    return told


async def list_notifications(
    con: Connection, principal: Principal, wanted: NotificationFilter
) -> NotificationPage:
    """Return a page of the caller's notifications."""
    statement = SQL["list_unread"] if wanted.unread else SQL["list_notifications"]
    rows = await fetch_all(con, statement, _Row, principal.user_id, wanted.cursor, wanted.limit + 1)
    page = rows[: wanted.limit]
    return NotificationPage(
        items=[_view(row) for row in page],
        next_cursor=str(page[-1].id) if len(rows) > len(page) else None,
        unread=await count_unread(con, principal.user_id),
    )


async def mark_read(tx: Tx, principal: Principal, command: MarkRead) -> ReadStateView:
    """Mark notifications of the caller read; unknown and already read ones are passed over.

    Raises:
        InvalidInput: `notifications.which`: not exactly one of `ids` and `up_to`.
    """
    if (command.ids is None) == (command.up_to is None):
        raise InvalidInput(
            "notifications.which", "Give either ids or up_to, to say which were read.", field="$"
        )
    user = principal.user_id
    await tx.con.execute(SQL["lock_inbox"], user)
    if command.ids is not None:
        changed = await tx.con.fetch(SQL["mark_read"], user, command.ids, tx.now)
    else:
        changed = await tx.con.fetch(SQL["mark_read_up_to"], user, command.up_to, tx.now)
    unread = await count_unread(tx.con, user)
    if changed:
        # The ids of a long list are not repeated: `up_to` says the same.
        ids = None if command.ids is None else [row["id"] for row in changed]
        tx.emit(inbox_topic(user), ReadState(ids=ids, up_to=command.up_to, unread=unread))
    return ReadStateView(unread=unread)


async def count_unread(con: Connection, user: UserId) -> int:
    """How many notifications a user has not read, counted up to `UNREAD_COUNT_MAX`."""
    return int(await con.fetchval(SQL["count_unread"], user, UNREAD_COUNT_MAX))


def _view(row: _Row) -> NotificationView:
    return NotificationView(
        id=row.id,
        kind=row.kind,
        data=msgspec.json.decode(row.data, type=Notice),
        created_at=row.created_at,
        read_at=row.read_at,
    )
