"""`feira ledger check` asks for every rule of the money, `feira ledger reconcile` compares it with the provider.

Exit codes: 0 all is well; 1 something is not, and what; 2 it could not ask.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from feira.commands.operator import operator
from feira.platform.domain.errors import FeiraError
from feira.platform.runtime.config import Config
from feira.services.audit.recording import record as audit
from feira.services.ledger.checks import CheckView, examine, record
from feira.services.ledger.reconciliation import Reconciliation, compare, import_movements
from feira.sql.database import Tx, open_quiet_database

_EXIT_FINDINGS = 1
_EXIT_FAILED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "verb",
        choices=["check", "reconcile"],
        help="check: every rule of the money, now; reconcile: compare with the provider's list of movements",
    )


def run(config: Config, args: argparse.Namespace) -> int:
    verb: str = args.verb
    try:
        if verb == "reconcile":
            made = asyncio.run(_reconcile(config))
            print("\n".join(_comparison(made)))
            return _EXIT_FINDINGS if made.open_count else 0
        check = asyncio.run(check_now(config))
        print("\n".join(_table(check)))
        return _EXIT_FINDINGS if check.findings else 0
    except (FeiraError, OSError) as error:
        print(f"feira: ledger {verb} failed: {error}", file=sys.stderr)
        return _EXIT_FAILED


async def check_now(config: Config) -> CheckView:
    """Check every rule, and keep what was found."""
    async with open_quiet_database(config.postgres_dsn) as database:
        findings = await examine(database)

        async def keep(tx: Tx) -> CheckView:
            check = await record(tx, findings, cause="command")
            facts = {"findings": check.findings_count}
            await audit(tx, operator(), "ledger.check", "ledger_check", check.id, after=facts)
            return check

        return await database.transact(keep)


async def _reconcile(config: Config) -> Reconciliation:
    # The provider is asked: a process of all parts.
    from feira.app import open_ground

    async with open_ground(config) as ground:
        imported = await import_movements(ground.market)

        async def keep(tx: Tx) -> Reconciliation:
            made = await compare(tx, ground.market.payments.name, imported_count=imported)
            facts = {"imported": imported, "new": made.new_count, "open": made.open_count}
            await audit(tx, operator(), "ledger.reconcile", "ledger", made.provider, after=facts)
            return made

        return await ground.market.database.transact(keep)


def _comparison(made: Reconciliation) -> list[str]:
    return [
        f"{made.imported_count} movements imported from {made.provider}",
        f"{made.new_count} new differences, {made.settled_count} settled",
        f"{made.open_count} that nobody has explained"
        if made.open_count
        else "the ledger and the provider agree, or somebody knows why not",
    ]


def _table(check: CheckView) -> list[str]:
    width = max(len(name) for name in check.checked)
    lines: list[str] = []
    for name in check.checked:
        found = [finding for finding in check.findings if finding.invariant == name]
        lines.append(
            f"{'BROKEN' if found else 'ok':<7} {name:<{width}}  {len(found) or ''}".rstrip()
        )
        lines += [f"{'':<7} {finding.subject}: {finding.detail}" for finding in found]
    broken = len({finding.invariant for finding in check.findings})
    lines.append(
        f"{broken} of {len(check.checked)} rules are broken"
        if broken
        else f"all {len(check.checked)} rules hold"
    )
    return lines
