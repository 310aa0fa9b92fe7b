"""Reports: members tell of messages and conversations, moderators decide."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import ReportId
from feira.platform.domain.reports import ModeratorDecision
from feira.services.messaging.moderation import (
    ModeratedReport,
    ReportFilter,
    ReportPage,
    claim_report,
    decide_report,
    list_reports,
)
from feira.services.messaging.reports import (
    MakeReport,
    OwnReports,
    ReportView,
    list_own_reports,
    make_report,
)
from feira.sql.database import Tx


class OwnReportsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    cursor: ReportId | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 30


@endpoint(
    "POST",
    "/v1/reports",
    service="messaging",
    status=201,
    summary="Report a message, or a conversation.",
)
async def make(call: Call, body: MakeReport) -> ReportView:
    """Of a conversation that one belongs to. Reporting the same thing again is answered with the first report."""
    principal = call.principal

    async def work(tx: Tx) -> ReportView:
        return await make_report(tx, principal, body)

    return await call.transact(ReportView, work)


@endpoint("GET", "/v1/reports", service="messaging", summary="List what one has reported.")
async def list_own(call: Call, query: OwnReportsQuery) -> OwnReports:
    """The latest first, with what became of them."""
    async with call.market.database.connection() as con:
        return await list_own_reports(
            con, call.principal.user_id, cursor=query.cursor, limit=query.limit
        )


@endpoint("GET", "/v1/admin/reports", service="messaging", summary="List reports.")
async def list_queue(call: Call, query: ReportFilter) -> ReportPage:
    """For support and admins: open ones first, the oldest first."""
    async with call.market.database.connection() as con:
        return await list_reports(con, call.principal, query)


@endpoint(
    "POST",
    "/v1/admin/reports/{report}/claim",
    service="messaging",
    summary="Look into a report.",
)
async def claim(call: Call, report: ReportId) -> ModeratedReport:
    """For half an hour no colleague can decide it; doing it again goes on from then."""
    principal = call.principal

    async def work(tx: Tx) -> ModeratedReport:
        return await claim_report(tx, principal, report)

    return await call.transact(ModeratedReport, work)


@endpoint(
    "POST",
    "/v1/admin/reports/{report}/decision",
    service="messaging",
    summary="Decide a report.",
)
async def decide(call: Call, report: ReportId, body: ModeratorDecision) -> ModeratedReport:
    """Dismiss it, remove the message, or keep its sender from posting for some hours. The reporter is told."""
    principal = call.principal

    async def work(tx: Tx) -> ModeratedReport:
        return await decide_report(tx, principal, report, body)

    return await call.transact(ModeratedReport, work)


ENDPOINTS: Final = (make, list_own, list_queue, claim, decide)
