"""Shops' statements, as JSON page by page and as one CSV."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import ShopId
from feira.platform.domain.money import format_money, require_currency
from feira.platform.domain.permissions import require
from feira.services.ledger.statements import (
    PAGE_MAX,
    Period,
    Statement,
    StatementLine,
    read_statement,
    whole_statement,
)
from feira.services.users.shops import shop_roles
from feira.sql.loader import Connection

_COLUMNS: Final = (
    *("at", "kind", "order", "reference", "reason"),
    *("amount", "subsidy", "commission", "net", "balance", "currency"),
)


class StatementDays(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Both days are included, and are those of UTC; at most 366."""

    currency: Annotated[str, Meta(max_length=3)]
    first_day: date
    last_day: date

    @property
    def period(self) -> Period:
        return Period.of_days(self.first_day, self.last_day)


class StatementQuery(StatementDays, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 100
    cursor: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


@endpoint(
    "GET",
    "/v1/shops/{shop}/statement",
    service="payments",
    scope="payouts:read",
    summary="What changed a shop's balance in a period.",
)
async def get_statement(call: Call, shop: ShopId, query: StatementQuery) -> Statement:
    """Opening balance, each order, refund, chargeback, payout and correction, and the closing balance."""
    async with call.market.database.connection() as con:
        await _require_books(con, call, shop)
        return await read_statement(
            con, shop, query.currency, query.period, limit=query.limit, cursor=query.cursor
        )


@endpoint(
    "GET",
    "/v1/shops/{shop}/statement.csv",
    service="payments",
    scope="payouts:read",
    summary="The same as a CSV.",
)
async def get_statement_csv(call: Call, shop: ShopId, query: StatementDays) -> web.StreamResponse:
    """UTF-8 with a header, amounts as decimals; opening and closing balance are its first and last line."""
    require_currency(query.currency)
    period = query.period
    async with call.market.database.connection() as con:
        await _require_books(con, call, shop)
    name = f"statement-{query.currency}-{query.first_day}-{query.last_day}.csv"
    answer = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}"',
        }
    )
    begun = False
    async for page in whole_statement(call.market.database, shop, query.currency, period):
        rows = [] if begun else [_COLUMNS, _balance_row(page, "opening", page.opening_minor)]
        rows += [_row(line, page.currency) for line in page.lines]
        if page.next_cursor is None:
            rows.append(_balance_row(page, "closing", page.closing_minor))
        if not begun:
            # What can go wrong has done so by now: there are headers to send, or a problem.
            await answer.prepare(call.request)
            begun = True
        await answer.write(_csv(rows))
    await answer.write_eof()
    return answer


async def _require_books(con: Connection, call: Call, shop: ShopId) -> None:
    relations = await shop_roles(con, shop, call.principal)
    if not relations and call.principal.roles.isdisjoint({"support", "finance", "admin"}):
        raise NotFound("shop.not_found", "There is no such shop.")
    require("shop.read_private", call.principal, relations)


def _balance_row(page: Statement, kind: str, balance_minor: int) -> tuple[str, ...]:
    at = page.since if kind == "opening" else page.until
    balance = _decimal(balance_minor, page.currency)
    return (at.isoformat(), kind, "", "", "", "", "", "", "", balance, page.currency)


def _row(line: StatementLine, currency: str) -> tuple[str, ...]:
    return (
        line.at.isoformat(),
        line.kind,
        "" if line.order_number is None else str(line.order_number),
        line.reference,
        _harmless(line.reason),
        _decimal(line.amount_minor, currency),
        _decimal(line.subsidy_minor, currency),
        _decimal(line.commission_minor, currency),
        _decimal(line.net_minor, currency),
        _decimal(line.balance_minor, currency),
        currency,
    )


def _decimal(amount_minor: int, currency: str) -> str:
    return format_money(amount_minor, currency).partition(" ")[0]


def _harmless(text: str) -> str:
    """A spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _csv(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


ENDPOINTS: Final[tuple[Endpoint, ...]] = (get_statement, get_statement_csv)
