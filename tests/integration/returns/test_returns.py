"""Returns and claims: asked for, agreed on, sent, looked at and paid, with the stock and the books moving along."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from feira.platform.domain.errors import Conflict, FeiraError, NotAllowed, NotFound, Rejected
from feira.platform.domain.order_commands import Accept, Cancel, Deliver, LineQuantity, Ship
from feira.platform.domain.refunds import RefundOrder
from feira.platform.domain.return_commands import (
    ApproveReturn,
    DeclineReturn,
    ReceivedUnits,
    ReceiveReturn,
    SendReturn,
    SettleReturn,
    WithdrawReturn,
)
from feira.platform.domain.return_events import Return
from feira.services.returns.refunds import refund_order
from feira.services.returns.windows import SetReturnWindow, set_window
from tests.integration.orders.stage import Stage
from tests.integration.returns.counter import Counter, open_counter

SEND = SendReturn(carrier="CTT", tracking_number="RR2")


async def came_back(counter: Counter, returned: Return, **units: Any) -> Return:
    """Agreed on, sent and received."""
    await counter.do(counter.seller, returned.id, ApproveReturn())
    await counter.do(counter.buyer.principal, returned.id, SEND)
    lines = [ReceivedUnits(line=returned.lines[0].line, **units)] if units else None
    return await counter.do(counter.seller, returned.id, ReceiveReturn(lines=lines))


async def test_what_comes_back_is_paid_and_goes_on_the_shelf_again(stage: Stage) -> None:
    counter = await open_counter(stage)
    on_hand, _ = await stage.stock(counter.variants[0])
    asked = await counter.ask(2)
    assert (asked.status, asked.lines[0].quantity, asked.deadline is not None) == (
        "requested",
        2,
        True,
    )
    received = await came_back(counter, asked, quantity=2, restock=True)
    assert (received.status, received.tracking_number) == ("received", "RR2")
    assert await stage.stock(counter.variants[0]) == (on_hand + 2, 0)
    settled = await counter.do(counter.seller, asked.id, SettleReturn())
    assert (settled.status, settled.refund_minor, settled.deadline) == ("refunded", 2_000, None)
    await stage.run_refunds(counter.order)
    view = await counter.view()
    assert (view.refunded_minor, view.payment_status) == (2_000, "partially_refunded")
    steps = ["requested", "approved", "sent", "received", "refunded"]
    told = [f"return.{step}" for step in steps] + ["refund.promised"]
    assert await counter.story() == [*told, "refund.succeeded"]
    assert await counter.thread(settled) == told
    assert await stage.jobs("notifications.return", returned=str(asked.id)) == 5


async def test_part_of_it_comes_back_in_a_bad_state_and_less_is_paid(stage: Stage) -> None:
    counter = await open_counter(stage)
    on_hand, _ = await stage.stock(counter.variants[0])
    asked = await counter.ask(3)
    received = await came_back(counter, asked, quantity=2, condition="damaged")
    (line,) = received.lines
    assert (line.received, line.condition, line.restocked) == (2, "damaged", False)
    assert await stage.stock(counter.variants[0]) == (on_hand, 0)
    with pytest.raises(Rejected) as caught:
        await counter.do(
            counter.seller, asked.id, SettleReturn(refund_minor=2_001, reason="scratched")
        )
    assert (caught.value.code, caught.value.details) == (
        "return.exceeds_price",
        {"refund_minor": 2_000},
    )
    settled = await counter.do(
        counter.seller, asked.id, SettleReturn(refund_minor=1_500, reason="scratched")
    )
    assert (settled.refund_minor, settled.reason) == (1_500, "scratched")
    # The third unit is still the buyer's, and may come back later.
    assert (await counter.listed()).left[0].quantity == 1


async def test_no_unit_is_given_back_twice(stage: Stage) -> None:
    counter = await open_counter(stage)
    first = await counter.ask(2)
    with pytest.raises(Rejected) as caught:
        await counter.ask(2)
    assert (caught.value.code, caught.value.field) == ("return.too_many", "$.lines[0].quantity")
    await counter.do(counter.buyer.principal, first.id, WithdrawReturn())
    again = await counter.ask(3)
    await came_back(counter, again)
    await counter.do(counter.seller, again.id, SettleReturn())
    with pytest.raises(Rejected):
        await counter.ask(1)
    assert [line.quantity for line in (await counter.listed()).left] == [0, 3]


async def test_what_was_cancelled_takes_nothing_from_what_was_shipped(stage: Stage) -> None:
    counter = await open_counter(stage, shipped=False)
    await stage.do(counter.seller, counter.order, Accept())
    parcel = [LineQuantity(line=counter.lines[0], quantity=2)]
    await stage.do(
        counter.seller, counter.order, Ship(carrier="CTT", tracking_number="1", lines=parcel)
    )
    await stage.do(counter.seller, counter.order, Cancel(reason="the rest is gone"))
    await stage.do(counter.buyer.principal, counter.order, Deliver())
    assert [line.quantity for line in (await counter.listed()).left] == [2, 0]
    asked = await counter.ask(2)
    await came_back(counter, asked)
    settled = await counter.do(counter.seller, asked.id, SettleReturn())
    assert settled.refund_minor == 2_000
    await stage.run_refunds(counter.order)
    assert (await counter.view()).payment_status == "refunded"


async def test_racing_requests_never_take_more_than_was_shipped(stage: Stage) -> None:
    counter = await open_counter(stage)

    async def try_it() -> Return | FeiraError:
        try:
            return await counter.ask(1)
        except FeiraError as error:
            return error

    outcomes = await asyncio.gather(*(try_it() for _ in range(6)))
    assert sum(isinstance(outcome, Return) for outcome in outcomes) == 3
    assert {each.code for each in outcomes if isinstance(each, FeiraError)} == {"return.too_many"}


async def test_everything_back_gives_the_whole_order_back(stage: Stage) -> None:
    counter = await open_counter(stage, complete=True)
    asked = await counter.ask_for([{"line": line, "quantity": 3} for line in counter.lines])
    await came_back(counter, asked)
    settled = await counter.do(counter.seller, asked.id, SettleReturn())
    assert settled.refund_minor == (await counter.view()).total_minor == 3_750
    await stage.run_refunds(counter.order)
    assert (await counter.view()).payment_status == "refunded"
    for account in ("pending", "receivable"):
        assert await stage.ledger(account, str(counter.shop.id)) == 0


async def test_a_claim_is_paid_without_sending_anything(stage: Stage) -> None:
    counter = await open_counter(stage, shipped=False)
    await stage.do(counter.seller, counter.order, Accept())
    with pytest.raises(Conflict) as caught:
        await counter.ask(1, kind="claim", cause="not_arrived")
    assert caught.value.code == "return.order_not_ready"
    await stage.do(counter.seller, counter.order, Ship(carrier="CTT", tracking_number="1"))
    claim = await counter.ask(1, kind="claim", cause="not_arrived", text="It never came.")
    paid = await counter.do(counter.seller, claim.id, ApproveReturn())
    assert (paid.status, paid.refund_minor) == ("refunded", 1_000)
    assert await counter.story() == ["return.requested", "return.refunded", "refund.promised"]


async def test_what_the_shop_declines_says_why_and_may_be_asked_for_again(stage: Stage) -> None:
    counter = await open_counter(stage)
    asked = await counter.ask(3)
    declined = await counter.do(counter.seller, asked.id, DeclineReturn(reason="It was worn."))
    assert (declined.status, declined.reason) == ("declined", "It was worn.")
    with pytest.raises(Conflict) as caught:
        await counter.do(counter.seller, asked.id, ApproveReturn())
    assert caught.value.code == "return.declined"
    shown = caught.value.details["return"]
    assert isinstance(shown, Return)
    assert shown.version == declined.version
    assert (await counter.ask(3)).status == "requested"


async def test_silence_means_yes_then_no_then_the_money(stage: Stage) -> None:
    counter = await open_counter(stage)
    forgotten = await counter.ask(1)
    await counter.time_passes(forgotten.id)
    await counter.time_passes(forgotten.id)
    sent = await counter.ask(2)
    await counter.time_passes(sent.id)
    await counter.do(counter.buyer.principal, sent.id, SEND)
    await counter.time_passes(sent.id)
    first, second = (view.returned for view in (await counter.listed()).items)
    # Never sent: nothing happened. Sent, and nobody looked: paid in full.
    assert (first.status, first.refund_minor) == ("expired", 0)
    assert (second.status, second.refund_minor, second.lines[0].received) == ("refunded", 2_000, 2)


async def test_the_window_is_the_shops_and_frozen_with_the_order(stage: Stage) -> None:
    shop = await stage.shop()
    wanted = SetReturnWindow(return_window_s=0)
    before = await open_counter(stage, shop=shop)
    await stage.transact(lambda tx: set_window(tx, shop.owner, shop.id, wanted))
    after = await open_counter(stage, shop=shop)
    assert (await before.ask(1)).status == "requested"
    with pytest.raises(Conflict) as caught:
        await after.ask(1)
    assert caught.value.code == "return.window_closed"


async def test_after_goodwill_a_return_gives_no_more_than_is_left(stage: Stage) -> None:
    counter = await open_counter(stage)
    goodwill = RefundOrder(amount_minor=3_000, reason="late")
    await stage.transact(lambda tx: refund_order(tx, counter.seller, counter.order, goodwill))
    asked = await counter.ask(3)
    await came_back(counter, asked)
    settled = await counter.do(counter.seller, asked.id, SettleReturn())
    assert settled.refund_minor == 750
    await stage.run_refunds(counter.order)
    assert (await counter.view()).payment_status == "refunded"


async def test_each_step_is_for_its_own_side(stage: Stage) -> None:
    counter = await open_counter(stage)
    asked = await counter.ask(1)
    with pytest.raises(NotAllowed) as caught:
        await counter.do(counter.buyer.principal, asked.id, ApproveReturn())
    assert caught.value.code == "return.not_allowed"
    stranger = await stage.person()
    with pytest.raises(NotFound) as unknown:
        await counter.do(stranger, asked.id, ApproveReturn())
    assert unknown.value.code == "return.not_found"
    support = await stage.person("support")
    assert (await counter.do(support, asked.id, ApproveReturn())).status == "approved"
    view = await counter.try_to(counter.buyer.principal, asked.id, SEND)
    assert view.actions == ()


async def test_two_who_answer_at_once_decide_once(stage: Stage) -> None:
    counter = await open_counter(stage)
    claim = await counter.ask(1, kind="claim")

    async def answer(command: ApproveReturn | DeclineReturn) -> str:
        try:
            return (await counter.do(counter.seller, claim.id, command)).status
        except Conflict as late:
            return late.code

    outcomes = await asyncio.gather(
        *(answer(command) for command in (ApproveReturn(), DeclineReturn(reason="no")) * 3)
    )
    decided = [outcome for outcome in outcomes if not outcome.startswith("return.")]
    assert len(decided) == 1
    assert set(outcomes) - set(decided) == {f"return.{decided[0]}"}
    async with stage.database.connection() as con:
        refunds = await con.fetchval(
            "SELECT count(*) FROM refunds WHERE order_id = $1", counter.order
        )
    assert refunds == (decided[0] == "refunded")
