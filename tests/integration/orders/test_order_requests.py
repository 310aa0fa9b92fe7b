"""Cancelling by each side, late shops, parcels in parts: on real stores, with the money and the stock."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from feira.jobs.order_news import handle_deadline, handle_order_moved
from feira.jobs.orders import handle_fire_deadlines
from feira.jobs.run import JobRun
from feira.platform.domain.errors import Conflict
from feira.platform.domain.ids import JobId, OrderId, UserId
from feira.platform.domain.jobs import FireOrderDeadlines, NotifyOrderMoved, RemindOfDeadline
from feira.platform.domain.order_commands import (
    Accept,
    ApproveCancel,
    Cancel,
    Complete,
    DeadlineKind,
    DeclineCancel,
    Deliver,
    ExtendShipBy,
    LineQuantity,
    OpenDispute,
    OrderCommand,
    RequestCancel,
    RequestMoreTime,
    Ship,
    WithdrawDispute,
)
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import inbox_topic, order_topic, shop_topic
from feira.services.orders.deadlines import fire
from feira.services.orders.views import OrderView
from feira.services.users.shop_profiles import UpdateShop, update_shop
from feira.sql.database import Tx
from tests.integration.orders.stage import Buyer, Shop, Stage, kind, patiently

SHIP = Ship(carrier="DHL", tracking_number="1Z9")
ASK = RequestCancel(reason="bought it twice")


async def accepted(stage: Stage) -> tuple[Shop, Buyer, OrderId]:
    """An order of two units at 10.00 and two at 2.50."""
    shop, buyer, order = await stage.placed()
    await stage.do(shop.owner, order, Accept())
    return shop, buyer, order


async def run_deadlines(stage: Stage) -> None:
    await handle_fire_deadlines(JobRun(stage.market, JobId(UUID(int=1)), 1), FireOrderDeadlines())


async def pass_time(stage: Stage, order: OrderId, kind: DeadlineKind) -> None:
    async with stage.database.connection() as con:
        moved = await con.execute(
            "UPDATE order_deadlines SET due_at = now() - interval '1 second'"
            " WHERE order_id = $1 AND kind = $2",
            order,
            kind,
        )
    assert moved == "UPDATE 1", f"{kind} is there"


async def first_line(stage: Stage, order: OrderId, who: Principal, quantity: int) -> Ship:
    line = (await stage.order(order, who)).lines[0].id
    lines = [LineQuantity(line=line, quantity=quantity)]
    return Ship(carrier="DHL", tracking_number="A", lines=lines)


async def told(stage: Stage, user: UserId) -> list[str]:
    """Causes of the notices that somebody got."""
    async with stage.database.connection() as con:
        rows = await con.fetch(
            "SELECT data ->> 'cause' AS cause FROM notifications"
            " WHERE user_id = $1 AND kind = 'order.moved' ORDER BY id",
            user,
        )
    return [row["cause"] for row in rows]


async def run_news(stage: Stage, order: OrderId) -> None:
    """Do what the jobs do that tell an order's sides."""
    handlers = {NotifyOrderMoved: handle_order_moved, RemindOfDeadline: handle_deadline}
    kinds = {job.__struct_config__.tag: job for job in handlers}
    async with stage.database.connection() as con:
        rows = await con.fetch(
            "UPDATE jobs SET state = 'running', attempt = 1, lease_until = now() + interval '1 minute' WHERE kind = ANY ($1)"
            " AND args ->> 'order' = $2 AND state <> 'done' RETURNING id, kind, args",
            list(kinds),
            str(order),
        )
    for row in sorted(rows, key=lambda one: one["id"]):
        job = kinds[row["kind"]]
        run = JobRun(stage.market, JobId(row["id"]), 1)
        wanted: Any = msgspec.json.decode(row["args"], type=job)
        await handlers[job](run, wanted)


async def test_a_buyer_asks_to_cancel_and_the_shop_agrees(stage: Stage) -> None:
    shop, buyer, order = await accepted(stage)
    with pytest.raises(Conflict) as alone:
        await stage.do(buyer.principal, order, Cancel(reason="bought it twice"))
    assert alone.value.code == "order.ask_to_cancel"
    asked = await stage.do(buyer.principal, order, ASK)
    assert [(one.kind, one.asked_by, one.reason) for one in asked.requests] == [
        ("cancel", buyer.principal.user_id, ASK.reason)
    ]
    stands = {deadline.kind: deadline.paused_at is not None for deadline in asked.deadlines}
    assert stands == {"cancel_answer": False, "ship_by": True}
    with pytest.raises(Conflict) as shipped:
        await stage.do(shop.owner, order, SHIP)
    assert shipped.value.code == "order.cancel_requested"
    agreed = await stage.do(shop.owner, order, ApproveCancel())
    assert (agreed.status, agreed.requests, agreed.deadlines) == ("cancelled", [], ())
    await stage.run_refunds(order)
    assert (await stage.order(order, shop.owner)).payment_status == "refunded"

    await run_news(stage, order)
    assert await told(stage, shop.owner.user_id) == ["order.cancel_requested"]
    assert await told(stage, buyer.principal.user_id) == ["order.cancelled"]


