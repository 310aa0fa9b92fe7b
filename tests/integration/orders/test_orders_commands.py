"""Commands on orders: once for each key, one after the other, and only by those whose they are."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from feira.platform.domain.errors import Conflict, InvalidInput, NotAllowed, NotFound, Rejected
from feira.platform.domain.ids import OrderId
from feira.platform.domain.order_commands import (
    Accept,
    Cancel,
    Complete,
    Deliver,
    Ship,
)
from feira.platform.domain.order_events import AnyOrderEvent
from feira.platform.domain.topics import order_topic
from feira.services.orders.history import OrderFilter, list_purchases, list_sales, read_timeline
from feira.services.orders.orders import OrderView
from tests.integration.orders.stage import Stage

SHIP = Ship(carrier="DHL", tracking_number="1Z9")
CANCEL = Cancel(reason="found it cheaper")


async def test_a_command_repeated_with_its_key_has_one_effect(stage: Stage) -> None:
    shop, buyer, order = await stage.placed()
    first = await stage.do(shop.owner, order, Accept(), key="a-1")
    await stage.do(shop.owner, order, SHIP, key="s-1")
    again = await stage.do(shop.owner, order, Accept(), key="a-1")
    assert (first.status, again.status) == ("accepted", "shipped")
    results = await asyncio.gather(
        *(stage.do(buyer.principal, order, Deliver(), key="d-1") for _ in range(6))
    )
    assert {view.version for view in results} == {again.version + 1}
    with pytest.raises(Rejected) as error:
        await stage.do(shop.owner, order, CANCEL, key="a-1")
    assert error.value.code == "idempotency.key_reused"
    # Keys are each actor's own.
    done = await stage.do(buyer.principal, order, Complete(), key="a-1")
    assert done.status == "completed"


async def test_of_two_shops_members_at_once_one_ships(stage: Stage) -> None:
    shop, _, order = await stage.placed()
    await stage.do(shop.owner, order, Accept())
    results = await asyncio.gather(
        *(stage.do(shop.owner, order, SHIP) for _ in range(4)), return_exceptions=True
    )
    assert len([view for view in results if isinstance(view, OrderView)]) == 1
    lost = [error for error in results if isinstance(error, Conflict)]
    assert {error.code for error in lost} == {"order.already_shipped"}
    assert len(lost) == 3
    assert len((await stage.order(order, shop.owner)).shipments) == 1


async def test_conflicts_say_where_the_order_is_now(stage: Stage) -> None:
    shop, _, order = await stage.placed()
    with pytest.raises(Conflict) as early:
        await stage.do(shop.owner, order, SHIP)
    assert early.value.code == "order.not_accepted"
    current = early.value.details.pop("current")
    assert current == await stage.order(order, shop.owner)
    assert early.value.details == {
        "order": order,
        "version": 2,
        "status": "paid",
        "payment_status": "captured",
        "fulfilment_status": "none",
    }
    with pytest.raises(Conflict) as stale:
        await stage.do(shop.owner, order, Accept(expected_version=1))
    assert stale.value.code == "order.version_conflict"
    accepted = await stage.do(shop.owner, order, Accept(expected_version=2))
    assert accepted.version == 3


async def test_each_command_is_for_those_whose_it_is(stage: Stage) -> None:
    shop, buyer, order = await stage.placed()
    finance = await stage.person("finance")
    for who, command in (
        (buyer.principal, Accept()),
        (buyer.principal, SHIP),
        (shop.owner, Deliver()),
        (finance, CANCEL),
    ):
        with pytest.raises(NotAllowed) as error:
            await stage.do(who, order, command)
        assert error.value.code == "auth.not_allowed"
    support = await stage.person("support")
    cancelled = await stage.do(support, order, Cancel(reason="fraud"))
    assert cancelled.status == "cancelled"
    last = (await stage.events(order_topic(order)))[-1]
    event = msgspec.json.decode(last.body, type=AnyOrderEvent)
    assert (event.actor_role, event.actor, event.reason) == ("support", support.user_id, "fraud")


async def test_other_peoples_orders_do_not_exist(stage: Stage) -> None:
    shop, _, order = await stage.placed()
    stranger, rival = await stage.buyer(), await stage.shop()
    nowhere = OrderId(shop.id)
    for who in (stranger.principal, rival.owner):
        for target in (order, nowhere):
            with pytest.raises(NotFound) as seen:
                await stage.order(target, who)
            with pytest.raises(NotFound) as commanded:
                await stage.do(who, target, CANCEL)
            async with stage.database.connection() as con:
                with pytest.raises(NotFound) as told:
                    await read_timeline(con, target, who, after=0, limit=5)
            codes = {error.value.code for error in (seen, commanded, told)}
            assert codes == {"order.not_found"}
    async with stage.database.connection() as con:
        with pytest.raises(NotFound):
            await list_sales(con, shop.id, rival.owner, OrderFilter())
        assert (await list_purchases(con, stranger.principal, OrderFilter())).items == []


async def test_a_command_needs_a_key_of_sensible_length(stage: Stage) -> None:
    shop, _, order = await stage.placed()
    with pytest.raises(InvalidInput) as error:
        await stage.do(shop.owner, order, Accept(), key="k" * 201)
    assert error.value.field == "Idempotency-Key"
