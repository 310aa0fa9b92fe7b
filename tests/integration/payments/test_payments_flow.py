"""Payments from checkout to the books, over the real sandbox, its webhooks and the real jobs."""

import asyncio

import pytest

from feira.platform.domain.errors import Unavailable
from feira.platform.domain.jobs import CancelPaymentIntent
from feira.platform.domain.order_commands import Cancel
from feira.platform.domain.topics import order_topic
from feira.services.payments.introduction import ensure_intent
from feira.services.payments.outcomes import apply_intent
from feira.sql.database import Tx
from tests.integration.payments.floor import Floor, Purchase


async def order_states(floor: Floor, bought: Purchase) -> tuple[str, str]:
    order = await floor.stage.order(bought.order, bought.buyer.principal)
    return order.status, order.payment_status


async def cancel(floor: Floor, bought: Purchase) -> None:
    await floor.stage.do(bought.buyer.principal, bought.order, Cancel(reason="changed my mind"))


@pytest.mark.parametrize(
    ("currency", "price_minor", "fee_minor", "commission_minor"),
    [
        ("EUR", 10_000, 320, 1_000),  # 100.00
        ("EUR", 3_335, 127, 334),  # 33.35: 96.715 + 30, 333.5
        ("JPY", 1_234, 66, 123),  # no minor digit: 35.786 + 30, 123.4
        ("KWD", 12_345, 388, 1_235),  # three: 358.005 + 30, 1234.5
    ],
)
async def test_an_order_is_paid_and_completed_to_the_cent(
    floor: Floor, currency: str, price_minor: int, fee_minor: int, commission_minor: int
) -> None:
    bought = await floor.paid(price_minor=price_minor, currency=currency)
    assert await order_states(floor, bought) == ("paid", "captured")
    assert await floor.books(currency) == {
        "psp": price_minor - fee_minor,
        "fees": fee_minor,
        "hold": price_minor,
    }
    _, balance = await floor.api("GET", f"/v1/shops/{bought.shop.id}/balance", bought.shop.owner)
    assert balance["balances"] == [
        {
            "currency": currency,
            "held_minor": price_minor,
            "pending_minor": 0,
            "available_minor": 0,
        }
    ]

    await floor.complete(bought)
    share = price_minor - commission_minor
    assert await floor.books(currency) == {
        "psp": price_minor - fee_minor,
        "fees": fee_minor,
        "pending": share,
        "commission": commission_minor,
    }
    _, balance = await floor.api("GET", f"/v1/shops/{bought.shop.id}/balance", bought.shop.owner)
    assert balance["balances"] == [
        {"currency": currency, "held_minor": 0, "pending_minor": share, "available_minor": 0}
    ]


async def test_a_declined_buyer_tries_again_and_pays(floor: Floor) -> None:
    bought = await floor.purchase()
    await floor.confirm(bought.payment, "4000000000009995")
    await floor.settled(bought.payment, "failed")
    status, view = await floor.api("GET", f"/v1/payments/{bought.payment}", bought.buyer.principal)
    assert status == 200
    assert (view["state"], view["decline_code"]) == ("failed", "insufficient_funds")
    assert view["payment_page_url"]
    assert await order_states(floor, bought) == ("pending_payment", "none")
    await floor.confirm(bought.payment)
    await floor.settled(bought.payment, "captured")
    assert await order_states(floor, bought) == ("paid", "captured")


async def test_one_payment_pays_the_orders_of_several_shops(floor: Floor) -> None:
    stage = floor.stage
    buyer, one, other = await stage.buyer(), await stage.shop(), await stage.shop()
    variants = [
        await stage.variant(one, price_minor=3_333),
        await stage.variant(other, price_minor=6_667),
    ]
    made, orders = await stage.buy(buyer, *variants)
    await ensure_intent(floor.market, made.payment_id)
    await floor.confirm(made.payment_id)
    await floor.settled(made.payment_id, "captured")
    assert len(orders) == 2
    holds = [await stage.ledger("hold", str(order)) for order in orders]
    assert sorted(holds) == [3_333, 6_667]


