"""Every rule finds what breaks it, and what is found is kept and told."""

import argparse
import asyncio

import asyncpg
import msgspec
import pytest

from feira.commands import ledger as command
from feira.platform.runtime.config import Config
from feira.services.ledger import checks
from feira.services.ledger.balances import roll_up
from feira.services.payments import invariants
from feira.sql.database import Database
from feira.sql.loader import Connection
from tests.integration.ledger.books import account, move, write
from tests.integration.ledger.scene import Scene, completed_order

REFUND = (
    "INSERT INTO refunds (payment_id, order_id, amount_minor, reason{more}) SELECT p.id, o.id, 400, 'x'{values}"
    " FROM payments p, orders o"
)
PAYOUT = (
    "INSERT INTO payouts (shop_id, currency, amount_minor, gateway, account)"
    " SELECT shop_id, 'EUR', 5, 'x', 'y' FROM orders"
)
# Each as its owner may do it with every constraint and trigger out of the way.
BREAKAGES = {
    "postings_sum_to_zero": "UPDATE ledger_postings SET amount_minor = amount_minor + 1 WHERE position = 1",
    "each_transaction_balances": "INSERT INTO ledger_transactions (idem_key, body_sha256, kind) VALUES ('empty', '', 'x')",
    "balances_equal_postings": "UPDATE ledger_balances SET balance_minor = balance_minor + 1",
    "closed_orders_hold_nothing": "UPDATE ledger_balances b SET balance_minor = 1 FROM ledger_accounts a"
    " WHERE a.id = b.account_id AND a.kind = 'hold'",
    "refunds_within_captured": "INSERT INTO refunds (payment_id, order_id, amount_minor, reason)"
    " SELECT p.id, o.id, 10001, 'x' FROM payments p, orders o",
    "payments_have_postings": "UPDATE payments SET fee_minor = 100",
    "refunds_have_postings": REFUND.format(more="", values=""),
    "payouts_have_postings": PAYOUT,
    "payout_lines_add_up": PAYOUT,
    "in_flight_is_open_payouts": "UPDATE ledger_accounts SET kind = 'in_flight' WHERE kind = 'pending'",
    "chargebacks_have_postings": "INSERT INTO chargebacks"
    " (payment_id, gateway, gateway_reference, amount_minor, currency, fee_minor, reason)"
    " SELECT id, 'x', 'y', 5, 'EUR', 0, 'fraudulent' FROM payments",
    "refund_payable_is_open_refunds": "UPDATE ledger_balances b SET balance_minor = 1 FROM ledger_accounts a"
    " WHERE a.id = b.account_id AND a.kind = 'refund_payable'",
    "completed_orders_are_released": "UPDATE ledger_transactions SET idem_key = 'elsewhere' WHERE kind = 'completed'",
    "tracked_accounts_are_not_overdrawn": "UPDATE ledger_postings p SET amount_minor = 1 FROM ledger_accounts a"
    " WHERE a.id = p.account_id AND a.kind = 'pending'",
    "ledger_rows_belong_together": "UPDATE ledger_postings SET currency = 'USD' WHERE position = 1",
    "rollups_equal_postings": "UPDATE ledger_rollups SET sum_minor = sum_minor + 1",
    "accounts_are_of_their_kinds_nature": "UPDATE ledger_accounts SET tracked = false WHERE kind = 'pending'",
    "orders_in_clearance_are_not_negative": "UPDATE ledger_postings p SET amount_minor = 1 FROM ledger_accounts a"
    " WHERE a.id = p.account_id AND a.kind = 'pending'",
    "cleared_orders_left_clearance": "INSERT INTO ledger_transactions (idem_key, body_sha256, kind)"
    " SELECT 'clearance:' || id, '', 'cleared' FROM orders",
    "commission_is_of_what_was_kept": "UPDATE orders SET commission_minor = 999",
    "chargebacks_keep_nothing_once_decided": "UPDATE ledger_accounts SET kind = 'dispute_hold' WHERE kind = 'pending'",
    "differences_with_providers_are_explained": "INSERT INTO reconciliation_differences"
    " (provider, currency, source, provider_minor, ledger_minor, found_at) VALUES ('x', 'EUR', 'y', 1, 0, now() - interval '4 days')",
    "clearing_accounts_empty_in_time": "UPDATE ledger_transactions SET at = now() - interval '181 days'",
}


