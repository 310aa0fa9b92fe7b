"""Blocking: whoever is blocked by a member of a conversation says nothing new in it, and opens none with them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.errors import InvalidInput, NotFound, Rejected
from feira.platform.domain.ids import UserId
from feira.platform.domain.messaging_events import BlockChanged
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import inbox_topic
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, load_queries

SQL = load_queries("safety")


class BlockView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom the caller does not want to hear from."""

    user_id: UserId
    display_name: str
    since: datetime


async def block(tx: Tx, principal: Principal, user: UserId) -> None:
    """Hear no more from somebody. What they said stays; doing it again changes nothing.

    Raises:
        InvalidInput: `block.self`.
        NotFound: `user.not_found`: nobody whom the caller has met in a conversation.
        Rejected: `block.staff`: the market's own people can be reached by it.
    """
    if user == principal.user_id:
        raise InvalidInput("block.self", "This is you.", field="path.user")
    is_staff = await tx.con.fetchval(SQL["may_block"], principal.user_id, user)
    if is_staff is None:
        raise NotFound("user.not_found", "There is no such person among those you talk with.")
    if is_staff:
        raise Rejected("block.staff", "This is somebody of the market, who cannot be blocked.")
    if await tx.con.fetchval(SQL["insert_block"], principal.user_id, user):
        tx.emit(inbox_topic(principal.user_id), BlockChanged(user=user, blocked=True))


async def unblock(tx: Tx, principal: Principal, user: UserId) -> None:
    """Hear from somebody again; somebody who is not blocked is fine."""
    if await tx.con.fetchval(SQL["delete_block"], principal.user_id, user):
        tx.emit(inbox_topic(principal.user_id), BlockChanged(user=user, blocked=False))


async def list_blocks(
    con: Connection, user: UserId, *, cursor: UserId | None, limit: int
) -> list[BlockView]:
    """Return whom a user has blocked, after `cursor`."""
    return await fetch_all(con, SQL["list_blocks"], BlockView, user, cursor, limit)
