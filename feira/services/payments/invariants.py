"""What must always be true of the money, each a query that gives no rows. Run in tests, every night, and on request by operators."""

from __future__ import annotations

from typing import Final

import msgspec

from feira.sql.loader import Connection, load_queries

SQL = load_queries("invariants")

_PREFIX: Final = "invariant_"
INVARIANTS: Final = tuple(name.removeprefix(_PREFIX) for name in SQL if name.startswith(_PREFIX))

# Enough of each to see what is wrong; a broken rule may be broken in every row.
FINDINGS_MAX: Final = 100
# The books of years are read for some of them.
TIMEOUT_S: Final = 300.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One row that breaks an invariant. `subject` is a currency, key, account, order, payment or refund."""

    invariant: str
    subject: str
    detail: str


async def check(con: Connection) -> list[Finding]:
    """Check every invariant on one snapshot; at most `FINDINGS_MAX` findings of each come back."""
    findings: list[Finding] = []
    async with con.transaction(isolation="repeatable_read", readonly=True):
        for name in INVARIANTS:
            cursor = await con.cursor(SQL[_PREFIX + name], timeout=TIMEOUT_S)
            findings += [
                Finding(invariant=name, subject=row["subject"], detail=row["detail"])
                for row in await cursor.fetch(FINDINGS_MAX, timeout=TIMEOUT_S)
            ]
    return findings
