"""Invoices have numbers without holes, and lists of orders are searched and taken home."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import timedelta

import pytest

from feira.platform.domain.errors import NotFound
from feira.services.orders.history import (
    OrderFilter,
    OrderSearch,
    export_purchases,
    export_sales,
    list_purchases,
    list_sales,
)
from feira.services.orders.invoices import Invoice, read_invoice
from feira.services.orders.tax_rates import (
    CountryRates,
    RateInput,
    ShopTax,
    replace_rates,
    write_shop_tax,
)
from tests.integration.orders.stage import Stage


async def test_payments_at_once_number_a_shops_invoices_without_holes(stage: Stage) -> None:
    shop, other = await stage.shop(), await stage.shop()
    variant = await stage.variant(shop, on_hand=100)
    beside = await stage.variant(other, on_hand=100)
    made = [(await stage.buy(await stage.buyer(), variant, beside))[0] for _ in range(8)]
    # One that is never paid takes no number.
    await stage.buy(await stage.buyer(), variant)
    await asyncio.gather(*(stage.pay(one) for one in made))
    async with stage.database.connection() as con:
        for shop_id in (shop.id, other.id):
            rows = await con.fetch(
                "SELECT number FROM invoices WHERE shop_id = $1 ORDER BY number", shop_id
            )
            assert [row["number"] for row in rows] == list(range(1, 9))


async def test_an_invoice_says_what_was_agreed_and_is_there_once_the_order_is_paid(
    stage: Stage,
) -> None:
    shop = await stage.shop()
    admin = await stage.person("admin")
    rates = CountryRates(rates=[RateInput(basis_points=600, name="IVA", category="books")])
    await stage.transact(lambda tx: replace_rates(tx, admin, "PT", rates))
    tax = ShopTax(mode="inclusive", tax_number="PT501964843")
    await stage.transact(lambda tx: write_shop_tax(tx, shop.owner, shop.id, tax))
    variant = await stage.variant(shop, price_minor=1_060)
    buyer = await stage.buyer()
    made, (order,) = await stage.buy(buyer, variant, quantity=2)

    async def look() -> Invoice:
        async with stage.database.connection() as con:
            return await read_invoice(con, buyer.principal, order)

    with pytest.raises(NotFound) as unpaid:
        await look()
    assert unpaid.value.code == "invoice.not_issued"
    await stage.pay(made)
    invoice = await look()
    assert (invoice.name, invoice.seller_tax_number) == ("000001", "PT501964843")
    (line,) = invoice.lines
    assert (line.quantity, line.total_minor, line.tax_minor) == (2, 2_120, 120)
    (rate,) = invoice.taxes
    assert (rate.net_minor, rate.tax_minor) == (2_000, 120)
    # What the shop is called and charges later changes no invoice.
    later = ShopTax(mode="exclusive", tax_number="PT000000000")
    await stage.transact(lambda tx: write_shop_tax(tx, shop.owner, shop.id, later))
    assert await look() == invoice


async def test_orders_are_found_by_state_shop_time_and_words(stage: Stage) -> None:
    first, second = await stage.shop(), await stage.shop()
    buyer = await stage.buyer()
    paid, (one,) = await stage.buy(buyer, await stage.variant(first))
    await stage.pay(paid)
    _, (two,) = await stage.buy(buyer, await stage.variant(second))
    view = await stage.order(one, buyer.principal)

    async def found(wanted: OrderFilter) -> list[object]:
        async with stage.database.connection() as con:
            page = await list_purchases(con, buyer.principal, wanted)
        return [order.id for order in page.items]

    assert await found(OrderFilter()) == [two, one]
    assert await found(OrderFilter(status="paid")) == [one]
    assert await found(OrderFilter(payment_status="none")) == [two]
    assert await found(OrderFilter(shop=second.id)) == [two]
    assert await found(OrderFilter(text=view.lines[0].title.upper())) == [one]
    assert await found(OrderFilter(text=view.lines[0].sku)) == [one]
    assert await found(OrderFilter(text=str(view.number))) == [one]
    assert await found(OrderFilter(text=view.shop_name)) == [one]
    assert await found(OrderFilter(text="100%_")) == []
    moment = view.created_at
    assert await found(OrderFilter(since=moment, until=moment + timedelta(microseconds=1))) == [one]
    assert await found(OrderFilter(until=moment)) == []

    async with stage.database.connection() as con:
        sales = await list_sales(con, first.id, first.owner, OrderFilter(text="Thing"))
        assert [order.id for order in sales.items] == [one]
        mine = await export_purchases(con, buyer.principal, OrderSearch(status="paid"))
        theirs = await export_sales(con, first.id, first.owner, OrderSearch())
        with pytest.raises(NotFound):
            await export_sales(con, first.id, second.owner, OrderSearch())
    (row,) = csv.DictReader(io.StringIO(mine.decode("utf-8-sig")))
    assert (row["order"], row["total"], row["currency"]) == (str(view.number), "10.00", "EUR")
    assert theirs == mine
