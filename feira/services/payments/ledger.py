"""Writing the ledger: two statements a transaction, each effect once, no tracked account overdrawn."""

from __future__ import annotations

from typing import Final

import msgspec

from feira.platform.domain.errors import Conflict, Rejected
from feira.platform.domain.ids import ShopId
from feira.platform.domain.ledger import LedgerAccount, LedgerTransaction
from feira.platform.domain.shop_funds import Sale, ShopFunds
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("ledger")

# A lost race for a new account is over when the winner has committed; the next look sees its row.
_RESOLVE_TRIES_MAX: Final = 5


class LedgerConflict(Conflict):
    """A key that names one effect came with another: a bug on our side, never the caller's."""


class _AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    kind: str
    owner: str
    currency: str


async def post(tx: Tx, transaction: LedgerTransaction) -> bool:
    """Write the postings and move the tracked balances; False when this effect is in the books already.

    Balances are locked in the order of their ids, so that no two writers wait in a ring.

    Raises:
        LedgerConflict: `ledger.key_reused`: the key is taken by another body.
        Rejected: `ledger.overdrawn`: a tracked account would fall below zero. The transaction must not commit.
    """
    ids = await _resolve(tx.con, sorted({posting.account for posting in transaction.postings}))
    moves: dict[int, int] = {}
    for posting in transaction.postings:
        if posting.account.tracked:
            account_id = ids[posting.account]
            moves[account_id] = moves.get(account_id, 0) + posting.account.in_normal_direction(
                posting.amount_minor
            )
    row = await tx.con.fetchrow(
        SQL["post_transaction"],
        transaction.idem_key,
        transaction.body_sha256,
        transaction.kind,
        transaction.order_id,
        transaction.reason,
        transaction.provider_reference,
        [ids[posting.account] for posting in transaction.postings],
        [posting.account.currency for posting in transaction.postings],
        [posting.amount_minor for posting in transaction.postings],
        list(moves.keys()),
        list(moves.values()),
    )
    assert row is not None, "the statement gives one row"
    if row["transaction_id"] is None:
        await _require_same_body(tx.con, transaction)
        return False
    if row["moved"] != len(moves):
        raise Rejected(
            "ledger.overdrawn", f"The {transaction.kind} moves more money than its accounts hold."
        )
    return True


class _Funds(msgspec.Struct, frozen=True, kw_only=True):
    pending_minor: int
    available_minor: int
    owed_minor: int
    is_cleared: bool


async def lock_shop_funds(tx: Tx, sale: Sale) -> ShopFunds:
    """What the shop of a completed order has and owes in the order's currency; its balances are locked.

    The caller holds the order's lock. A shop's balances are locked before those of an order, refund or
    chargeback, which only whoever holds the order's lock touches.
    """
    await tx.con.execute(SQL["lock_shop_balances"], sale.shop_id, sale.currency)
    funds = await fetch_one(
        tx.con, SQL["read_shop_funds"], _Funds, sale.shop_id, sale.currency, sale.order_id
    )
    assert funds is not None, "an aggregate gives one row"
    return ShopFunds(
        stage="cleared" if funds.is_cleared else "clearing",
        pending_minor=funds.pending_minor,
        available_minor=funds.available_minor,
        owed_minor=funds.owed_minor,
    )


class CurrencyBalance(msgspec.Struct, frozen=True, kw_only=True):
    """A shop's money in one currency: in open orders, earned but in clearance, and ready to be paid out."""

    currency: str
    held_minor: int
    pending_minor: int
    available_minor: int


class BalanceView(msgspec.Struct, frozen=True, kw_only=True):
    shop_id: ShopId
    balances: list[CurrencyBalance]


async def shop_balance(con: Connection, shop_id: ShopId) -> BalanceView:
    """What the market holds for a shop, by currency. The caller asks the permission table."""
    return BalanceView(
        shop_id=shop_id,
        balances=await fetch_all(con, SQL["read_shop_balances"], CurrencyBalance, shop_id),
    )


async def _resolve(con: Connection, accounts: list[LedgerAccount]) -> dict[LedgerAccount, int]:
    columns = (
        [account.kind for account in accounts],
        [account.owner for account in accounts],
        [account.currency for account in accounts],
        [account.normal for account in accounts],
        [account.tracked for account in accounts],
    )
    for _ in range(_RESOLVE_TRIES_MAX):
        rows = await fetch_all(con, SQL["resolve_accounts"], _AccountRow, *columns)
        if len(rows) == len(accounts):
            by_name = {(row.kind, row.owner, row.currency): row.id for row in rows}
            return {
                account: by_name[account.kind, account.owner, account.currency]
                for account in accounts
            }
    raise AssertionError("accounts that others created are there at the next look")


async def _require_same_body(con: Connection, transaction: LedgerTransaction) -> None:
    written = await con.fetchval(SQL["read_body"], transaction.idem_key)
    if written != transaction.body_sha256:
        raise LedgerConflict(
            "ledger.key_reused", f"{transaction.idem_key} is in the books with other postings."
        )
