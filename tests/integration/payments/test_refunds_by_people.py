"""Refunds that shops and support give: in parts to zero, after the sale is over, and never more than was paid."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from feira.platform.domain.errors import Conflict, FeiraError, NotAllowed, Rejected
from feira.platform.domain.ids import PayoutId
from feira.platform.domain.order_commands import Accept, Ship
from feira.platform.domain.permissions import Principal
from feira.platform.domain.postings_orders import clearance_over
from feira.platform.domain.postings_payouts import payout_started
from feira.platform.domain.refund_events import Refund
from feira.platform.domain.refunds import RefundOrder
from feira.platform.domain.topics import order_topic
from feira.services.payments import ledger
from feira.services.payments.rows import lock_order
from feira.services.returns.refunds import OrderRefunds, list_refunds, refund_order
from feira.sql.database import Tx
from tests.integration.orders.stage import kind
from tests.integration.payments.floor import Floor, Purchase


async def give(floor: Floor, who: Principal, bought: Purchase, **wanted: Any) -> Refund:
    order = msgspec.convert({"reason": "sorry"} | wanted, RefundOrder)
    return await floor.market.database.transact(
        lambda tx: refund_order(tx, who, bought.order, order)
    )


async def arrived(floor: Floor, bought: Purchase) -> None:
    async def is_over() -> bool:
        return not await floor.value(
            "SELECT count(*) FROM refunds WHERE order_id = $1 AND state = 'requested'", bought.order
        )

    await floor.until(is_over)


async def shipped(floor: Floor, bought: Purchase) -> None:
    await floor.stage.do(bought.shop.owner, bought.order, Accept())
    await floor.stage.do(bought.shop.owner, bought.order, Ship(carrier="CTT", tracking_number="1"))


async def left(floor: Floor, bought: Purchase) -> OrderRefunds:
    async with floor.market.database.connection() as con:
        return await list_refunds(con, bought.buyer.principal, bought.order)


@pytest.mark.parametrize(
    ("currency", "price_minor", "parts"),
    [
        ("EUR", 9_999, [3_333, 3_333, 1]),
        ("JPY", 100, [33, 33, 1]),
        ("KWD", 12_345, [4_115, 4_115, 7]),
    ],
)
async def test_parts_given_back_come_to_zero_to_the_cent(
    floor: Floor, currency: str, price_minor: int, parts: list[int]
) -> None:
    bought = await floor.paid(price_minor=price_minor, currency=currency)
    await shipped(floor, bought)
    for part in parts:
        refund = await give(floor, bought.shop.owner, bought, amount_minor=part)
        assert (refund.amount_minor, refund.actor_role) == (part, "seller")
    rest = await give(floor, bought.shop.owner, bought)
    assert rest.amount_minor == price_minor - sum(parts)
    await arrived(floor, bought)
    books = await floor.books(currency)
    assert books == {"psp": -books["fees"], "fees": books["fees"]}
    view = await floor.stage.order(bought.order, bought.buyer.principal)
    assert (view.payment_status, view.refunded_minor) == ("refunded", price_minor)
    assert await floor.provider_refunded(bought.payment) == price_minor
    with pytest.raises(Conflict) as caught:
        await give(floor, bought.shop.owner, bought, amount_minor=1)
    assert caught.value.code == "refund.nothing_left"
    log = [kind(entry) for entry in await floor.stage.events(order_topic(bought.order))]
    assert (log.count("refund.promised"), log.count("refund.succeeded")) == (4, 4)


@pytest.mark.parametrize(
    ("currency", "price_minor", "parts"),
    [("EUR", 9_995, [3_331, 3_331]), ("JPY", 105, [33, 39]), ("KWD", 12_345, [4_115, 1])],
)
async def test_after_completion_it_comes_out_of_clearance_and_the_commission_goes_back(
    floor: Floor, currency: str, price_minor: int, parts: list[int]
) -> None:
    bought = await floor.paid(price_minor=price_minor, currency=currency)
    await floor.complete(bought)
    for part in parts:
        await give(floor, bought.shop.owner, bought, amount_minor=part)
    await arrived(floor, bought)
    books, gone = await floor.books(currency), sum(parts)
    whole = (2 * price_minor * 1_000 + 10_000) // 20_000
    given_back = (2 * whole * gone + price_minor) // (2 * price_minor)
    assert books["commission"] == whole - given_back
    assert books["pending"] == price_minor - gone - books["commission"]
    await give(floor, bought.shop.owner, bought)
    await arrived(floor, bought)
    books = await floor.books(currency)
    assert books == {"psp": -books["fees"], "fees": books["fees"]}


async def test_after_the_payout_the_shop_owes_what_it_does_not_have(floor: Floor) -> None:
    """The worked example: 40.00 of 100.00 at 10 %."""
    bought = await floor.paid(price_minor=10_000)
    await floor.complete(bought)
    await clear(floor, bought)
    await floor.market.database.transact(lambda tx: pay_out(tx, bought, 9_000))
    await give(floor, bought.shop.owner, bought, amount_minor=4_000)
    books = await floor.books()
    assert (books["receivable"], books["commission"], books["refund_payable"]) == (
        3_600,
        600,
        4_000,
    )
    # The next sale settles the debt before the shop gets anything of it.
    more = await floor.paid(price_minor=5_000, shop=bought.shop)
    await floor.complete(more)
    await clear(floor, more)
    books = await floor.books()
    assert (books.get("receivable", 0), books["available"]) == (0, 4_500 - 3_600)
    floor.broken_on_purpose = True  # The payout has postings and no row.


async def clear(floor: Floor, bought: Purchase) -> None:
    """Its time in clearance is over."""

    async def post(tx: Tx) -> None:
        order = await lock_order(tx, bought.order)
        funds = await ledger.lock_shop_funds(tx, order.sale)
        await ledger.post(tx, clearance_over(order.sale, funds))

    await floor.market.database.transact(post)


async def pay_out(tx: Tx, bought: Purchase, amount_minor: int) -> None:
    transaction = payout_started(
        payout_id=PayoutId(uuid4()),
        shop_id=bought.shop.id,
        currency="EUR",
        amount_minor=amount_minor,
    )
    await ledger.post(tx, transaction)


async def test_people_who_refund_at_once_never_give_more_than_was_paid(floor: Floor) -> None:
    bought = await floor.paid(price_minor=10_000)
    await floor.complete(bought)
    support = await floor.stage.person("support")

    async def try_it(who: Principal) -> Refund | FeiraError:
        try:
            return await give(floor, who, bought, amount_minor=3_000)
        except FeiraError as error:
            return error

    outcomes = await asyncio.gather(
        *(try_it(who) for who in [bought.shop.owner, support] * 4), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, FeiraError)]
    assert {error.code for error in refused} == {"refund.exceeds_order"}
    assert len(refused) == 5
    assert (await left(floor, bought)).left_minor == 1_000
    await arrived(floor, bought)
    assert await floor.provider_refunded(bought.payment) == 9_000
    roles = {refund.actor_role for refund in (await left(floor, bought)).items}
    assert roles <= {"seller", "support"}


async def test_units_of_a_line_are_given_back_at_their_price_and_only_once(floor: Floor) -> None:
    bought = await floor.paid(price_minor=1_000, quantity=3)
    await shipped(floor, bought)
    order = await floor.stage.order(bought.order, bought.buyer.principal)
    two = [{"line": str(order.lines[0].id), "quantity": 2}]
    body = {"lines": two, "cause": "damaged", "reason": "broken on the way"}
    path = f"/v1/orders/{bought.order}/refunds"
    status, refund = await floor.api("POST", path, bought.shop.owner, body)
    assert (status, refund["amount_minor"], refund["state"]) == (201, 2_000, "requested")
    assert refund["lines"] == [two[0] | {"amount_minor": 2_000}]
    status, problem = await floor.api("POST", path, bought.shop.owner, body)
    assert (status, problem["code"]) == (422, "refund.too_many_units")
    _, listed = await floor.api("GET", path, bought.buyer.principal)
    assert (listed["left_minor"], listed["currency"], len(listed["items"])) == (1_000, "EUR", 1)


async def test_refunds_are_the_shops_and_supports_to_give_and_not_the_buyers(floor: Floor) -> None:
    bought = await floor.paid()
    with pytest.raises(NotAllowed):
        await give(floor, bought.buyer.principal, bought, amount_minor=1)
    with pytest.raises(Conflict) as caught:
        await give(floor, bought.shop.owner, bought)
    assert caught.value.code == "refund.cancel_instead"
    unpaid = await floor.purchase()
    with pytest.raises(Rejected) as rejected:
        await give(floor, unpaid.shop.owner, unpaid, amount_minor=1)
    assert rejected.value.code == "refund.not_captured"
