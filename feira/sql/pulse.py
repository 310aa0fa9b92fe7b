"""Noticing that Postgres is silent: it hangs, or the network swallows what is sent.

A broken connection raises by itself; a silent one would keep requests waiting for their statement's time-out.
So a lease that takes suspiciously long makes this ask on a connection of its own:

    here --a lease is old, and two questions in a row find no answer--> away --a question is answered--> here

While Postgres is away its leases are cut, which ends their statements, and new ones are refused at once. A
statement that is merely slow is left alone: Postgres answers the question beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import structlog

from feira.sql.loader import Connection

SUSPICIOUS_AFTER_S: Final = 0.6
LOOK_EVERY_S: Final = 0.2
ANSWER_WITHIN_S: Final = 1.0
SILENT_TIMES: Final = 2

log = structlog.get_logger("feira.sql")


class Pulse:
    """`ask` returns when Postgres answers. The task starts with the first lease, and ends with `close`."""

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._leases: dict[Connection, float] = {}
        self._watcher: asyncio.Task[None] | None = None
        self.is_away = False

    def watch(self, con: Connection) -> None:
        """Cut the connection if Postgres falls silent before `unwatch`."""
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch_for_ever(), name="postgres-pulse")
        self._leases[con] = time.monotonic()

    def unwatch(self, con: Connection) -> None:
        self._leases.pop(con, None)

    async def close(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None

    async def _watch_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.is_away:
                if await self._answers():
                    log.warning("postgres_answers_again")
                    self.is_away = False
            elif self._is_suspicious() and not await self._answers_now_or_soon():
                log.warning("postgres_silent", leases_cut=len(self._leases))
                self.is_away = True
                self._cut_leases()

    def _is_suspicious(self) -> bool:
        # The oldest comes first.
        oldest = next(iter(self._leases.values()), None)
        return oldest is not None and time.monotonic() - oldest > SUSPICIOUS_AFTER_S

    async def _answers_now_or_soon(self) -> bool:
        # More than once: this process may have been held up itself.
        for _ in range(SILENT_TIMES):
            if await self._answers():
                return True
        return False

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._ask()
        except asyncpg.CannotConnectNowError:
            # Starting or stopping; nothing that is cut now would have been answered.
            return False
        except asyncpg.PostgresError:
            # An error is an answer, such as that there are too many connections.
            return True
        except (OSError, TimeoutError, asyncpg.InterfaceError):
            return False
        return True

    def _cut_leases(self) -> None:
        for con in list(self._leases):
            con.terminate()


def asking(dsn: str) -> Callable[[], Awaitable[None]]:
    """Ask Postgres at `dsn` on a new connection, as everybody does who waits for one."""

    async def ask() -> None:
        con = await asyncpg.connect(dsn, timeout=ANSWER_WITHIN_S)
        con.terminate()

    return ask
