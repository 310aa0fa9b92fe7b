"""Each constraint and trigger of the ledger refuses something that would break a rule of the money.

Every mistake is made twice: with all constraints in place it is refused; without the one that is named it is not,
and an invariant finds what it broke. One that nothing needs would fail here, as would one that has no mistake.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import asyncpg
import pytest

from feira.services.payments.invariants import INVARIANTS, SQL
from feira.sql.database import Database
from feira.sql.loader import Connection
from tests.integration.ledger.scene import Scene, completed_order

TABLES: Final = ("ledger_accounts", "ledger_balances", "ledger_postings", "ledger_transactions")
# Nobody chooses these: they are always generated.
IDENTITIES: Final = {"ledger_accounts_pkey", "ledger_transactions_pkey"}


class Mistake(NamedTuple):
    """Statements that somebody might run, and a rule that is broken if they may."""

    statements: str
    breaks: str


_POST_AGAIN: Final = """
    INSERT INTO ledger_transactions (idem_key, body_sha256, kind)
    SELECT {key}, body_sha256, kind FROM ledger_transactions WHERE kind = 'captured';
    INSERT INTO ledger_postings (transaction_id, position, account_id, currency, amount_minor)
    SELECT currval('ledger_transactions_id_seq'), position, account_id, currency, amount_minor
    FROM ledger_postings p JOIN ledger_transactions t ON t.id = p.transaction_id
    WHERE t.id = (SELECT min(id) FROM ledger_transactions WHERE kind = 'captured');
    UPDATE ledger_balances b SET balance_minor = balance_minor + 10000 FROM ledger_accounts a
    WHERE a.id = b.account_id AND a.kind = 'hold'
"""
_MOVE: Final = """
    INSERT INTO ledger_transactions (idem_key, body_sha256, kind) VALUES ('mistake', '', 'mistake');
    INSERT INTO ledger_postings (transaction_id, position, account_id, currency, amount_minor)
    SELECT currval('ledger_transactions_id_seq'), m.position, a.id, {currency}, m.amount_minor
    FROM (VALUES {moves}) AS m (position, kind, amount_minor) JOIN ledger_accounts a ON a.kind = m.kind
"""
_TAKE: Final = """;
    UPDATE ledger_balances b SET balance_minor = balance_minor - 9001 FROM ledger_accounts a
    WHERE a.id = b.account_id AND a.kind = 'pending'
