"""When people were here last. Others are shown it only by those who want them to (`last_seen_visible`)."""

from __future__ import annotations

from collections.abc import Iterable

from feira.platform.domain.ids import UserId
from feira.services.users.accounts import SQL
from feira.sql.loader import Connection


async def mark_seen(con: Connection, users: Iterable[UserId]) -> None:
    """Write down that some users were here until now."""
    await con.execute(SQL["mark_seen"], list(users))
