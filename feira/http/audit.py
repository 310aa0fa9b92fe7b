"""The audit log: all of it for admins, and everybody's own security history."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from feira.http.call import Call
from feira.http.documents import file_answer
from feira.http.endpoint import Endpoint, endpoint
from feira.services.audit.reading import (
    AuditFilter,
    AuditPage,
    AuditSearch,
    SecurityEventPage,
    SecurityEventQuery,
    export_entries,
    list_entries,
    list_security_events,
)


@endpoint(
    "GET",
    "/v1/operations/audit",
    service="operations",
    summary="Who did what to other people's things, when, from where; before and after.",
)
async def get_audit(call: Call, query: AuditFilter) -> AuditPage:
    """For admins, the latest first. What was refused is not here: it never happened."""
    async with call.market.database.connection() as con:
        return await list_entries(con, call.principal, query)


@endpoint(
    "GET",
    "/v1/operations/audit.csv",
    service="operations",
    summary="Download the audit log as CSV.",
)
async def get_audit_csv(call: Call, query: AuditSearch) -> web.Response:
    """The latest first, up to 10,000; narrow it by dates for more. No cell of it runs in a spreadsheet."""
    async with call.market.database.connection() as con:
        body = await export_entries(con, call.principal, query)
    return file_answer(body, "text/csv", "audit.csv")


@endpoint(
    "GET",
    "/v1/me/security-events",
    service="users",
    summary="What happened to the safety of the own account.",
)
async def get_security_events(call: Call, query: SecurityEventQuery) -> SecurityEventPage:
    """Passwords, sessions, keys and where money goes; by oneself, or by the market's people."""
    async with call.market.database.connection() as con:
        return await list_security_events(con, call.principal, query)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (get_audit, get_audit_csv, get_security_events)
