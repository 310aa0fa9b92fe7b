"""Refunds: promised once, asked for under one key, and in the books whatever comes of them."""

import asyncio

import pytest

from feira.platform.domain.errors import Rejected
from feira.platform.domain.ids import RefundId
from feira.platform.domain.jobs import RefundPayment
from feira.platform.domain.order_commands import Accept, Cancel
from feira.platform.domain.topics import OPS
from feira.sql.database import Tx
from tests.integration.payments.floor import Floor, Purchase

LATE_REFUNDS_CARD = "4000000000007726"
FAILING_REFUNDS_CARD = "4000000000005126"


async def paid_with(floor: Floor, card: str) -> Purchase:
    bought = await floor.purchase()
    await floor.confirm(bought.payment, card)
    await floor.settled(bought.payment, "captured")
    return bought


async def until_refund_is(floor: Floor, refund: RefundId, state: str) -> None:
    async def is_there() -> bool:
        return await floor.refund_state(refund) == state

    await floor.until(is_there)


async def refund_of(floor: Floor, bought: Purchase) -> RefundId:
    return await floor.value("SELECT id FROM refunds WHERE order_id = $1", bought.order)


async def payment_status(floor: Floor, bought: Purchase) -> str:
    return (await floor.stage.order(bought.order, bought.buyer.principal)).payment_status


async def test_a_cancelled_order_is_given_back_whole(floor: Floor) -> None:
    bought = await floor.paid()
    await floor.stage.do(bought.shop.owner, bought.order, Cancel(reason="sold out"))
    # Owed in the transaction of the cancellation itself, before any provider was asked.
    assert await floor.books() == {"psp": 9_680, "fees": 320, "refund_payable": 10_000}
    await until_refund_is(floor, await refund_of(floor, bought), "succeeded")
    assert await floor.books() == {"psp": -320, "fees": 320}
    assert await floor.provider_refunded(bought.payment) == 10_000
    assert await payment_status(floor, bought) == "refunded"
    _, view = await floor.api("GET", f"/v1/payments/{bought.payment}", bought.buyer.principal)
    assert view["refunded_minor"] == 10_000


