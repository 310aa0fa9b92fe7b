"""The books, for the market's own people: balances, and whether every rule holds."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from feira.http import commission, statements
from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.services.ledger.balances import BalanceSheet, read_balance_sheet
from feira.services.ledger.checks import (
    CheckFilter,
    CheckPage,
    CheckView,
    list_checks,
    read_check,
    request_check,
)
from feira.services.ledger.reconciliation import (
    Acknowledge,
    Difference,
    DifferencePage,
    DifferenceQuery,
    PageQuery,
    ReconciliationPage,
    acknowledge,
    list_differences,
    list_reconciliations,
    request_reconciliation,
)
from feira.sql.database import Tx


@endpoint(
    "GET",
    "/v1/operations/ledger/balances",
    service="operations",
    summary="What every kind of account holds.",
)
async def get_balances(call: Call) -> BalanceSheet:
    """For finance and admins: the providers' and the market's own accounts, and all shops' and orders' by kind."""
    async with call.market.database.connection() as con:
        return await read_balance_sheet(con, call.principal)


@endpoint(
    "POST",
    "/v1/operations/ledger/checks",
    service="operations",
    summary="Have every invariant of the money checked.",
    status=202,
)
async def post_check(call: Call) -> CheckView:
    """A worker does it; ask for the check until it is finished. What is found is also told on the topic `ops`."""

    async def work(tx: Tx) -> CheckView:
        return await request_check(tx, call.principal)

    return await call.transact(CheckView, work)


@endpoint(
    "GET",
    "/v1/operations/ledger/checks",
    service="operations",
    summary="Checks of the ledger, the latest first.",
)
async def get_checks(call: Call, query: CheckFilter) -> CheckPage:
    """Every night's, and those that somebody asked for."""
    async with call.market.database.connection() as con:
        return await list_checks(con, call.principal, query)


@endpoint(
    "GET",
    "/v1/operations/ledger/checks/{check}",
    service="operations",
    summary="A check of the ledger with its findings.",
)
async def get_check(call: Call, check: UUID) -> CheckView:
    """Healthy books give no findings."""
    async with call.market.database.connection() as con:
        return await read_check(con, call.principal, check)


@endpoint(
    "POST",
    "/v1/operations/ledger/reconciliations",
    service="operations",
    summary="Compare the ledger with the provider's list of movements.",
)
async def post_reconciliation(call: Call) -> None:
    """A worker does it; its result is the next of the reconciliations."""

    async def work(tx: Tx) -> None:
        await request_reconciliation(tx, call.principal)

    await call.transact(type(None), work)


@endpoint(
    "GET",
    "/v1/operations/ledger/reconciliations",
    service="operations",
    summary="Comparisons with the provider, the latest first.",
)
async def get_reconciliations(call: Call, query: PageQuery) -> ReconciliationPage:
    """One every hour, and those that somebody asked for."""
    async with call.market.database.connection() as con:
        return await list_reconciliations(con, call.principal, query)


@endpoint(
    "GET",
    "/v1/operations/ledger/differences",
    service="operations",
    summary="Where the ledger and the provider disagree, with its age.",
)
async def get_differences(call: Call, query: DifferenceQuery) -> DifferencePage:
    """Open ones, those that somebody knows the cause of, or those that are settled; the latest first."""
    async with call.market.database.connection() as con:
        return await list_differences(con, call.principal, query)


@endpoint(
    "POST",
    "/v1/operations/ledger/differences/{difference}/acknowledge",
    service="operations",
    summary="Say why the two disagree.",
)
async def post_acknowledgement(call: Call, difference: UUID, body: Acknowledge) -> Difference:
    """It opens again when its amounts change, and settles by itself when the two agree."""

    async def work(tx: Tx) -> Difference:
        return await acknowledge(tx, call.principal, difference, body)

    return await call.transact(Difference, work)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *commission.ENDPOINTS,
    *statements.ENDPOINTS,
    get_balances,
    post_check,
    get_checks,
    get_check,
    post_reconciliation,
    get_reconciliations,
    get_differences,
    post_acknowledgement,
)
