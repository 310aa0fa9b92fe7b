"""Forgetting sessions and links that nobody can use any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from feira.services.users.sessions import REFRESH_LIFETIME
from feira.sql.database import Tx
from feira.sql.loader import load_queries

SQL = load_queries("users")

# Kept a while past their end, so that a complaint can still be looked into.
KEPT: Final = timedelta(days=7)
_FORGETTING: Final = {
    "forget_refresh_tokens": KEPT,
    "forget_sessions": REFRESH_LIFETIME + KEPT,
    "forget_one_time_tokens": KEPT,
}


async def forget_expired(tx: Tx, *, limit: int) -> int:
    """Forget up to `limit` of each kind and return how many went; call again until it is 0."""
    forgotten = 0
    for name, age in _FORGETTING.items():
        status = await tx.con.execute(SQL[name], tx.now - age, limit)
        # PostgreSQL answers "DELETE 12".
        forgotten += int(status.rpartition(" ")[2])
    return forgotten
