"""Writes down when people were here last: those whose last socket on this node went, together, a moment later."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from feira.platform.domain.errors import FeiraError
from feira.platform.domain.ids import UserId
from feira.platform.runtime.tasks import TaskOwner
from feira.services.users.last_seen import mark_seen
from feira.sql.database import Database

log = structlog.get_logger("feira.actors")

# A node that drains, or a page that is loaded anew, is one statement for all.
WITHIN_S: Final = 1.0
AGAIN_AFTER_S: Final = 5.0
USERS_PER_STATEMENT: Final = 500


class LastSeen:
    """One a node. What a node that dies has not written yet is lost: it is a hint, exact to the last second."""

    def __init__(self, database: Database, *, tasks: TaskOwner) -> None:
        self._database = database
        self._tasks = tasks
        self._gone: set[UserId] = set()
        self._writing = False

    def left(self, user: UserId) -> None:
        """The user has no socket on this node any more."""
        self._gone.add(user)
        if not self._writing:
            self._writing = True
            self._tasks.start(self._write_soon(), name="last-seen")

    async def close(self) -> None:
        """Write what waits: the sockets of a node that ends have just gone. Its own tasks have ended."""
        await self._write()

    async def _write_soon(self) -> None:
        try:
            pause_s = WITHIN_S
            while self._gone:
                await asyncio.sleep(pause_s)
                pause_s = WITHIN_S if await self._write() else AGAIN_AFTER_S
        finally:
            self._writing = False

    async def _write(self) -> bool:
        while self._gone:
            users = list(self._gone)[:USERS_PER_STATEMENT]
            self._gone.difference_update(users)
            try:
                async with self._database.connection() as con:
                    await mark_seen(con, users)
            except FeiraError as error:
                log.warning("last_seen_not_written", users=len(users), error=error.code)
                self._gone.update(users)
                return False
        return True
