"""A connection that one task keeps, because it has one statement after the other to run.

A lease from the pool costs three turns of the loop, which is much of a statement that takes a quarter of a
millisecond; and whoever keeps one never waits behind a crowd.
"""

from __future__ import annotations

from types import TracebackType
from typing import cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from feira.sql.connection_errors import AWAY, explained, is_gone, unavailable
from feira.sql.loader import Connection
from feira.sql.pulse import Pulse


class KeptConnection:
    """`async with kept as con`, by one task at a time; raises what `Database.connection` does. It lends anew what broke."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], pulse: Pulse, *, within_s: float
    ) -> None:
        self._pool = pool
        self._pulse = pulse
        self._within_s = within_s
        self._lent: PoolConnectionProxy[asyncpg.Record] | None = None
        self._con: Connection | None = None

    async def __aenter__(self) -> Connection:
        if self._pulse.is_away:
            raise unavailable()
        con = self._con
        if con is None or is_gone(con):
            await self.give_back()
            con = self._con = await self._lend()
        self._pulse.watch(con)
        return con

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        assert self._con is not None, "it is left by who entered"
        self._pulse.unwatch(self._con)
        if error is not None and (known := explained(error, self._con)) is not None:
            raise known from error

    async def give_back(self) -> None:
        """Return it to the pool, which may close then."""
        self._con = None
        if self._lent is not None:
            lent, self._lent = self._lent, None
            await self._pool.release(lent)

    async def _lend(self) -> Connection:
        try:
            self._lent = await self._pool.acquire(timeout=self._within_s)
        except AWAY as error:
            raise unavailable() from error
        except asyncpg.InterfaceError as error:
            if self._pool.is_closing():
                raise unavailable() from error
            raise
        return cast("Connection", self._lent)
