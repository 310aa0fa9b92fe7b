"""A statement says what changed a shop's balance, adds up, and is cut into pages and periods without a seam."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from feira.platform.domain import postings_chargebacks as chargebacks
from feira.platform.domain import postings_orders as orders
from feira.platform.domain import postings_payouts as payouts
from feira.platform.domain import postings_refunds as refunds
from feira.platform.domain import postings_shops as shops
from feira.platform.domain.errors import InvalidInput
from feira.platform.domain.ids import (
    AdjustmentId,
    ChargebackId,
    OrderId,
    PaymentId,
    PayoutId,
    RefundId,
    ShopId,
)
from feira.platform.domain.postings_orders import OrderShare
from feira.platform.domain.shop_funds import Sale, ShopFunds
from feira.services.ledger.statements import (
    Period,
    Statement,
    StatementLine,
    read_statement,
    whole_statement,
)
from feira.sql.database import Database
from feira.sql.loader import Connection
from tests.integration.ledger.books import write

SHOP = ShopId(UUID(int=7))
TODAY = datetime.now(UTC).date()
AROUND_NOW = Period.of_days(TODAY - timedelta(days=1), TODAY + timedelta(days=1))


def sale(total: int = 8_000, *, subsidy: int = 2_000, shop: ShopId = SHOP) -> Sale:
    return Sale(
        order_id=OrderId(uuid4()),
        shop_id=shop,
        currency="EUR",
        total_minor=total,
        commission_minor=1_000,
        subsidy_minor=subsidy,
    )


async def complete(database: Database, order: Sale) -> None:
    share = OrderShare(order_id=order.order_id, total_minor=order.total_minor)
    await write(
        database,
        orders.captured(
            payment_id=PaymentId(uuid4()),
            gateway="sandbox",
            currency="EUR",
            orders=[share],
            fee_minor=10,
        ),
        orders.completed(order, refunded_minor=0),
    )


async def read(database: Database, period: Period = AROUND_NOW) -> Statement:
    async with database.connection() as con:
        return await read_statement(con, SHOP, "EUR", period)


def shown(lines: list[StatementLine]) -> list[tuple[str, int, int, int, int, int]]:
    return [
        (
            line.kind,
            line.amount_minor,
            line.subsidy_minor,
            line.commission_minor,
            line.net_minor,
            line.balance_minor,
        )
        for line in lines
    ]


async def test_every_kind_of_line_stands_with_the_markets_part_of_it(database: Database) -> None:
    order, other = sale(), sale(10_000, subsidy=0)
    refund, payout = RefundId(uuid4()), PayoutId(uuid4())
    await complete(database, order)
    await write(
        database,
        refunds.refund_requested(
            order,
            refund_id=refund,
            amount_minor=4_000,
            before_minor=0,
            funds=ShopFunds(stage="clearing", pending_minor=9_000),
        ),
        orders.clearance_over(order, ShopFunds(stage="clearing", pending_minor=4_500)),
        payouts.payout_started(payout_id=payout, shop_id=SHOP, currency="EUR", amount_minor=4_500),
        payouts.transfer_made(
            payout_id=payout, gateway="sandbox", shop_id=SHOP, currency="EUR", amount_minor=4_500
        ),
    )
    await complete(database, other)
    funds = ShopFunds(stage="clearing", pending_minor=9_000)
    share = chargebacks.chargeback_share(
        other,
        chargeback_id=ChargebackId(uuid4()),
        gateway="sandbox",
        amount_minor=10_000,
        before_minor=0,
        funds=funds,
    )
    await write(
        database,
        chargebacks.chargeback_opened(other, share, funds),
        chargebacks.chargeback_won(other, share, other_minor=0, funds=ShopFunds(stage="clearing")),
        shops.adjusted(
            adjustment_id=AdjustmentId(uuid4()),
            shop_id=SHOP,
            currency="EUR",
            amount_minor=-250,
            funds=ShopFunds(stage="cleared"),
            reason="labels",
        ),
    )
    statement = await read(database)
    assert shown(statement.lines) == [
        ("order", 8_000, 2_000, -1_000, 9_000, 9_000),
        ("refund", -4_000, -1_000, 500, -4_500, 4_500),
        ("payout", -4_500, 0, 0, -4_500, 0),
        ("order", 10_000, 0, -1_000, 9_000, 9_000),
        ("chargeback", -9_000, 0, 0, -9_000, 0),
        ("chargeback_returned", 9_000, 0, 0, 9_000, 9_000),
        ("adjustment", -250, 0, 0, -250, 8_750),
    ]
    assert (statement.opening_minor, statement.closing_minor) == (0, 8_750)
    assert not statement.is_final
    lines = statement.lines
    assert [line.reference for line in lines[:3]] == [
        str(order.order_id),
        str(refund),
        str(payout),
    ]
    assert lines[-1].reason == "labels"


async def test_pages_follow_each_other_without_a_seam(database: Database) -> None:
    for number in range(7):
        await complete(database, sale(2_000 + number, subsidy=0))
    whole = await read(database)
    pages: list[Statement] = []
    cursor: int | None = None
    while cursor is not None or not pages:
        async with database.connection() as con:
            pages.append(await read_statement(con, SHOP, "EUR", AROUND_NOW, limit=3, cursor=cursor))
        cursor = pages[-1].next_cursor
    assert [len(page.lines) for page in pages] == [3, 3, 1]
    assert [line for page in pages for line in page.lines] == whole.lines
    assert {(page.opening_minor, page.closing_minor) for page in pages} == {
        (0, whole.closing_minor)
    }
    streamed = [page async for page in whole_statement(database, SHOP, "EUR", AROUND_NOW)]
    assert [line for page in streamed for line in page.lines] == whole.lines


async def test_periods_follow_each_other_without_a_seam(
    database: Database, owner: Connection
) -> None:
    for number in range(6):
        await complete(database, sale(1_000 * (number + 2), subsidy=0))
    # One a day from the 28th of February on, at its first moment.
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(
        "UPDATE ledger_transactions t SET at = '2026-02-28'::timestamptz + make_interval(days => n.day)"
        " FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1)::int AS day FROM ledger_transactions"
        " WHERE kind = 'completed') n WHERE n.id = t.id"
    )
    february = await read(database, Period.of_days(date(2026, 2, 1), date(2026, 2, 28)))
    march = await read(database, Period.of_days(date(2026, 3, 1), date(2026, 3, 31)))
    assert (len(february.lines), len(march.lines)) == (1, 5)
    assert february.opening_minor == 0
    assert february.closing_minor == march.opening_minor == 1_000
    assert march.closing_minor == 1_000 + 2_000 + 3_000 + 4_000 + 5_000 + 6_000
    assert february.is_final


async def test_other_shops_and_currencies_are_on_other_statements(database: Database) -> None:
    await complete(database, sale(shop=ShopId(UUID(int=8))))
    assert (await read(database)).lines == []
    async with database.connection() as con:
        assert (await read_statement(con, SHOP, "JPY", AROUND_NOW)).lines == []


@pytest.mark.parametrize(
    ("first", "last"),
    [(date(2026, 1, 2), date(2026, 1, 1)), (date(2025, 1, 1), date(2026, 1, 2))],
)
def test_a_period_is_of_one_day_to_one_year(first: date, last: date) -> None:
    with pytest.raises(InvalidInput, match="bad_period"):
        Period.of_days(first, last)


def test_days_are_those_of_a_calendar() -> None:
    """Clocks go forward in Lisbon on 29 March 2026: the day has 23 hours."""
    day = Period.of_days(date(2026, 3, 29), date(2026, 3, 29), "Europe/Lisbon")
    assert day.until.astimezone(UTC) - day.since.astimezone(UTC) == timedelta(hours=23)
