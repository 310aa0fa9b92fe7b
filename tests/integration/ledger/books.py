"""What tests write into the ledger themselves."""

from __future__ import annotations

from itertools import count
from typing import get_args

from feira.platform.domain.ledger import AccountKind, LedgerAccount, LedgerTransaction, Posting
from feira.services.payments.ledger import post
from feira.sql.database import Database, Tx

_keys = count(1)
KINDS: tuple[AccountKind, ...] = get_args(AccountKind)


def account(kind: AccountKind, owner: str = "") -> LedgerAccount:
    return LedgerAccount(kind=kind, owner=owner, currency="EUR")


def move(
    source: LedgerAccount, target: LedgerAccount, amount_minor: int, key: str | None = None
) -> LedgerTransaction:
    """Debit `source`, credit `target`."""
    return LedgerTransaction(
        idem_key=key or f"test:{next(_keys)}",
        kind="test",
        order_id=None,
        postings=(
            Posting(account=source, amount_minor=amount_minor),
            Posting(account=target, amount_minor=-amount_minor),
        ),
    )


async def write(database: Database, *transactions: LedgerTransaction) -> list[bool]:
    async def work(tx: Tx) -> list[bool]:
        return [await post(tx, transaction) for transaction in transactions]

    return await database.transact(work)


async def balance(database: Database, of: LedgerAccount) -> int:
    async with database.connection() as con:
        return await con.fetchval(
            "SELECT b.balance_minor FROM ledger_balances b JOIN ledger_accounts a ON a.id = b.account_id"
            " WHERE (a.kind, a.owner, a.currency) = ($1, $2, $3)",
            of.kind,
            of.owner,
            of.currency,
        )