async def test_the_returning_buyer_and_the_webhook_come_to_one_capture(floor: Floor) -> None:
    bought = await floor.purchase()
    await floor.confirm(bought.payment, duplicates=2)
    path = f"/v1/payments/{bought.payment}/refresh"
    answers = await asyncio.gather(
        *(floor.api("POST", path, bought.buyer.principal) for _ in range(3)), floor.run_jobs()
    )
    assert [answer[1]["state"] for answer in answers[:3] if answer is not None] == ["captured"] * 3
    await floor.settled(bought.payment, "captured")
    assert (await floor.books())["hold"] == 10_000
    assert await floor.value("SELECT count(*) FROM ledger_transactions") == 1
    paid = [
        event
        for event in await floor.stage.events(order_topic(bought.order))
        if b'"order.paid"' in bytes(event.body)
    ]
    assert len(paid) == 1


async def test_an_answer_lost_after_it_was_applied_gives_one_charge(floor: Floor) -> None:
    stage = floor.stage
    buyer, shop = await stage.buyer(), await stage.shop()
    made, _ = await stage.buy(buyer, await stage.variant(shop))
    await floor.fault("payment_intents.create", "apply_then_hang_up", calls=2)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await ensure_intent(floor.market, made.payment_id)
    views = await asyncio.gather(*(ensure_intent(floor.market, made.payment_id) for _ in range(4)))
    assert len({view.payment_page_url for view in views}) == 1
    assert await floor.value("SELECT count(*) FROM sandbox.payment_intents") == 1


async def test_old_news_of_a_paid_payment_changes_nothing(floor: Floor) -> None:
    bought = await floor.purchase()
    reference = (await floor.payment(bought.payment)).gateway_reference
    assert reference is not None
    await floor.confirm(bought.payment, "4000000000000002")
    declined = await floor.gateway.fetch_intent(reference)
    await floor.confirm(bought.payment)
    await floor.settled(bought.payment, "captured")

    await floor.market.database.transact(lambda tx: apply_intent(tx, declined))
    assert (await floor.payment(bought.payment)).state == "captured"
    assert await order_states(floor, bought) == ("paid", "captured")


async def test_a_cancelled_checkout_cannot_be_paid_any_more(floor: Floor) -> None:
    bought = await floor.purchase()
    await cancel(floor, bought)
    await floor.settled(bought.payment, "canceled")
    assert await floor.confirm(bought.payment) == 409
    _, view = await floor.api("GET", f"/v1/payments/{bought.payment}", bought.buyer.principal)
    assert view["payment_page_url"] is None


async def test_a_checkout_cancelled_before_the_provider_knew_it_is_closed(floor: Floor) -> None:
    stage = floor.stage
    buyer, shop = await stage.buyer(), await stage.shop()
    made, orders = await stage.buy(buyer, await stage.variant(shop))
    await stage.do(buyer.principal, orders[0], Cancel(reason="changed my mind"))
    await floor.settled(made.payment_id, "canceled")


async def test_money_that_arrives_for_a_closed_order_goes_back_whole(floor: Floor) -> None:
    bought = await floor.purchase()
    await floor.confirm(bought.payment)
    # The buyer cancels before the news arrives.
    await cancel(floor, bought)

    async def given_back() -> bool:
        return await order_states(floor, bought) == ("cancelled", "refunded")

    await floor.until(given_back)
    assert (await floor.payment(bought.payment)).state == "captured"
    assert await floor.provider_refunded(bought.payment) == 10_000
    # The provider keeps its fee.
    assert await floor.books() == {"psp": -320, "fees": 320}


async def test_giving_up_cancels_even_an_intent_whose_answer_was_lost(floor: Floor) -> None:
    stage = floor.stage
    buyer, shop = await stage.buyer(), await stage.shop()
    made, orders = await stage.buy(buyer, await stage.variant(shop))
    await floor.fault("payment_intents.create", "apply_then_hang_up")
    with pytest.raises(Unavailable):
        await ensure_intent(floor.market, made.payment_id)
    await stage.do(buyer.principal, orders[0], Cancel(reason="changed my mind"))
    await floor.settled(made.payment_id, "canceled")
    states = await floor.value("SELECT array_agg(state) FROM sandbox.payment_intents")
    assert states == ["canceled"]


