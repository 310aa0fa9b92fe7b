"""Orders from payment to completion, and what everybody is told."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from feira.platform.domain.errors import Rejected
from feira.platform.domain.ids import OrderId
from feira.platform.domain.order_commands import (
    Accept,
    Cancel,
    Complete,
    Deliver,
    LineQuantity,
    OrderCommand,
    Ship,
)
from feira.platform.domain.order_events import AnyOrderEvent
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import inbox_topic, order_topic, shop_topic
from feira.services.orders.history import OrderFilter, list_purchases, list_sales, read_timeline
from feira.services.orders.orders import OrderView
from tests.integration.orders.stage import Stage, kind

SHIP = Ship(carrier="DHL", tracking_number="1Z9")
CANCEL = Cancel(reason="found it cheaper")


async def test_the_main_path_pays_the_shop_and_tells_everybody(stage: Stage) -> None:
    shop, buyer, order = await stage.placed()
    paid = await stage.order(order, shop.owner)
    assert (paid.status, paid.payment_status, paid.actions) == (
        "paid",
        "captured",
        ("accept", "cancel", "request_more_time"),
    )
    assert await stage.jobs("notifications.order_paid", order=str(order)) == 1

    await stage.do(shop.owner, order, Accept())
    shipped = await stage.do(shop.owner, order, SHIP)
    assert (shipped.status, shipped.fulfilment_status) == ("shipped", "full")
    assert [line.shipped for line in shipped.lines] == [2, 2]
    assert await stage.jobs("notifications.order_shipped", order=str(order)) == 1

    delivered = await stage.do(buyer.principal, order, Deliver())
    assert [deadline.kind for deadline in delivered.deadlines] == ["auto_accept"]
    assert delivered.shipments[0].delivered_at is not None
    done = await stage.do(buyer.principal, order, Complete())
    assert (done.status, done.fulfilment_status, done.actions) == ("completed", "delivered", ())
    assert await stage.ledger("hold", str(order)) == 0
    assert await stage.ledger("pending", str(shop.id)) == 2_500 - 250

    kinds = [kind(entry) for entry in await stage.events(order_topic(order))]
    assert kinds == [
        "order.created",
        "order.paid",
        "order.accepted",
        "order.shipped",
        "order.delivered",
        "order.completed",
    ]
    shop_kinds = [
        kind(entry)
        for entry in await stage.events(shop_topic(shop.id))
        if kind(entry).startswith("order.")
    ]
    assert shop_kinds == ["order.placed"] + ["order.moved"] * 4
    inbox = [
        msgspec.json.decode(entry.body)
        for entry in await stage.events(inbox_topic(buyer.principal.user_id))
    ]
    assert [event["cause"] for event in inbox if event["kind"] == "order.moved"] == kinds[1:]


async def test_a_stale_copy_and_the_events_since_give_what_a_fresh_copy_says(stage: Stage) -> None:
    shop, buyer, order = await stage.placed()
    path: list[tuple[Principal, OrderCommand]] = [
        (shop.owner, Accept()),
        (shop.owner, await one_of_first_line(stage, order, shop.owner)),
        (shop.owner, SHIP),
        (buyer.principal, Deliver()),
        (buyer.principal, Complete()),
    ]
    copies = [(await stage.order(order, buyer.principal), await head(stage, order))]
    for who, command in path:
        await stage.do(who, order, command)
        copies.append((await stage.order(order, buyer.principal), await head(stage, order)))
    fresh = comparable(copies[-1][0])
    for stale, seen in copies:
        copy = comparable(stale)
        for entry in await stage.events(order_topic(order), after=seen):
            evolve(copy, msgspec.json.decode(entry.body, type=AnyOrderEvent))
        assert copy == fresh


async def test_partial_parcels_are_recorded_until_everything_left(stage: Stage) -> None:
    shop, _, order = await stage.placed()
    await stage.do(shop.owner, order, Accept())
    part = await stage.do(shop.owner, order, await one_of_first_line(stage, order, shop.owner))
    assert (part.status, part.fulfilment_status) == ("accepted", "partial")
    assert [line.shipped for line in part.lines] == [1, 0]
    assert part.actions == ("ship", "cancel", "request_more_time")

    first = part.lines[0].id
    too_many = Ship(
        carrier="DHL", tracking_number="X", lines=[LineQuantity(line=first, quantity=2)]
    )
    with pytest.raises(Rejected) as error:
        await stage.do(shop.owner, order, too_many)
    assert (error.value.code, error.value.field) == (
        "order.ships_too_many",
        "$.lines[0].quantity",
    )
    rest = await stage.do(shop.owner, order, SHIP)
    assert (rest.status, rest.fulfilment_status) == ("shipped", "full")
    assert [[item.quantity for item in parcel.lines] for parcel in rest.shipments] == [[1], [1, 2]]


async def test_a_cancelled_paid_order_gives_all_money_and_stock_back(stage: Stage) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_999, on_hand=5)
    buyer = await stage.buyer()
    made, (order,) = await stage.buy(buyer, variant, quantity=2)
    reference = await stage.pay(made)
    assert await stage.stock(variant) == (3, 0)

    cancelled = await stage.do(shop.owner, order, Cancel(reason="out of paper"))
    assert (cancelled.status, cancelled.payment_status) == ("cancelled", "captured")
    assert await stage.stock(variant) == (5, 0)
    assert await stage.ledger("hold", str(order)) == 0
    assert await stage.ledger("refund_payable", str(order)) == 3_998

    await stage.run_refunds(order)
    await stage.run_refunds(order)
    refunded = await stage.order(order, buyer.principal)
    assert (refunded.payment_status, refunded.refunded_minor) == ("refunded", 3_998)
    assert stage.gateway.refunded_minor(reference) == 3_998
    assert await stage.ledger("refund_payable", str(order)) == 0
    last = (await stage.events(order_topic(order)))[-2:]
    assert [kind(entry) for entry in last] == ["order.cancelled", "order.refunded"]
    assert b'"out of paper"' in bytes(last[0].body)


async def test_a_cancelled_unpaid_order_lets_stock_go_and_the_last_one_ends_the_payment(
    stage: Stage,
) -> None:
    variants = [await stage.variant(await stage.shop()) for _ in range(2)]
    buyer = await stage.buyer()
    made, orders = await stage.buy(buyer, *variants)
    payment = {"payment": str(made.payment_id)}
    await stage.do(buyer.principal, orders[0], CANCEL)
    assert await stage.stock(variants[0]) == (10, 0)
    assert await stage.jobs("payments.cancel_intent", **payment) == 0
    await stage.do(buyer.principal, orders[1], CANCEL)
    assert await stage.jobs("payments.cancel_intent", **payment) == 1


async def test_two_orders_of_a_group_cancelled_at_once_end_the_payment_once(stage: Stage) -> None:
    variants = [await stage.variant(await stage.shop()) for _ in range(2)]
    for _ in range(5):
        buyer = await stage.buyer()
        made, orders = await stage.buy(buyer, *variants)
        await asyncio.gather(*(stage.do(buyer.principal, order, CANCEL) for order in orders))
        assert await stage.jobs("payments.cancel_intent", payment=str(made.payment_id)) == 1


async def test_money_for_a_partly_cancelled_group_buys_the_rest_and_gives_the_part_back(
    stage: Stage,
) -> None:
    variants = [
        await stage.variant(await stage.shop(), price_minor=price) for price in (1_000, 300)
    ]
    buyer = await stage.buyer()
    made, (kept, dropped) = await stage.buy(buyer, *variants)
    await stage.do(buyer.principal, dropped, CANCEL)
    reference = await stage.pay(made)
    assert (await stage.order(kept, buyer.principal)).status == "paid"
    late = await stage.order(dropped, buyer.principal)
    assert (late.status, late.payment_status) == ("cancelled", "captured")
    await stage.run_refunds(dropped)
    assert stage.gateway.refunded_minor(reference) == 300
    assert (await stage.order(dropped, buyer.principal)).payment_status == "refunded"


async def test_a_declined_payment_is_told_and_may_be_tried_again(stage: Stage) -> None:
    variant = await stage.variant(await stage.shop())
    buyer = await stage.buyer()
    made, (order,) = await stage.buy(buyer, variant)
    reference = await stage.intent(made)
    stage.gateway.decline(reference, "card_declined")
    await stage.news(reference)
    assert (await stage.order(order, buyer.principal)).status == "pending_payment"
    last = (await stage.events(order_topic(order)))[-1]
    assert kind(last) == "order.payment_declined"
    assert b"card_declined" in bytes(last.body)
    await stage.pay(made)
    assert (await stage.order(order, buyer.principal)).status == "paid"


async def test_news_of_a_payment_that_comes_often_counts_once(stage: Stage) -> None:
    shop, buyer, order = await stage.placed()
    view = await stage.order(order, buyer.principal)
    reference = await stage.reference(view)
    await asyncio.gather(*(stage.news(reference) for _ in range(4)))
    assert (await stage.order(order, buyer.principal)).version == view.version
    assert await stage.ledger("hold", str(order)) == view.total_minor
    assert shop.id == view.shop_id


async def test_lists_come_newest_first_in_pages_and_by_status(stage: Stage) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, on_hand=20)
    buyer = await stage.buyer()
    orders: list[OrderId] = []
    for _ in range(4):
        orders += (await stage.buy(buyer, variant))[1]
    made, ids = await stage.buy(buyer, variant)
    orders += ids
    await stage.pay(made)
    newest_first = orders[::-1]
    async with stage.database.connection() as con:
        seen: list[OrderId] = []
        cursor: str | None = None
        while True:
            wanted = msgspec.convert({"limit": 2, "cursor": cursor}, OrderFilter)
            page = await list_purchases(con, buyer.principal, wanted)
            seen += [item.id for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == newest_first
        paid = await list_sales(con, shop.id, shop.owner, OrderFilter(status="paid"))
        assert [item.id for item in paid.items] == newest_first[:1]
        assert (paid.items[0].units, paid.items[0].line_count) == (1, 1)
        timeline = await read_timeline(con, orders[-1], buyer.principal, after=0, limit=1)
        assert (len(timeline.items), timeline.next_cursor) == (1, "1")
        rest = await read_timeline(con, orders[-1], buyer.principal, after=1, limit=10)
        assert ([kind(entry) for entry in rest.items], rest.next_cursor) == (["order.paid"], None)


async def head(stage: Stage, order: OrderId) -> int:
    return (await stage.events(order_topic(order)))[-1].seq


async def one_of_first_line(stage: Stage, order: OrderId, who: Principal) -> Ship:
    line = (await stage.order(order, who)).lines[0]
    return Ship(carrier="UPS", tracking_number="A1", lines=[LineQuantity(line=line.id, quantity=1)])


def comparable(view: OrderView) -> dict[str, Any]:
    """Everything but what follows from who asks."""
    copy = msgspec.to_builtins(view)
    del copy["actions"]
    return copy


def evolve(copy: dict[str, Any], event: AnyOrderEvent) -> None:
    """What a page does with its copy of an order when an event comes in."""
    told = msgspec.to_builtins(event)
    for name in (
        "version",
        "status",
        "payment_status",
        "fulfilment_status",
        "deadlines",
        "updated_at",
    ):
        copy[name] = told[name]
    if "shipment" in told:
        copy["shipments"].append(told["shipment"])
        for item in told["shipment"]["lines"]:
            line = next(line for line in copy["lines"] if line["id"] == item["line"])
            line["shipped"] += item["quantity"]
    if "delivered_at" in told:
        for shipment in copy["shipments"]:
            shipment["delivered_at"] = told["delivered_at"]
    if "refunded_minor" in told:
        copy["refunded_minor"] = told["refunded_minor"]
