"""The ledger on a real Postgres: what the database itself holds, whoever writes."""

import asyncio
import contextlib
import random
from uuid import uuid4

import asyncpg
import pytest

from feira.platform.domain.errors import Rejected
from feira.platform.domain.ledger import LedgerTransaction, Posting
from feira.services.payments import invariants
from feira.services.payments.ledger import LedgerConflict, post
from feira.sql.database import Database, Tx, open_pool
from feira.sql.loader import Connection
from feira.sql.migrate import APP_ROLE, migrate
from tests.integration.ledger.books import account, balance, move, write


async def test_an_unbalanced_transaction_is_rejected_at_commit(database: Database) -> None:
    psp, hold = account("psp", "sandbox"), account("hold", "o")
    unbalanced = LedgerTransaction(
        idem_key="unbalanced",
        kind="test",
        order_id=None,
        postings=(
            Posting(account=psp, amount_minor=100),
            Posting(account=hold, amount_minor=-99),
        ),
    )
    reached_commit = False

    async def work(tx: Tx) -> None:
        nonlocal reached_commit
        await post(tx, unbalanced)
        reached_commit = True

    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        await database.transact(work)
    assert reached_commit
    async with database.connection() as con:
        assert await con.fetchval("SELECT count(*) FROM ledger_postings") == 0


CHANGES = (
    "UPDATE ledger_postings SET amount_minor = amount_minor + 1",
    "DELETE FROM ledger_postings",
    "TRUNCATE ledger_postings",
    "UPDATE ledger_transactions SET kind = 'other'",
    "DELETE FROM ledger_transactions",
    "TRUNCATE ledger_transactions CASCADE",
)
TRICKS = (
    "UPDATE ledger_accounts SET tracked = false",
    "DELETE FROM ledger_accounts",
    "DELETE FROM ledger_balances",
    "TRUNCATE ledger_balances",
    "UPDATE provider_movements SET amount_minor = 0",
    "ALTER TABLE ledger_postings DISABLE TRIGGER USER",
    "ALTER TABLE ledger_balances DROP CONSTRAINT ledger_balances_never_overdrawn",
    "DROP TRIGGER ledger_transactions_balance ON ledger_postings",
    "CREATE OR REPLACE FUNCTION ledger_is_insert_only() RETURNS trigger LANGUAGE sql AS ''",
    "CREATE RULE r AS ON INSERT TO ledger_postings DO INSTEAD NOTHING",
    "SET session_replication_role = replica",
    "SET ROLE feira",
    "SET SESSION AUTHORIZATION feira",
    "GRANT UPDATE ON ledger_postings TO feira_app; UPDATE ledger_postings SET position = 9",
    "UPDATE schema_migrations SET sha256 = ''",
)


async def test_not_even_the_owner_changes_what_is_written(
    database: Database, owner: Connection
) -> None:
    await write(database, move(account("psp", "sandbox"), account("hold", "o"), 100))
    for statement in CHANGES:
        with pytest.raises(asyncpg.RestrictViolationError, match="insert-only"):
            await owner.execute(statement)


async def test_the_applications_login_has_no_right_to_change_what_is_written(
    database: Database, login: Connection
) -> None:
    await write(database, move(account("psp", "sandbox"), account("hold", "o"), 100))
    for statement in (*CHANGES, *TRICKS):
        # Leaving the role leads nowhere: there is no more behind it.
        for way in (statement, f"SET ROLE NONE; {statement}"):
            with pytest.raises(
                (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError)
            ):
                await login.execute(way)


async def test_whoever_signs_in_the_pool_acts_as_the_application(fresh_database_dsn: str) -> None:
    pool = await open_pool(fresh_database_dsn, size_min=1, size_max=1)
    try:
        assert await pool.fetchval("SELECT current_user") == APP_ROLE
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM ledger_postings")
        await pool.execute("RESET ROLE")
        assert await pool.fetchval("SELECT current_user") == APP_ROLE
    finally:
        await pool.close()


async def test_what_is_migrated_later_is_the_applications_too(
    fresh_database_dsn: str, owner: Connection, login: Connection
) -> None:
    await owner.execute("CREATE TABLE later (id int)")
    await owner.execute("INSERT INTO later VALUES (1)")
    await migrate(fresh_database_dsn)
    assert await login.fetchval("UPDATE later SET id = 2 RETURNING id") == 2
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await login.execute("DELETE FROM ledger_postings")


async def test_a_posting_has_the_currency_of_its_account(database: Database) -> None:
    await write(database, move(account("psp", "sandbox"), account("hold", "o"), 100))
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="ledger_postings_in_account"):
        async with database.connection() as con:
            await con.execute(
                "INSERT INTO ledger_postings (transaction_id, position, account_id, currency, amount_minor)"
                " SELECT transaction_id, 9, account_id, 'USD', 1 FROM ledger_postings LIMIT 1"
            )


