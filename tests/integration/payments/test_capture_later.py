"""Money that is reserved first and taken once the orders still stand; and payments that a provider turns down."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from feira.platform.domain.errors import Rejected
from feira.platform.domain.order_commands import Cancel
from feira.services.payments.introduction import ensure_intent
from feira.services.payments.payments import introduce_forgotten
from tests.integration.payments.floor import Floor


@pytest.fixture
def patient(floor: Floor) -> Floor:
    """A market that reserves first."""
    config = msgspec.structs.replace(floor.market.config, payment_capture="manual")
    return Floor(market=replace(floor.market, config=config), session=floor.session)


async def effects(floor: Floor, kind: str) -> list[tuple[str, int]]:
    _, answer = await floor.sandbox("GET", "/v1/test/effects")
    return [
        (effect["state"], effect["amount_minor"])
        for effect in answer["effects"]
        if effect["kind"] == kind
    ]


async def test_money_is_reserved_then_taken_and_the_order_placed(patient: Floor) -> None:
    bought = await patient.purchase()
    await patient.confirm(bought.payment)
    await patient.settled(bought.payment, "captured")
    order = await patient.stage.order(bought.order, bought.buyer.principal)
    assert (order.status, order.payment_status) == ("paid", "captured")
    assert await effects(patient, "payment_intent") == [("succeeded", 10_000)]
    assert (await patient.books())["hold"] == 10_000


async def test_a_lost_answer_to_the_capture_takes_the_money_once(patient: Floor) -> None:
    bought = await patient.purchase()
    await patient.fault("payment_intents.capture", "apply_then_hang_up")
    await patient.confirm(bought.payment)
    await patient.settled(bought.payment, "captured")
    assert await effects(patient, "payment_intent") == [("succeeded", 10_000)]
    assert (await patient.books())["psp"] == 10_000 - 320


async def test_a_reservation_for_a_closed_order_is_released_and_no_money_moves(
    patient: Floor,
) -> None:
    bought = await patient.purchase()
    # The cancellation's own word to the provider gets lost, and the buyer pays meanwhile.
    await patient.fault("payment_intents.cancel", "refuse", calls=1)
    await patient.stage.do(bought.buyer.principal, bought.order, Cancel(reason="no more"))
    await patient.run_jobs()
    await patient.confirm(bought.payment)
    await patient.settled(bought.payment, "canceled")
    assert await effects(patient, "payment_intent") == [("canceled", 10_000)]
    assert await effects(patient, "refund") == []
    assert await patient.books() == {}


async def test_a_reservation_that_runs_out_is_known(patient: Floor) -> None:
    bought = await patient.purchase()
    await patient.fault("payment_intents.capture", "refuse", calls=3)
    await patient.confirm(bought.payment)
    await patient.settled(bought.payment, "authorized")
    reference = (await patient.payment(bought.payment)).gateway_reference
    await patient.sandbox("POST", f"/v1/test/payment_intents/{reference}/expire", {})
    await patient.settled(bought.payment, "canceled")
    assert await patient.books() == {}


async def test_a_payment_that_is_turned_down_leaves_nothing_behind(floor: Floor) -> None:
    stage = floor.stage
    buyer, shop = await stage.buyer(), await stage.shop()
    variant = await stage.variant(shop, on_hand=5, price_minor=10_000)
    made, (order,) = await stage.buy(buyer, variant)
    assert await stage.stock(variant) == (5, 1)
    await floor.fault("payment_intents.create", "reject")
    for _ in range(2):
        with pytest.raises(Rejected) as caught:
            await ensure_intent(floor.market, made.payment_id)
        assert caught.value.code == "payment.refused"
        assert caught.value.details["reason"] == "gateway.declined"
    assert await stage.stock(variant) == (5, 0)
    seen = await stage.order(order, buyer.principal)
    assert seen.status == "cancelled"
    assert (await floor.payment(made.payment_id)).state == "canceled"
    await floor.run_jobs()
    assert await effects(floor, "payment_intent") == []


async def test_a_checkout_that_is_turned_down_says_so(floor: Floor) -> None:
    stage = floor.stage
    buyer, shop = await stage.buyer(), await stage.shop()
    variant = await stage.variant(shop, on_hand=5, price_minor=1_000)
    cart = await stage.put(buyer, variant)
    await floor.fault("payment_intents.create", "reject")
    body = {
        "address_id": str(buyer.address),
        "expected_total_minor": cart.totals[0].amount_minor,
    }
    status, problem = await floor.api("POST", "/v1/checkout", buyer.principal, body)
    assert (status, problem["code"]) == (422, "payment.refused")
    assert await stage.stock(variant) == (5, 0)
    assert await floor.value("SELECT array_agg(status::text) FROM orders") == ["cancelled"]


async def test_payments_whose_request_died_are_introduced_by_a_sweep(floor: Floor) -> None:
    stage = floor.stage
    buyer, shop = await stage.buyer(), await stage.shop()
    variant = await stage.variant(shop)
    made, _ = await stage.buy(buyer, variant)
    assert await floor.market.database.transact(introduce_forgotten) == 0, "it has time yet"
    await floor.value("UPDATE payments SET created_at = now() - interval '21 seconds'")
    assert await floor.market.database.transact(introduce_forgotten) == 1
    assert await floor.market.database.transact(introduce_forgotten) == 0
    await floor.settled(made.payment_id, "pending")
