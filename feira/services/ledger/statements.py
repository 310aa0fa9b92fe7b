"""A shop's statement: what the market owed it at the beginning of a period, what changed that, and at its end.

The balance is what is in clearance and available, less what the shop owes; what is on its way to the bank has left
it. Money of orders that are not completed is not the shop's yet. A transaction that only moves money among these
accounts is no line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from feira.platform.domain.errors import InvalidInput
from feira.platform.domain.ids import OrderId, ShopId
from feira.platform.domain.money import require_currency
from feira.sql.database import Database
from feira.sql.loader import Connection, fetch_all, load_queries

SQL: Final = load_queries("statements")

LineKind = Literal[
    "order",
    "refund",
    "refund_returned",
    "chargeback",
    "chargeback_returned",
    "payout",
    "payout_returned",
    "debt_collected",
    "adjustment",
    "other",
]
PERIOD_DAYS_MAX: Final = 366
PAGE_MAX: Final = 500
# No transaction of ours lasts longer: nothing may still appear in a period that ended before.
_SETTLED_AFTER: Final = timedelta(minutes=10)


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """`since` belongs to it, `until` does not."""

    since: datetime
    until: datetime

    @staticmethod
    def of_days(first: date, last: date, time_zone: str = "UTC") -> Period:
        """Whole days, both included, as a calendar of `time_zone` has them.

        Raises:
            InvalidInput: `statement.bad_period`: it ends before it begins, or is longer than a year.
        """
        if not timedelta(0) <= last - first < timedelta(days=PERIOD_DAYS_MAX):
            raise InvalidInput(
                "statement.bad_period",
                f"A statement is of 1 to {PERIOD_DAYS_MAX} days.",
                field="$.last_day",
            )
        zone = ZoneInfo(time_zone)
        return Period(
            since=datetime.combine(first, time(), zone),
            until=datetime.combine(last + timedelta(days=1), time(), zone),
        )


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `net_minor = amount + subsidy + commission` is what it changed, negative against the shop.

    `amount_minor`: of an order, what its buyer paid; of a refund, what went back. `subsidy_minor`: what the market
    adds for discounts that it pays. `commission_minor`: negative where the market takes it.
    """

    id: int
    at: datetime
    kind: LineKind
    order_id: OrderId | None
    order_number: int | None
    # Of the payout, refund, chargeback or adjustment; of the order where it is one.
    reference: str
    reason: str
    amount_minor: int
    subsidy_minor: int
    commission_minor: int
    net_minor: int
    balance_minor: int


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """`opening + every net = closing`. Once `is_final`, nothing more appears in it.

    `next_cursor` gets the next lines; opening and closing are those of the whole period on every page.
    """

    shop_id: ShopId
    currency: str
    since: datetime
    until: datetime
    opening_minor: int
    closing_minor: int
    is_final: bool
    lines: list[StatementLine]
    next_cursor: int | None


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    at: datetime
    kind: str
    idem_key: str
    order_id: OrderId | None
    order_number: int | None
    reason: str
    net_minor: int
    commission_minor: int
    subsidy_minor: int


class _Sums(NamedTuple):
    opening_minor: int
    closing_minor: int
    before_page_minor: int
    now: datetime


_KINDS: Final[dict[str, LineKind]] = {
    "completed": "order",
    "refund_requested": "refund",
    "refund_failed": "refund_returned",
    "chargeback_opened": "chargeback",
    "chargeback_won": "chargeback_returned",
    "chargeback_reinstated": "chargeback_returned",
    "payout_started": "payout",
    "payout_given_up": "payout_returned",
    "transfer_recouped": "debt_collected",
    "adjusted": "adjustment",
    "written_off": "adjustment",
}


async def read_statement(
    con: Connection,
    shop_id: ShopId,
    currency: str,
    period: Period,
    *,
    limit: int = PAGE_MAX,
    cursor: int | None = None,
) -> Statement:
    """Read a page of a statement, on one snapshot. The caller asks the permission table.

    Raises:
        InvalidInput: `money.unknown_currency`.
    """
    require_currency(currency)
    async with con.transaction(isolation="repeatable_read", readonly=True):
        row = await con.fetchrow(
            SQL["read_sums"], shop_id, currency, period.since, period.until, cursor
        )
        assert row is not None, "an aggregate gives one row"
        sums = _Sums(*row.values())
        rows = await fetch_all(
            con,
            SQL["read_lines"],
            _Line,
            shop_id,
            currency,
            period.since,
            period.until,
            cursor,
            limit + 1,
        )
    lines: list[StatementLine] = []
    balance = sums.before_page_minor
    for line in rows[:limit]:
        balance += line.net_minor
        lines.append(_view(line, balance))
    more = len(rows) > limit
    assert more or balance == sums.closing_minor, "a statement adds up"
    return Statement(
        shop_id=shop_id,
        currency=currency,
        since=period.since,
        until=period.until,
        opening_minor=sums.opening_minor,
        closing_minor=sums.closing_minor,
        is_final=period.until + _SETTLED_AFTER <= sums.now,
        lines=lines,
        next_cursor=lines[-1].id if more else None,
    )


async def whole_statement(
    database: Database, shop_id: ShopId, currency: str, period: Period
) -> AsyncIterator[Statement]:
    """Read a statement page by page, each on a connection of its own: a reader may take its time with each."""
    cursor: int | None = None
    while True:
        async with database.connection() as con:
            page = await read_statement(con, shop_id, currency, period, cursor=cursor)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


def _view(line: _Line, balance_minor: int) -> StatementLine:
    return StatementLine(
        id=line.id,
        at=line.at,
        kind=_KINDS.get(line.kind, "other"),
        order_id=line.order_id,
        order_number=line.order_number,
        reference=_reference(line.idem_key),
        reason=line.reason,
        amount_minor=line.net_minor - line.commission_minor - line.subsidy_minor,
        subsidy_minor=line.subsidy_minor,
        commission_minor=line.commission_minor,
        net_minor=line.net_minor,
        balance_minor=balance_minor,
    )


def _reference(idem_key: str) -> str:
    """The thing that a key names: "payout_started:{payout}" and "payout_paid:{payout}:2" name the payout."""
    return idem_key.split(":")[1]
