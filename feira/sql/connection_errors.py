"""What asyncpg raises, as the errors that Feira's callers know."""

from __future__ import annotations

from typing import Final

import asyncpg

from feira.platform.domain.errors import Conflict, FeiraError, Unavailable
from feira.sql.loader import Connection

# The server is away, starting, stopping or failing over: nothing is wrong with the request.
AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.QueryCanceledError,
)


def explained(error: BaseException, con: Connection) -> FeiraError | None:
    """What to raise instead of what went wrong while `con` was lent; None for bugs, and what callers handle."""
    if isinstance(error, asyncpg.InterfaceError):
        return unavailable() if is_gone(con) else None
    if isinstance(error, asyncpg.InternalClientError):
        # It was lent between the server's last word and the end of the stream.
        con.terminate()
        return unavailable()
    if isinstance(error, asyncpg.LockNotAvailableError):
        return Conflict(
            "database.busy", "Somebody else is changing this right now; please try again."
        )
    return unavailable() if isinstance(error, AWAY) else None


def unavailable() -> Unavailable:
    return Unavailable(
        "database.unavailable",
        "The database cannot be reached right now; nothing is lost, please try again.",
        retry_after_s=2,
    )


def is_gone(con: Connection) -> bool:
    """Tell a connection that broke from one that was used wrongly: asyncpg names both `InterfaceError`."""
    try:
        return con.is_closed()
    except asyncpg.InterfaceError:
        # Cut while it was lent: the pool has taken it back already.
        return True