async def test_a_declined_request_resumes_the_shops_time_and_everybody_hears_of_it(
    stage: Stage,
) -> None:
    shop, buyer, order = await accepted(stage)
    asked = await stage.do(buyer.principal, order, ASK)
    declined = await stage.do(shop.owner, order, DeclineCancel(reason="it is packed"))
    was = next(one for one in asked.deadlines if one.kind == "ship_by")
    (now,) = declined.deadlines
    assert now.due_at - was.due_at == declined.updated_at - asked.updated_at
    topics = (
        order_topic(order),
        shop_topic(shop.id),
        inbox_topic(buyer.principal.user_id),
    )
    for topic in topics:
        last = [msgspec.json.decode(entry.body) for entry in await stage.events(topic)][-1]
        shown = msgspec.to_builtins(now)
        assert last["deadlines"] == [shown], topic


async def test_silence_grants_what_the_buyer_asked_for(stage: Stage) -> None:
    _, buyer, order = await accepted(stage)
    await stage.do(buyer.principal, order, ASK)
    await pass_time(stage, order, "cancel_answer")
    await asyncio.gather(*(run_deadlines(stage) for _ in range(3)))
    view = await stage.order(order, buyer.principal)
    assert (view.status, view.version) == ("cancelled", 5)
    last = msgspec.json.decode((await stage.events(order_topic(order)))[-1].body)
    assert (last["actor_role"], last["actor"], last["refund_minor"]) == ("timer", None, 2_500)


async def test_a_late_shop_may_be_left_at_once_or_given_time(stage: Stage) -> None:
    shop, buyer, order = await accepted(stage)
    await pass_time(stage, order, "ship_by")
    await run_deadlines(stage)
    late = await stage.order(order, buyer.principal)
    assert late.actions == ("cancel", "extend_ship_by")
    assert [one.kind for one in late.deadlines] == ["late_cancel"]
    until = late.updated_at + timedelta(days=5)
    asked = await stage.do(
        shop.owner, order, RequestMoreTime(ship_by=until, reason="the glue has to dry")
    )
    assert [(one.kind, one.ship_by) for one in asked.requests] == [("more_time", until)]
    given = await stage.do(buyer.principal, order, ExtendShipBy(ship_by=until))
    assert (given.requests, [(one.kind, one.due_at) for one in given.deadlines]) == (
        [],
        [("ship_by", until)],
    )
    await pass_time(stage, order, "ship_by")
    await run_deadlines(stage)
    await pass_time(stage, order, "late_cancel")
    await run_deadlines(stage)
    assert (await stage.order(order, shop.owner)).status == "cancelled"
    await run_news(stage, order)
    assert "order.ship_by_missed" in await told(stage, buyer.principal.user_id)


async def test_the_rest_of_a_partly_shipped_order_is_cancelled_to_the_cent_and_the_unit(
    stage: Stage,
) -> None:
    shop = await stage.shop()
    variants = [await stage.variant(shop, price_minor=price) for price in (1_000, 250)]
    buyer = await stage.buyer()
    made, (order,) = await stage.buy(buyer, *variants, quantity=3)
    await stage.pay(made)
    await stage.do(shop.owner, order, Accept())
    await stage.do(shop.owner, order, await first_line(stage, order, shop.owner, 2))
    view = await stage.do(shop.owner, order, Cancel(reason="the rest broke"))
    assert (view.status, view.fulfilment_status) == ("shipped", "full")
    assert [(line.shipped, line.cancelled) for line in view.lines] == [(2, 1), (0, 3)]
    assert [await stage.stock(variant) for variant in variants] == [(8, 0), (10, 0)]
    await stage.run_refunds(order)
    assert (await stage.order(order, shop.owner)).refunded_minor == 1_000 + 750

    await stage.do(buyer.principal, order, Deliver())
    await stage.do(buyer.principal, order, Complete())
    assert await stage.ledger("hold", str(order)) == 0
    assert await stage.ledger("pending", str(shop.id)) == 1_800


async def test_parcels_arrive_one_by_one(stage: Stage) -> None:
    shop, buyer, order = await accepted(stage)
    await stage.do(shop.owner, order, await first_line(stage, order, shop.owner, 1))
    view = await stage.do(shop.owner, order, SHIP)
    first, second = (parcel.id for parcel in view.shipments)
    one = await stage.do(buyer.principal, order, Deliver(shipment=second))
    assert one.status == "shipped"
    assert [parcel.delivered_at is not None for parcel in one.shipments] == [False, True]
    both = await stage.do(buyer.principal, order, Deliver(shipment=first))
    assert (both.status, [one.kind for one in both.deadlines]) == ("delivered", ["auto_accept"])