@pytest.fixture
async def scene(owner: Connection, database: Database) -> Scene:
    made = await completed_order(owner, database)
    await write(database, move(account("psp", "x"), account("refund_payable", "gone"), 5))
    await write(database, move(account("refund_payable", "gone"), account("psp", "x"), 5))
    return made


def test_every_rule_has_a_breakage() -> None:
    assert set(BREAKAGES) == set(invariants.INVARIANTS)


async def test_each_rule_finds_what_breaks_it(
    scene: Scene, owner: Connection, database: Database
) -> None:
    async with asyncio.timeout(20):
        # What is rolled up is below the oldest transaction of the whole server, other tests' included.
        while not await owner.fetchval("SELECT count(*) FROM ledger_rollups"):
            await database.transact(roll_up)
    assert await checks.examine(database) == []
    checked = await owner.fetch(
        "SELECT conrelid::regclass::text AS table, conname FROM pg_constraint"
        " WHERE contype = 'c' AND conrelid::regclass::text LIKE 'ledger\\_%'"
    )
    blind: list[str] = []
    for invariant, breakage in BREAKAGES.items():
        transaction = owner.transaction()
        await transaction.start()
        for row in checked:
            await owner.execute(f"ALTER TABLE {row['table']} DROP CONSTRAINT {row['conname']}")
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(breakage)
        if not await owner.fetch(invariants.SQL[f"invariant_{invariant}"]):
            blind.append(invariant)
        await transaction.rollback()
    assert not blind


async def test_what_is_found_is_kept_and_told(
    scene: Scene, owner: Connection, database: Database
) -> None:
    await owner.execute(BREAKAGES["balances_equal_postings"])
    findings = await checks.examine(database)
    check = await database.transact(lambda tx: checks.record(tx, findings, cause="schedule"))
    assert check.finished_at is not None
    assert check.findings_count == len(check.findings) > 0
    told = await owner.fetchval("SELECT body::text FROM topic_events WHERE topic = 'ops'")
    assert "ledger.check_failed" in told
    # The same answer again, as by a job that was repeated, tells nobody twice.
    await database.transact(
        lambda tx: checks.record(tx, findings, cause="schedule", check_id=check.id)
    )
    assert await owner.fetchval("SELECT count(*) FROM topic_events WHERE topic = 'ops'") == 1


async def test_a_rule_broken_everywhere_gives_its_first_findings(
    owner: Connection, database: Database
) -> None:
    moves = [move(account("psp", "x"), account("hold", str(n)), 5) for n in range(110)]
    await write(database, *moves)
    await owner.execute("UPDATE ledger_balances SET balance_minor = 1")
    found = await checks.examine(database)
    assert len(found) == invariants.FINDINGS_MAX


@pytest.mark.parametrize("healthy", [True, False])
def test_the_command_says_so_with_its_exit_code(
    config: Config,
    fresh_database_dsn: str,
    capsys: pytest.CaptureFixture[str],
    *,
    healthy: bool,
) -> None:
    import asyncio

    async def break_it() -> None:
        con = await asyncpg.connect(fresh_database_dsn)
        await con.execute(BREAKAGES["each_transaction_balances"])
        await con.close()

    if not healthy:
        asyncio.run(break_it())
    own = msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)
    assert command.run(own, argparse.Namespace(verb="check")) == (0 if healthy else 1)
    said = capsys.readouterr().out
    assert ("BROKEN  each_transaction_balances" in said) is not healthy


def test_the_command_that_cannot_ask_says_so(config: Config) -> None:
    away = msgspec.structs.replace(config, postgres_dsn="postgresql://x@127.0.0.1:1/x")
    assert command.run(away, argparse.Namespace(verb="check")) == 2
