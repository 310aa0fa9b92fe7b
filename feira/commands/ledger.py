"""`feira ledger check`: asks for every rule of the money. 0: all hold; 1: not all do, and where; 2: it could not ask."""

from __future__ import annotations

import argparse
import asyncio
import sys

from feira.platform.domain.errors import FeiraError
from feira.platform.runtime.config import Config
from feira.services.ledger.checks import CheckView, examine, record
from feira.sql.database import open_quiet_database

_EXIT_FINDINGS = 1
_EXIT_FAILED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verb", choices=["check"], help="check: every invariant, now")


def run(config: Config, args: argparse.Namespace) -> int:
    del args
    try:
        check = asyncio.run(_check(config))
    except (FeiraError, OSError) as error:
        print(f"feira: ledger check failed: {error}", file=sys.stderr)
        return _EXIT_FAILED
    print("\n".join(_table(check)))
    return _EXIT_FINDINGS if check.findings else 0


async def _check(config: Config) -> CheckView:
    async with open_quiet_database(config.postgres_dsn) as database:
        findings = await examine(database)
        return await database.transact(lambda tx: record(tx, findings, cause="command"))


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