async def test_refunds_at_once_never_exceed_what_was_captured(floor: Floor) -> None:
    bought = await floor.paid()
    outcomes = await asyncio.gather(
        *(floor.refund(bought.order, 4_000) for _ in range(6)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    assert [error.code for error in refused] == ["refund.exceeds_order"] * 4
    assert refused[0].details == {"left_minor": 2_000}
    given = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    for refund in given:
        await until_refund_is(floor, refund, "succeeded")
    assert await floor.provider_refunded(bought.payment) == 8_000
    assert await payment_status(floor, bought) == "partially_refunded"


async def test_an_order_takes_nothing_from_another_of_its_payment(floor: Floor) -> None:
    stage = floor.stage
    buyer, one, other = await stage.buyer(), await stage.shop(), await stage.shop()
    made, orders = await stage.buy(
        buyer,
        await stage.variant(one, price_minor=3_000),
        await stage.variant(other, price_minor=7_000),
    )
    await floor.gateway.fetch_intent(await stage.intent(made))
    await floor.confirm(made.payment_id)
    await floor.settled(made.payment_id, "captured")
    cheap = min(
        [await stage.order(order, buyer.principal) for order in orders],
        key=lambda order: order.total_minor,
    )
    with pytest.raises(Rejected) as caught:
        await floor.refund(cheap.id, 3_001)
    assert caught.value.code == "refund.exceeds_order"


async def test_a_partial_refund_leaves_the_shop_its_share_of_the_rest(floor: Floor) -> None:
    bought = await floor.paid()
    await until_refund_is(floor, await floor.refund(bought.order, 4_000), "succeeded")
    await floor.complete(bought)
    assert await floor.books() == {
        "psp": 5_680,
        "fees": 320,
        "pending": 5_400,
        "commission": 600,
    }


async def test_nothing_is_given_back_of_what_was_not_paid(floor: Floor) -> None:
    unpaid = await floor.purchase()
    with pytest.raises(Rejected) as caught:
        await floor.refund(unpaid.order, 1)
    assert caught.value.code == "refund.not_captured"


async def test_an_answer_lost_after_it_was_applied_gives_one_refund(floor: Floor) -> None:
    bought = await floor.paid()
    await floor.fault("refunds.create", "apply_then_hang_up", calls=2)
    refund = await floor.refund(bought.order, 2_500)
    for _ in range(3):
        await floor.run_jobs()
        await floor.value("UPDATE jobs SET run_at = now() WHERE state = 'ready'")
    await until_refund_is(floor, refund, "succeeded")
    assert await floor.provider_refunded(bought.payment) == 2_500
    assert await floor.value("SELECT count(*) FROM sandbox.refunds") == 1


async def test_a_refund_asked_for_by_many_jobs_is_one_refund(floor: Floor) -> None:
    bought = await floor.paid()
    refund = await floor.refund(bought.order, 2_500)

    async def again(tx: Tx) -> None:
        for _ in range(4):
            tx.enqueue(RefundPayment(refund=refund))

    await floor.market.database.transact(again)
    await until_refund_is(floor, refund, "succeeded")
    assert await floor.provider_refunded(bought.payment) == 2_500
    assert (await floor.books())["psp"] == 9_680 - 2_500


async def test_a_refund_that_takes_a_moment_ends_by_webhook(floor: Floor) -> None:
    bought = await paid_with(floor, LATE_REFUNDS_CARD)
    refund = await floor.refund(bought.order, 10_000)
    await floor.run_jobs()
    assert await floor.refund_state(refund) == "requested"
    assert (await floor.books())["refund_payable"] == 10_000
    await until_refund_is(floor, refund, "succeeded")
    assert await floor.books() == {"psp": -320, "fees": 320}


@pytest.mark.parametrize("completed_meanwhile", [False, True])
async def test_a_failed_refund_puts_the_money_back_and_tells_operators(
    floor: Floor, *, completed_meanwhile: bool
) -> None:
    bought = await paid_with(floor, FAILING_REFUNDS_CARD)
    refund = await floor.refund(bought.order, 3_333)
    if completed_meanwhile:
        await floor.complete(bought)
    await until_refund_is(floor, refund, "failed")
    assert await payment_status(floor, bought) == "captured"
    assert await floor.provider_refunded(bought.payment) == 0
    told = [bytes(event.body) for event in await floor.stage.events(OPS)]
    assert any(b"payment.refund_failed" in body and str(refund).encode() in body for body in told)
    books = await floor.books()
    if completed_meanwhile:
        assert books == {"psp": 9_680, "fees": 320, "pending": 9_000, "commission": 1_000}
    else:
        assert books == {"psp": 9_680, "fees": 320, "hold": 10_000}
        # What failed may be tried again.
        await floor.refund(bought.order, 10_000)


async def test_a_refund_the_provider_refuses_is_failed(floor: Floor) -> None:
    bought = await floor.paid()
    reference = (await floor.payment(bought.payment)).gateway_reference
    # Somebody refunded it at the provider's own dashboard.
    await floor.sandbox("POST", "/v1/refunds", {"payment_intent": reference, "amount_minor": 9_000})
    refund = await floor.refund(bought.order, 2_000)
    await until_refund_is(floor, refund, "failed")
    assert (await floor.books())["hold"] == 10_000


async def test_a_refund_waits_while_the_provider_is_away(floor: Floor) -> None:
    bought = await floor.paid()
    await floor.fault("refunds.create", "refuse", calls=1)
    refund = await floor.refund(bought.order, 500)
    await floor.run_jobs()
    assert await floor.refund_state(refund) == "requested"
    await floor.value("UPDATE jobs SET run_at = now() WHERE state = 'ready'")
    await until_refund_is(floor, refund, "succeeded")


async def test_cancelling_twice_at_once_refunds_once(floor: Floor) -> None:
    bought = await floor.paid()
    await floor.stage.do(bought.shop.owner, bought.order, Accept())
    outcomes = await asyncio.gather(
        floor.stage.do(bought.shop.owner, bought.order, Cancel(reason="sold out")),
        floor.stage.do(bought.buyer.principal, bought.order, Cancel(reason="too slow")),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, BaseException) for outcome in outcomes) == 1
    await until_refund_is(floor, await refund_of(floor, bought), "succeeded")
    assert await floor.provider_refunded(bought.payment) == 10_000
