"""The market's own accounts: they have no balance rows, so what became final is rolled up, and only the rest is added."""

from __future__ import annotations

from typing import Final

import msgspec

from feira.platform.domain.ledger import AccountKind
from feira.platform.domain.permissions import Principal, require
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, load_queries

SQL: Final = load_queries("ledger")


class AccountBalance(msgspec.Struct, frozen=True, kw_only=True):
    """`owner` is the provider of `psp`, else empty. Kinds of shops, orders and chargebacks are summed up.

    Positive in the account's normal direction: what `psp` holds, what `commission` earned, what `fees` cost.
    """

    kind: AccountKind
    owner: str
    currency: str
    balance_minor: int


class BalanceSheet(msgspec.Struct, frozen=True, kw_only=True):
    items: list[AccountBalance]


async def read_balance_sheet(con: Connection, principal: Principal) -> BalanceSheet:
    """All accounts by kind and currency, of one snapshot."""
    require("ledger.read", principal)
    return BalanceSheet(items=await fetch_all(con, SQL["read_market_balances"], AccountBalance))


async def roll_up(tx: Tx) -> int | None:
    """Add what became final since the last time; the new mark, or None where nothing could.

    A transaction is final once it is below `pg_snapshot_xmin`: nothing that is still running may yet appear
    below it. A long transaction anywhere only makes the mark wait.
    """
    return await tx.con.fetchval(SQL["roll_up"])
