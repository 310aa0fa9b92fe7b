"""What happens by itself: unpaid orders expire, delivered ones are accepted, and payments race both."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from feira.jobs.orders import handle_expire_unpaid, handle_fire_deadlines
from feira.jobs.run import JobRun
from feira.platform.domain.errors import Conflict
from feira.platform.domain.ids import JobId, OrderId
from feira.platform.domain.jobs import ExpireUnpaidOrders, FireOrderDeadlines
from feira.platform.domain.order_commands import Accept, Cancel, DeadlineKind, Deliver, Ship
from feira.services.orders.checkout import CheckedOut
from feira.services.orders.rows import lock_order
from feira.services.products.stock import release_expired
from feira.sql.database import Tx
from tests.integration.orders.stage import Buyer, Stage, eventually, patiently


async def expire(stage: Stage) -> None:
    await handle_expire_unpaid(JobRun(stage.market, JobId(uuid4()), 1), ExpireUnpaidOrders())


async def accept_silent(stage: Stage) -> None:
    await handle_fire_deadlines(JobRun(stage.market, JobId(uuid4()), 1), FireOrderDeadlines())


async def until_due(stage: Stage, *orders: OrderId, kind: DeadlineKind = "hold") -> None:
    async def due() -> bool:
        async with stage.database.connection() as con:
            running: int = await con.fetchval(
                "SELECT count(*) FROM order_deadlines"
                " WHERE order_id = ANY ($1) AND kind = $2 AND due_at > now()",
                orders,
                kind,
            )
        return running == 0

    await eventually(due)


async def test_an_unpaid_order_expires_and_its_stock_is_free_again(stage: Stage) -> None:
    stage = stage.with_config(order_hold_s=1)
    variants = [await stage.variant(await stage.shop(), on_hand=2) for _ in range(2)]
    buyer = await stage.buyer()
    made, orders = await stage.buy(buyer, *variants)
    await expire(stage)
    assert (await stage.order(orders[0], buyer.principal)).status == "pending_payment"

    await until_due(stage, *orders)
    await asyncio.gather(*(expire(stage) for _ in range(3)))
    for order, variant in zip(orders, variants, strict=True):
        view = await stage.order(order, buyer.principal)
        assert (view.status, view.version, view.deadlines) == ("expired", 2, ())
        assert await stage.stock(variant) == (2, 0)
    assert await stage.jobs("payments.cancel_intent", payment=str(made.payment_id)) == 1


async def test_a_group_expires_whole_or_not_at_all(stage: Stage) -> None:
    stage = stage.with_config(order_hold_s=1)
    variants = [await stage.variant(await stage.shop()) for _ in range(2)]
    buyer = await stage.buyer()
    _, orders = await stage.buy(buyer, *variants)
    await until_due(stage, *orders)

    async def expire_while_one_is_held(tx: Tx) -> None:
        await lock_order(tx, orders[0])
        await expire(stage)

    await stage.transact(expire_while_one_is_held)
    statuses = [(await stage.order(order, buyer.principal)).status for order in orders]
    assert statuses == ["pending_payment"] * 2
    await expire(stage)
    statuses = [(await stage.order(order, buyer.principal)).status for order in orders]
    assert statuses == ["expired"] * 2


async def test_money_that_comes_after_the_expiry_goes_back(stage: Stage) -> None:
    stage = stage.with_config(order_hold_s=1)
    variants = [await stage.variant(await stage.shop(), price_minor=price) for price in (700, 50)]
    buyer = await stage.buyer()
    made, orders = await stage.buy(buyer, *variants)
    reference = await stage.intent(made)
    await until_due(stage, *orders)
    await expire(stage)
    stage.gateway.pay(reference)
    await stage.news(reference)
    await assert_expired_and_refunded(stage, buyer, reference, orders, total_minor=750)
    assert await stage.stock(variants[0]) == (10, 0)


async def test_a_late_payment_before_any_expiry_still_buys(stage: Stage) -> None:
    stage = stage.with_config(order_hold_s=1)
    variant = await stage.variant(await stage.shop())
    buyer = await stage.buyer()
    made, (order,) = await stage.buy(buyer, variant)
    await until_due(stage, order)
    await stage.pay(made)
    await expire(stage)
    assert (await stage.order(order, buyer.principal)).status == "paid"
    assert await stage.stock(variant) == (9, 0)


async def test_money_for_stock_that_somebody_else_bought_meanwhile_goes_back(stage: Stage) -> None:
    """The stock room ends a hold by itself when nobody expired the order for long."""
    stage = stage.with_config(order_hold_s=1)
    variant = await stage.variant(await stage.shop(), price_minor=900, on_hand=1)
    buyer, other = await stage.buyer(), await stage.buyer()
    made, (order,) = await stage.buy(buyer, variant)
    reference = await stage.intent(made)
    await until_due(stage, order)
    async with stage.database.connection() as con:
        # Ten minutes go by without a worker.
        await con.execute(
            "UPDATE reservations SET expires_at = expires_at - interval '10 minutes' WHERE order_id = $1",
            order,
        )
    await stage.transact(lambda tx: release_expired(tx, skus_max=100))
    others, (winner,) = await stage.buy(other, variant)
    await stage.pay(others)

    stage.gateway.pay(reference)
    await stage.news(reference)
    await assert_expired_and_refunded(stage, buyer, reference, [order], total_minor=900)
    assert (await stage.order(winner, other.principal)).status == "paid"
    assert await stage.stock(variant) == (0, 0)


async def test_a_payment_racing_the_expiry_ends_in_exactly_one_of_two_ways(stage: Stage) -> None:
    stage = stage.with_config(order_hold_s=2)
    shops = [await stage.shop() for _ in range(2)]
    races = 24
    variants = [await stage.variant(shop, price_minor=500, on_hand=races) for shop in shops]
    groups: list[tuple[Buyer, CheckedOut, list[OrderId], str]] = []
    for _ in range(races):
        buyer = await stage.buyer()
        made, orders = await stage.buy(buyer, *variants)
        groups.append((buyer, made, orders, await stage.intent(made)))
    await until_due(stage, *(order for _, _, orders, _ in groups for order in orders))

    async def pay_late(index: int, reference: str) -> None:
        await asyncio.sleep(index * 0.002)
        stage.gateway.pay(reference)
        await patiently(lambda: stage.news(reference))

    await asyncio.gather(
        *(pay_late(index, group[3]) for index, group in enumerate(groups)),
        *(expire(stage) for _ in range(3)),
    )
    await expire(stage)

    bought = 0
    for buyer, _, orders, reference in groups:
        statuses = {(await stage.order(order, buyer.principal)).status for order in orders}
        if statuses == {"paid"}:
            bought += 1
            assert stage.gateway.refunded_minor(reference) == 0
            for order in orders:
                assert await stage.ledger("hold", str(order)) == 500
        else:
            assert statuses == {"expired"}
            await assert_expired_and_refunded(stage, buyer, reference, orders, total_minor=1_000)
    for variant in variants:
        assert await stage.stock(variant) == (races - bought, 0)


async def test_a_cancellation_racing_the_payment_leaves_no_money_without_an_order(
    stage: Stage,
) -> None:
    variant = await stage.variant(await stage.shop(), price_minor=500, on_hand=20)
    for _ in range(10):
        buyer = await stage.buyer()
        made, (order,) = await stage.buy(buyer, variant)
        reference = await stage.intent(made)
        stage.gateway.pay(reference)
        await asyncio.gather(
            stage.news(reference),
            stage.do(buyer.principal, order, Cancel(reason="too slow")),
        )
        await stage.run_refunds(order)
        view = await stage.order(order, buyer.principal)
        assert (view.status, view.payment_status) == ("cancelled", "refunded")
        assert stage.gateway.refunded_minor(reference) == 500
    assert await stage.stock(variant) == (20, 0)


async def test_a_silent_buyers_delivered_order_is_completed_by_its_deadline(stage: Stage) -> None:
    stage = stage.with_config(order_auto_accept_s=1)
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_000)
    buyer = await stage.buyer()
    made, (order,) = await stage.buy(buyer, variant)
    await stage.pay(made)
    await stage.do(shop.owner, order, Accept())
    await stage.do(shop.owner, order, Ship(carrier="DHL", tracking_number="1"))
    await stage.do(await stage.person("support"), order, Deliver())
    await accept_silent(stage)
    assert (await stage.order(order, buyer.principal)).status == "delivered"

    await until_due(stage, order, kind="auto_accept")
    await asyncio.gather(*(accept_silent(stage) for _ in range(3)))
    view = await stage.order(order, buyer.principal)
    assert (view.status, view.deadlines) == ("completed", ())
    assert await stage.ledger("pending", str(shop.id)) == 900


async def test_an_expired_order_takes_no_command(stage: Stage) -> None:
    stage = stage.with_config(order_hold_s=1)
    variant = await stage.variant(await stage.shop())
    buyer = await stage.buyer()
    _, (order,) = await stage.buy(buyer, variant)
    await until_due(stage, order)
    await expire(stage)
    with pytest.raises(Conflict) as error:
        await stage.do(buyer.principal, order, Cancel(reason="too late"))
    assert error.value.code == "order.already_expired"


async def assert_expired_and_refunded(
    stage: Stage, buyer: Buyer, reference: str, orders: list[OrderId], *, total_minor: int
) -> None:
    for order in orders:
        await stage.run_refunds(order)
        view = await stage.order(order, buyer.principal)
        assert (view.status, view.payment_status) == ("expired", "refunded")
        assert view.refunded_minor == view.total_minor
        assert await stage.ledger("hold", str(order)) == 0
        assert await stage.ledger("refund_payable", str(order)) == 0
    assert stage.gateway.refunded_minor(reference) == total_minor
