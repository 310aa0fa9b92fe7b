"""Checks of the ledger as rows: asked for by the schedule, an operator or the command line, and kept with what they found.

requested --job--> finished; findings are told on `ops`
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import UserId
from feira.platform.domain.jobs import CheckLedger
from feira.platform.domain.ledger_events import LedgerCheckFailed
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.topics import OPS
from feira.services.audit.recording import record as audit
from feira.services.payments.invariants import INVARIANTS, Finding, check
from feira.sql.database import Database, Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL: Final = load_queries("ledger_checks")
Cause = Literal["schedule", "operator", "command"]


class CheckSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`finished_at` is null while it waits or runs; healthy books have no findings."""

    id: UUID
    cause: Cause
    requested_by: UserId | None
    requested_at: datetime
    finished_at: datetime | None
    findings_count: int


class CheckView(CheckSummary, frozen=True, kw_only=True):
    """`checked` are the invariants' names; of each, at most 100 findings are kept."""

    checked: list[str]
    findings: list[Finding]


class _CheckRow(CheckSummary, frozen=True, kw_only=True):
    checked: list[str]
    findings: msgspec.Raw


class CheckPage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[CheckSummary]
    next_cursor: UUID | None


class CheckFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: UUID | None = None


async def request_check(tx: Tx, principal: Principal) -> CheckView:
    """Have a worker check every invariant now."""
    require("ledger.read", principal)
    check_id = await _insert(tx, "operator", principal.user_id)
    tx.enqueue(CheckLedger(check=check_id), dedup=f"ledger_check:{check_id}")
    await audit(tx, principal, "ledger.check", "ledger_check", check_id)
    return await _read(tx.con, check_id)


async def list_checks(con: Connection, principal: Principal, wanted: CheckFilter) -> CheckPage:
    """Return a page of checks."""
    require("ledger.read", principal)
    rows = await fetch_all(con, SQL["list_checks"], CheckSummary, wanted.cursor, wanted.limit + 1)
    page = rows[: wanted.limit]
    return CheckPage(items=page, next_cursor=page[-1].id if len(rows) > len(page) else None)


async def read_check(con: Connection, principal: Principal, check_id: UUID) -> CheckView:
    """Return a check with its findings.

    Raises:
        NotFound: `ledger.check_not_found`.
    """
    require("ledger.read", principal)
    return await _read(con, check_id)


async def examine(database: Database) -> list[Finding]:
    """Ask for every invariant, on one snapshot."""
    async with database.connection() as con:
        return await check(con)


async def record(
    tx: Tx, findings: list[Finding], *, cause: Cause, check_id: UUID | None = None
) -> CheckView:
    """Keep what was found under the check that asked for it, or under a new one; tell operators if there is anything."""
    check_id = check_id or await _insert(tx, cause, None)
    finished = await tx.con.fetchval(
        SQL["finish_check"], check_id, list(INVARIANTS), findings, len(findings)
    )
    if finished is not None and findings:
        broken = tuple(dict.fromkeys(finding.invariant for finding in findings))
        tx.emit(
            OPS,
            LedgerCheckFailed(check=check_id, findings_count=len(findings), invariants=broken),
        )
    return await _read(tx.con, check_id)


async def _insert(tx: Tx, cause: Cause, requested_by: UserId | None) -> UUID:
    return await tx.con.fetchval(SQL["insert_check"], cause, requested_by)


async def _read(con: Connection, check_id: UUID) -> CheckView:
    row = await fetch_one(con, SQL["read_check"], _CheckRow, check_id)
    if row is None:
        raise NotFound("ledger.check_not_found", "There is no such check of the ledger.")
    return CheckView(
        id=row.id,
        cause=row.cause,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        findings_count=row.findings_count,
        checked=row.checked,
        findings=msgspec.json.decode(row.findings, type=list[Finding]),
    )
