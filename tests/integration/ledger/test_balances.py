"""The market's own accounts have no balance rows, and are the sum of everything at every moment all the same."""

import asyncio

from feira.services.ledger import checks
from feira.services.ledger.balances import SQL, AccountBalance, roll_up
from feira.services.payments.ledger import post
from feira.sql.database import Database, Tx
from feira.sql.loader import fetch_all
from tests.integration.ledger.books import account, move, write


async def psp(database: Database) -> int:
    async with database.connection() as con:
        rows = await fetch_all(con, SQL["read_market_balances"], AccountBalance)
    return sum(row.balance_minor for row in rows if row.kind == "psp")


async def test_a_sum_is_the_same_before_and_after_it_is_rolled_up(database: Database) -> None:
    await write(database, move(account("psp", "x"), account("hold", "o"), 100))
    assert await psp(database) == 100
    assert await database.transact(roll_up) is not None
    assert await psp(database) == 100
    await write(database, move(account("psp", "x"), account("hold", "o"), 11))
    assert await psp(database) == 111


async def test_what_commits_late_is_not_left_out_of_the_sums(database: Database) -> None:
    """Its id is lower than those of the ones that overtook it, and were rolled up."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Tx) -> None:
        await post(tx, move(account("psp", "x"), account("hold", "slow"), 1_000))
        begun.set()
        await go_on.wait()

    await write(database, move(account("psp", "x"), account("hold", "o"), 1))
    async with asyncio.TaskGroup() as group:
        group.create_task(database.transact(slow))
        await begun.wait()
        await write(database, move(account("psp", "x"), account("hold", "o"), 20))
        await database.transact(roll_up)
        assert await psp(database) == 21
        go_on.set()
    assert await psp(database) == 1_021
    await database.transact(roll_up)
    assert await psp(database) == 1_021
    assert await checks.examine(database) == []


async def test_many_roll_up_at_once_while_others_write_and_nothing_counts_twice(
    database: Database,
) -> None:
    async def writes() -> None:
        for number in range(15):
            await write(database, move(account("psp", "x"), account("hold", f"{number}"), 7))

    async def rolls() -> None:
        for _ in range(10):
            await database.transact(roll_up)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(writes())
            group.create_task(rolls())
    assert await psp(database) == 4 * 15 * 7
    await database.transact(roll_up)
    assert await psp(database) == 4 * 15 * 7
    assert await checks.examine(database) == []