async def test_a_tracked_account_cannot_be_overdrawn(database: Database) -> None:
    hold, pending = account("hold", "o"), account("pending", "s")
    await write(database, move(account("psp", "sandbox"), hold, 100))
    with pytest.raises(Rejected) as caught:
        await write(database, move(hold, pending, 101))
    assert caught.value.code == "ledger.overdrawn"
    assert await balance(database, hold) == 100
    # Nor by a statement that does not ask.
    with pytest.raises(asyncpg.CheckViolationError, match="never_overdrawn"):
        async with database.connection() as con:
            await con.execute("UPDATE ledger_balances SET balance_minor = -1")


async def test_the_same_effect_twice_is_one_transaction(database: Database) -> None:
    hold = account("hold", "o")
    once = move(account("psp", "sandbox"), hold, 100, key="capture:1")
    assert await write(database, once) == [True]
    assert await write(database, once, once) == [False, False]
    assert await balance(database, hold) == 100


async def test_a_key_with_another_body_is_a_conflict(database: Database) -> None:
    hold = account("hold", "o")
    await write(database, move(account("psp", "sandbox"), hold, 100, key="capture:1"))
    with pytest.raises(LedgerConflict) as caught:
        await write(database, move(account("psp", "sandbox"), hold, 200, key="capture:1"))
    assert caught.value.code == "ledger.key_reused"
    assert await balance(database, hold) == 100


async def test_the_same_effect_at_the_same_time_is_one_transaction(database: Database) -> None:
    hold = account("hold", "o")
    once = move(account("psp", "sandbox"), hold, 100, key="capture:1")
    written = await asyncio.gather(*(write(database, once) for _ in range(12)))
    assert sum(first for (first,) in written) == 1
    assert await balance(database, hold) == 100


async def test_many_who_need_a_new_account_at_once_share_one(database: Database) -> None:
    pending = account("pending", "new shop")
    psp = account("psp", "sandbox")
    await asyncio.gather(*(write(database, move(psp, pending, 7)) for _ in range(12)))
    assert await balance(database, pending) == 12 * 7


async def test_of_two_who_want_the_last_cent_one_gets_it(database: Database) -> None:
    hold, pending = account("hold", "o"), account("pending", "s")
    await write(database, move(account("psp", "sandbox"), hold, 100))
    outcomes = await asyncio.gather(
        *(write(database, move(hold, pending, 60)) for _ in range(8)), return_exceptions=True
    )
    assert sum(outcome == [True] for outcome in outcomes) == 1
    assert await balance(database, hold) == 40
    assert await balance(database, pending) == 60


async def test_a_reader_sees_zero_at_every_moment_while_sixteen_write(database: Database) -> None:
    """A bank: money goes round among accounts, and no snapshot ever shows it on the way."""
    accounts = [account("pending", f"shop {number}") for number in range(6)]
    psp = account("psp", "sandbox")
    await write(database, *(move(psp, one, 1_000) for one in accounts))
    writers_left, moved = 16, 0

    async def writer(seed: int) -> None:
        nonlocal writers_left, moved
        chance = random.Random(seed)
        for _ in range(25):
            source, target = chance.sample(accounts, 2)
            with contextlib.suppress(Rejected):
                await write(database, move(source, target, chance.randint(1, 900)))
                moved += 1
        writers_left -= 1

    async def reader() -> int:
        looks = 0
        async with database.connection() as con:
            while writers_left or looks == 0:
                async with con.transaction(isolation="repeatable_read", readonly=True):
                    postings = await con.fetchval(
                        "SELECT coalesce(sum(amount_minor), 0) FROM ledger_postings"
                    )
                    tracked = await con.fetchval("SELECT sum(balance_minor) FROM ledger_balances")
                assert (postings, tracked) == (0, 6_000)
                assert await invariants.check(con) == []
                looks += 1
        return looks

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(reader())
        for seed in range(16):
            group.create_task(writer(seed))
    assert looking.result() > 3, "the reader looked while others wrote"
    assert moved > 100, "most moves had the money they needed"
    assert sum([await balance(database, one) for one in accounts]) == 6_000


@pytest.mark.parametrize(
    ("breakage", "invariant"),
    [
        (
            "UPDATE ledger_balances SET balance_minor = balance_minor + 1",
            "balances_equal_postings",
        ),
        ("DELETE FROM ledger_balances", "balances_equal_postings"),
        (
            "INSERT INTO ledger_transactions (idem_key, body_sha256, kind) VALUES ('empty', '', 'test')",
            "each_transaction_balances",
        ),
        (
            "ALTER TABLE ledger_postings DISABLE TRIGGER USER; UPDATE ledger_postings SET amount_minor = amount_minor + 1 WHERE position = 1",
            "postings_sum_to_zero",
        ),
    ],
)
async def test_the_check_finds_what_was_broken(
    database: Database, owner: Connection, breakage: str, invariant: str
) -> None:
    await write(database, move(account("psp", "sandbox"), account("hold", str(uuid4())), 100))
    async with database.connection() as con:
        assert await invariants.check(con) == []
        await owner.execute(breakage)
        assert invariant in {finding.invariant for finding in await invariants.check(con)}