async def test_a_buyer_is_told_before_silence_counts_as_consent_and_not_when_it_does_not(
    stage: Stage,
) -> None:
    shop, buyer, order = await accepted(stage)
    await stage.do(shop.owner, order, SHIP)
    await stage.do(buyer.principal, order, Deliver())
    await stage.do(buyer.principal, order, OpenDispute(problem="damaged", text="Look."))
    await run_news(stage, order)
    assert "deadline.auto_accept" not in await told(stage, buyer.principal.user_id)
    await stage.do(buyer.principal, order, WithdrawDispute(reason="glued it"))
    await run_news(stage, order)
    assert (await told(stage, buyer.principal.user_id)).count("deadline.auto_accept") == 1


async def test_a_shop_is_held_to_its_own_promise(stage: Stage) -> None:
    shop, buyer, order = await stage.placed()
    usual = (await stage.order(order, buyer.principal)).deadlines[0]
    change = UpdateShop(version=1, ship_within_days=9)
    view = await stage.transact(lambda tx: update_shop(tx, shop.owner, shop.id, change))
    assert view.ship_within_days == 9
    variant = await stage.variant(shop)
    made, (promised,) = await stage.buy(buyer, variant)
    await stage.pay(made)
    later = await stage.order(promised, buyer.principal)
    assert (later.deadlines[0].due_at - later.updated_at).days == 9
    assert (await stage.order(order, buyer.principal)).deadlines[0] == usual


@pytest.mark.parametrize(
    ("deadline", "commands"),
    [
        ("late_cancel", [SHIP, Cancel(reason="we lost it")]),
        ("cancel_answer", [ApproveCancel(), DeclineCancel(reason="it is packed")]),
    ],
)
async def test_a_timer_racing_commands_ends_in_exactly_one_of_the_ways(
    stage: Stage, deadline: DeadlineKind, commands: list[OrderCommand]
) -> None:
    for _ in range(4):
        shop, buyer, order = await accepted(stage)
        if deadline == "late_cancel":
            await pass_time(stage, order, "ship_by")
            await run_deadlines(stage)
        else:
            await stage.do(buyer.principal, order, ASK)
        before = await stage.order(order, shop.owner)
        await pass_time(stage, order, deadline)

        async def ask(command: OrderCommand, order: OrderId = order, shop: Shop = shop) -> object:
            return await patiently(lambda: stage.do(shop.owner, order, command))

        results = await asyncio.gather(
            *(ask(command) for command in commands), *(run_deadlines(stage) for _ in range(2))
        )
        await run_deadlines(stage)
        view = await stage.order(order, shop.owner)
        assert view.version == before.version + 1, "one of them, once"
        done = [result for result in results if isinstance(result, OrderView)]
        assert len(done) <= 1
        await stage.run_refunds(order)
        held = await stage.ledger("hold", str(order))
        assert held == (0 if view.status == "cancelled" else 2_500)


async def test_an_order_that_cannot_be_timed_out_keeps_no_other_waiting(stage: Stage) -> None:
    broken, fine = [(await accepted(stage)) for _ in range(2)]
    for _, buyer, order in (broken, fine):
        await stage.do(buyer.principal, order, ASK)
        await pass_time(stage, order, "cancel_answer")
    async with stage.database.connection() as con:
        # By hand, as nobody should: its units cannot come back.
        await con.execute("DELETE FROM reservations WHERE order_id = $1", broken[2])
    await run_deadlines(stage)
    assert (await stage.order(fine[2], fine[0].owner)).status == "cancelled"
    view = await stage.order(broken[2], broken[0].owner)
    assert (view.status, await stage.ledger("hold", str(view.id))) == ("accepted", 2_500)


async def test_a_worker_killed_before_its_commit_leaves_all_to_the_next_one(stage: Stage) -> None:
    shop, buyer, order = await accepted(stage)
    await stage.do(buyer.principal, order, ASK)
    await pass_time(stage, order, "cancel_answer")

    class Killed(BaseException):
        pass

    async def die(tx: Tx) -> None:
        assert await fire(tx, kind="cancel_answer") > 0
        raise Killed

    with pytest.raises(Killed):
        await stage.transact(die)
    assert (await stage.order(order, shop.owner)).status == "accepted"
    await run_deadlines(stage)
    assert (await stage.order(order, shop.owner)).status == "cancelled"
    kinds = [kind(entry) for entry in await stage.events(order_topic(order))]
    assert kinds.count("order.cancelled") == 1