async def test_giving_up_and_introducing_at_once_leave_nothing_payable(floor: Floor) -> None:
    stage = floor.stage
    for _ in range(5):
        buyer, shop = await stage.buyer(), await stage.shop()
        made, orders = await stage.buy(buyer, await stage.variant(shop))
        await stage.do(buyer.principal, orders[0], Cancel(reason="changed my mind"))
        await asyncio.gather(ensure_intent(floor.market, made.payment_id), floor.run_jobs())
        await floor.value("UPDATE jobs SET run_at = now() WHERE state = 'ready'")
        await floor.settled(made.payment_id, "canceled")
    assert not await floor.value(
        "SELECT count(*) FROM sandbox.payment_intents WHERE state <> 'canceled'"
    )


async def test_a_payment_is_its_buyers_business(floor: Floor) -> None:
    bought = await floor.purchase()
    path = f"/v1/payments/{bought.payment}"
    assert (await floor.api("GET", path))[0] == 401
    assert (await floor.api("GET", path, bought.shop.owner))[0] == 404
    assert (await floor.api("POST", f"{path}/refresh", bought.shop.owner))[0] == 404
    finance = await floor.stage.person("finance")
    assert (await floor.api("GET", path, finance))[0] == 200
    balance = f"/v1/shops/{bought.shop.id}/balance"
    assert (await floor.api("GET", balance, bought.buyer.principal))[0] == 404
    assert (await floor.api("GET", balance, finance))[0] == 200


async def test_finance_sees_the_health_of_the_books_and_others_do_not(floor: Floor) -> None:
    await floor.paid()
    finance = await floor.stage.person("finance")
    status, health = await floor.api("GET", "/v1/admin/ledger/health", finance)
    assert status == 200
    assert health["healthy"]
    assert len(health["checked"]) >= 9
    buyer = await floor.stage.person()
    assert (await floor.api("GET", "/v1/admin/ledger/health", buyer))[0] == 403


async def test_a_change_of_commission_touches_only_later_orders(floor: Floor) -> None:
    before = await floor.paid()
    finance = await floor.stage.person("finance")
    path = "/v1/admin/commission"
    assert (await floor.api("GET", path, finance))[1]["basis_points"] == 1_000
    status, changed = await floor.api("PUT", path, finance, {"basis_points": 1_500})
    assert (status, changed["basis_points"]) == (200, 1_500)
    assert (await floor.api("PUT", path, finance, {"basis_points": 10_001}))[0] == 400
    assert (await floor.api("PUT", path, before.shop.owner, {"basis_points": 0}))[0] == 403
    after = await floor.paid()
    await floor.complete(before)
    await floor.complete(after)
    assert (await floor.books())["commission"] == 1_000 + 1_500


async def test_giving_a_payment_up_twice_changes_nothing(floor: Floor) -> None:
    bought = await floor.paid()

    async def give_up(tx: Tx) -> None:
        tx.enqueue(CancelPaymentIntent(payment=bought.payment))

    await floor.market.database.transact(give_up)
    await floor.run_jobs()
    assert (await floor.payment(bought.payment)).state == "captured"
    assert await order_states(floor, bought) == ("paid", "captured")


@pytest.mark.parametrize(
    ("breakage", "invariant"),
    [
        ("UPDATE orders SET status = 'completed'", "closed_orders_hold_nothing"),
        ("UPDATE orders SET status = 'completed'", "completed_orders_are_released"),
        ("UPDATE payments SET fee_minor = fee_minor + 1", "payments_have_postings"),
        (
            "UPDATE payments SET state = 'pending', captured_at = NULL",
            "payments_have_postings",
        ),
        ("UPDATE refunds SET amount_minor = 10001", "refunds_within_captured"),
        (
            "UPDATE refunds SET state = 'succeeded', finished_at = now()",
            "refunds_have_postings",
        ),
        ("UPDATE refunds SET amount_minor = 1", "refund_payable_is_open_refunds"),
        ("DELETE FROM refunds", "refund_payable_is_open_refunds"),
    ],
)
async def test_operators_are_shown_what_does_not_fit_the_books(
    floor: Floor, breakage: str, invariant: str
) -> None:
    bought = await floor.paid()
    await floor.refund(bought.order, 2_000)
    assert await floor.findings() == []
    floor.broken_on_purpose = True
    await floor.value(breakage)
    finance = await floor.stage.person("finance")
    _, health = await floor.api("GET", "/v1/admin/ledger/health", finance)
    assert not health["healthy"]
    assert invariant in {finding["invariant"] for finding in health["findings"]}