"""
MISTAKES: Final = {
    "ledger_transactions_idem_key_unique": Mistake(
        _POST_AGAIN.format(key="idem_key"), "payments_have_postings"
    ),
    "ledger_accounts_unique": Mistake(
        "INSERT INTO ledger_accounts (kind, owner, currency, normal, tracked)"
        " VALUES ('psp', 'sandbox', 'EUR', 'debit', false)",
        "ledger_rows_belong_together",
    ),
    "ledger_accounts_nature_of_kind": Mistake(
        "INSERT INTO ledger_accounts (kind, owner, currency, normal, tracked)"
        " VALUES ('hold', 'a', 'EUR', 'credit', false)",
        "accounts_are_of_their_kinds_nature",
    ),
    "ledger_balances_pkey": Mistake(
        "INSERT INTO ledger_balances (account_id) SELECT account_id FROM ledger_balances WHERE balance_minor > 0",
        "balances_equal_postings",
    ),
    "ledger_balances_account_id_fkey": Mistake(
        "INSERT INTO ledger_balances (account_id, balance_minor) VALUES (999999, 5)",
        "ledger_rows_belong_together",
    ),
    "ledger_balances_never_overdrawn": Mistake(
        _MOVE.format(currency="'EUR'", moves="(1, 'pending', 9001), (2, 'psp', -9001)") + _TAKE,
        "tracked_accounts_are_not_overdrawn",
    ),
    "ledger_postings_pkey": Mistake(
        "INSERT INTO ledger_postings SELECT * FROM ledger_postings", "balances_equal_postings"
    ),
    "ledger_postings_not_zero": Mistake(
        _MOVE.format(currency="'EUR'", moves="(1, 'psp', 0)"), "ledger_rows_belong_together"
    ),
    "ledger_postings_transaction_id_fkey": Mistake(
        "INSERT INTO ledger_postings (transaction_id, position, account_id, currency, amount_minor)"
        " SELECT 999999, m.position, a.id, 'EUR', m.amount_minor"
        " FROM (VALUES (1, 'psp', 5), (2, 'fees', -5)) AS m (position, kind, amount_minor)"
        " JOIN ledger_accounts a ON a.kind = m.kind",
        "ledger_rows_belong_together",
    ),
    "ledger_postings_in_account_currency": Mistake(
        _MOVE.format(currency="'USD'", moves="(1, 'psp', 5), (2, 'fees', -5)"),
        "ledger_rows_belong_together",
    ),
    # Only there for the one above to point to.
    "ledger_accounts_with_currency": Mistake(
        _MOVE.format(currency="'USD'", moves="(1, 'psp', 5), (2, 'fees', -5)"),
        "ledger_rows_belong_together",
    ),
    "ledger_transactions_balance": Mistake(
        _MOVE.format(currency="'EUR'", moves="(1, 'psp', 5), (2, 'fees', -4)"),
        "postings_sum_to_zero",
    ),
    "ledger_postings_insert_only": Mistake(
        "UPDATE ledger_postings SET amount_minor = amount_minor + 1 WHERE position = 1",
        "postings_sum_to_zero",
    ),
    "ledger_transactions_insert_only": Mistake(
        "UPDATE ledger_transactions SET idem_key = 'other' WHERE kind = 'captured'",
        "payments_have_postings",
    ),
}


@pytest.fixture
async def scene(owner: Connection, database: Database) -> Scene:
    return await completed_order(owner, database)


async def test_every_constraint_of_the_ledger_has_a_mistake(owner: Connection) -> None:
    constraints = await owner.fetch(
        "SELECT conname AS name FROM pg_constraint"
        " WHERE conrelid::regclass::text = ANY ($1) AND contype IN ('c', 'u', 'f', 'p')"
        " UNION SELECT tgname FROM pg_trigger WHERE tgrelid::regclass::text = ANY ($1) AND NOT tgisinternal",
        list(TABLES),
    )
    assert {row["name"] for row in constraints} - IDENTITIES == set(MISTAKES)


async def test_each_constraint_refuses_what_breaks_a_rule_without_it(
    scene: Scene, owner: Connection
) -> None:
    harmless: list[str] = []
    for name, mistake in MISTAKES.items():
        assert await _broken(owner) == [], "healthy before"
        if not await _is_refused(owner, mistake):
            harmless.append(f"{name} refuses nothing")
        transaction = owner.transaction()
        await transaction.start()
        await _drop(owner, name)
        await _make(owner, mistake)
        broken = await _broken(owner)
        if mistake.breaks not in broken:
            harmless.append(f"without {name} {broken} are broken, not {mistake.breaks}")
        await transaction.rollback()
    assert not harmless, "\n".join(harmless)


async def _is_refused(owner: Connection, mistake: Mistake) -> bool:
    transaction = owner.transaction()
    await transaction.start()
    try:
        await _make(owner, mistake)
    except asyncpg.IntegrityConstraintViolationError:
        return True
    finally:
        await transaction.rollback()
    return False


async def _make(owner: Connection, mistake: Mistake) -> None:
    await owner.execute(mistake.statements)
    # What is looked at when a transaction commits is looked at now.
    await owner.execute("SET CONSTRAINTS ALL IMMEDIATE")


async def _drop(owner: Connection, name: str) -> None:
    table = await owner.fetchval(
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE conname = $1 AND contype <> 't'",
        name,
    )
    if table is not None:
        await owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE")
        return
    table = await owner.fetchval(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = $1", name
    )
    await owner.execute(f"DROP TRIGGER {name} ON {table}")


async def _broken(owner: Connection) -> list[str]:
    return [name for name in INVARIANTS if await owner.fetch(SQL[f"invariant_{name}"])]
