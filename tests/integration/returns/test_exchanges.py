"""Exchanges: what the buyer wants instead is kept aside, and ships as an order of its own once the goods are back."""

from __future__ import annotations

import pytest

from feira.platform.domain.errors import Conflict, NotFound, Rejected
from feira.platform.domain.ids import OrderId, VariantId
from feira.platform.domain.return_commands import (
    ApproveReturn,
    ReceivedUnits,
    ReceiveReturn,
    SendReturn,
    SettleReturn,
    WithdrawReturn,
)
from feira.platform.domain.return_events import Return
from tests.integration.orders.stage import Stage
from tests.integration.returns.counter import Counter, deliver, open_counter

SEND = SendReturn(carrier="CTT", tracking_number="RR2")


async def agreed(counter: Counter, replacement: VariantId, quantity: int = 2) -> Return:
    asked = await counter.ask(quantity, remedy="exchange", replacement=replacement)
    return await counter.do(counter.seller, asked.id, ApproveReturn())


async def sent_back(counter: Counter, returned: Return, *received: ReceivedUnits) -> Return:
    await counter.do(counter.buyer.principal, returned.id, SEND)
    back = ReceiveReturn(lines=list(received) or None)
    return await counter.do(counter.seller, returned.id, back)


def replacement_of(returned: Return) -> OrderId:
    assert returned.replacement_order is not None
    return returned.replacement_order


async def test_the_replacement_is_kept_aside_and_ships_through_the_ordinary_machine(
    stage: Stage,
) -> None:
    counter = await open_counter(stage)
    other = await stage.variant(counter.shop, price_minor=1_000, on_hand=5)
    approved = await agreed(counter, other)
    replacement = replacement_of(approved)
    assert await stage.stock(other) == (5, 2)
    waiting = await counter.view(replacement)
    assert (waiting.status, waiting.total_minor, waiting.items_minor) == (
        "pending_payment",
        0,
        2_000,
    )
    await sent_back(counter, approved)
    done = await counter.do(counter.seller, approved.id, SettleReturn())
    assert (done.status, done.refund_minor) == ("exchanged", 0)
    assert await stage.stock(other) == (3, 0)
    await deliver(stage, counter.shop, replacement, counter.buyer, complete=True)
    assert (await counter.view(replacement)).status == "completed"
    # The order that it came from keeps its money.
    first = await counter.view()
    assert (first.status, first.payment_status, first.refunded_minor) == (
        "delivered",
        "captured",
        0,
    )
    with pytest.raises(Rejected) as caught:
        await _ask_of(counter, replacement)
    assert caught.value.code == "return.of_replacement"


async def _ask_of(counter: Counter, order: OrderId) -> Return:
    view = await counter.view(order)
    other = Counter(
        stage=counter.stage,
        shop=counter.shop,
        buyer=counter.buyer,
        order=order,
        variants=counter.variants,
        lines=tuple(line.id for line in view.lines),
    )
    return await other.ask(1)


async def test_what_costs_less_gives_the_difference_back_and_what_costs_more_is_refused(
    stage: Stage,
) -> None:
    counter = await open_counter(stage)
    cheaper = await stage.variant(counter.shop, price_minor=700)
    dearer = await stage.variant(counter.shop, price_minor=1_001)
    with pytest.raises(Rejected) as caught:
        await counter.ask(1, remedy="exchange", replacement=dearer)
    assert (caught.value.code, caught.value.field) == (
        "return.exchange_costs_more",
        "$.lines[0].replacement",
    )
    approved = await agreed(counter, cheaper)
    await sent_back(counter, approved)
    done = await counter.do(counter.seller, approved.id, SettleReturn())
    assert (done.status, done.refund_minor) == ("exchanged", 600)
    await stage.run_refunds(counter.order)
    assert (await counter.view()).refunded_minor == 600


async def test_the_other_orders_of_the_checkout_stay_as_they_are(stage: Stage) -> None:
    shops = [await stage.shop() for _ in range(3)]
    variants = [await stage.variant(shop, price_minor=1_000) for shop in shops]
    buyer = await stage.buyer()
    made, orders = await stage.buy(buyer, *variants, quantity=2)
    await stage.pay(made)
    views = [await stage.order(order, buyer.principal) for order in orders]
    mine = next(view for view in views if view.shop_id == shops[0].id)
    await deliver(stage, shops[0], mine.id, buyer)
    counter = Counter(
        stage=stage,
        shop=shops[0],
        buyer=buyer,
        order=mine.id,
        variants=(variants[0],),
        lines=tuple(line.id for line in mine.lines),
    )
    before = [view for view in views if view.id != mine.id]
    approved = await agreed(counter, variants[0], quantity=1)
    await sent_back(counter, approved)
    await counter.do(counter.seller, approved.id, SettleReturn())
    refunded = await counter.ask(1)
    await counter.do(counter.seller, refunded.id, ApproveReturn())
    await sent_back(counter, refunded)
    await counter.do(counter.seller, refunded.id, SettleReturn())
    await stage.run_refunds(mine.id)
    assert (await counter.view()).refunded_minor == 1_000
    assert [await stage.order(view.id, buyer.principal) for view in before] == before
    group = await stage.group(made, buyer.principal)
    assert {order.id for order in group.orders} == set(orders)
    for view in before:
        assert await stage.ledger("hold", str(view.id)) == 2_000


async def test_an_exchange_that_does_not_come_about_lets_its_stock_go(stage: Stage) -> None:
    counter = await open_counter(stage)
    other = await stage.variant(counter.shop, price_minor=1_000, on_hand=2)
    withdrawn = await agreed(counter, other)
    await counter.do(counter.buyer.principal, withdrawn.id, WithdrawReturn())
    assert await stage.stock(other) == (2, 0)
    assert (await counter.view(replacement_of(withdrawn))).status == "cancelled"
    part = await agreed(counter, other)
    line = part.lines[0].line
    await sent_back(counter, part, ReceivedUnits(line=line, quantity=1))
    with pytest.raises(Rejected) as caught:
        await counter.do(counter.seller, part.id, SettleReturn())
    assert caught.value.code == "return.exchange_incomplete"
    done = await counter.do(counter.seller, part.id, SettleReturn(remedy="refund"))
    assert (done.status, done.refund_minor) == ("refunded", 1_000)
    assert await stage.stock(other) == (2, 0)


async def test_what_cannot_be_had_is_not_promised(stage: Stage) -> None:
    counter = await open_counter(stage)
    elsewhere = await stage.variant(await stage.shop(), price_minor=1_000)
    with pytest.raises(NotFound) as unknown:
        await counter.ask(1, remedy="exchange", replacement=elsewhere)
    assert unknown.value.code == "return.unknown_replacement"
    scarce = await stage.variant(counter.shop, price_minor=1_000, on_hand=1)
    asked = await counter.ask(2, remedy="exchange", replacement=scarce)
    with pytest.raises(Conflict) as caught:
        await counter.do(counter.seller, asked.id, ApproveReturn())
    assert caught.value.code == "return.out_of_stock"
    # Where only the timer is there to agree, the buyer gets the money once the goods are back.
    await counter.time_passes(asked.id)
    (view,) = (await counter.listed()).items
    assert (view.returned.status, view.returned.remedy) == ("approved", "refund")
