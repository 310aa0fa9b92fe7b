"""Chargebacks from the bank's first word to its last: books, orders, clearance, evidence and news."""

from __future__ import annotations

import asyncio
from typing import Any

from feira.platform.domain.ids import ShopId
from feira.platform.domain.topics import shop_topic
from tests.integration.orders.stage import kind
from tests.integration.payments.floor import Purchase
from tests.integration.payouts.till import Till


async def dispute(till: Till, bought: Purchase, amount_minor: int | None = None) -> str:
    """The buyer's bank takes the money back."""
    intent = (await till.floor.payment(bought.payment)).gateway_reference
    body: dict[str, Any] = {"payment_intent": intent, "reason": "fraudulent"}
    if amount_minor is not None:
        body["amount_minor"] = amount_minor
    status, answer = await till.floor.sandbox("POST", "/v1/test/disputes", body)
    assert status == 200, answer
    return answer["id"]


async def close(till: Till, reference: str, outcome: str) -> None:
    status, answer = await till.floor.sandbox(
        "POST", f"/v1/test/disputes/{reference}/close", {"outcome": outcome}
    )
    assert status == 200, answer


async def until(till: Till, state: str) -> None:
    async with asyncio.timeout(20):
        while await till.floor.value("SELECT state::text FROM chargebacks") != state:
            await till.run_jobs()
            await asyncio.sleep(0.03)


async def order_is(till: Till, bought: Purchase) -> tuple[str, str]:
    row = await till.floor.value(
        "SELECT status || ' ' || payment_status FROM orders WHERE id = $1", bought.order
    )
    status, _, payment_status = row.partition(" ")
    return status, payment_status


async def chargebacks(till: Till, shop: ShopId, owner: Any) -> list[dict[str, Any]]:
    status, page = await till.floor.api("GET", f"/v1/shops/{shop}/chargebacks", owner)
    assert status == 200
    return page["items"]


async def test_a_chargeback_in_clearance_is_answered_and_won(till: Till) -> None:
    bought = await till.sale()
    shop, owner = bought.shop.id, bought.shop.owner
    await dispute(till, bought)
    await until(till, "needs_response")
    assert await till.money(shop) == {}
    books = await till.floor.books()
    assert (books["dispute_receivable"], books["dispute_hold"]) == (10_000, 9_000)
    assert await order_is(till, bought) == ("completed", "charged_back")
    # The clearance stands still.
    await till.execute("UPDATE releases SET due_at = now()")
    await till.end_clearances()
    assert await till.floor.value("SELECT causes FROM releases") == ["chargeback"]

    (shown,) = await chargebacks(till, shop, owner)
    assert (shown["amount_minor"], shown["orders"][0]["shop_minor"]) == (10_000, 9_000)
    path = f"/v1/chargebacks/{shown['id']}/evidence"
    status, _ = await till.floor.api("POST", path, owner, {"explanation": "winning_evidence"})
    assert status == 200
    status, problem = await till.floor.api("POST", path, owner, {"explanation": "More."})
    assert (status, problem["code"]) == (409, "chargeback.answered")
    await until(till, "won")
    assert await till.money(shop) == {"pending": 9_000}
    assert await order_is(till, bought) == ("completed", "captured")
    books = await till.floor.books()
    assert "dispute_receivable" not in books
    assert books["fees"] > 0
    await till.end_clearances()
    assert await till.money(shop) == {"available": 9_000}
    kinds = [kind(event) for event in await till.floor.stage.events(shop_topic(shop))]
    assert kinds.count("chargeback.moved") >= 3
    notices = await till.floor.value(
        "SELECT count(*) FROM notifications WHERE user_id = $1", owner.user_id
    )
    assert notices >= 2


async def test_a_chargeback_after_the_payout_that_is_lost_is_owed(till: Till) -> None:
    bought, payout = await till.paid_out()
    shop = bought.shop.id
    await till.until(payout, "paid")
    reference = await dispute(till, bought)
    await until(till, "needs_response")
    assert await till.money(shop) == {"receivable": 9_000}
    await close(till, reference, "lost")
    await until(till, "lost")
    assert await till.money(shop) == {"receivable": 9_000}
    assert await order_is(till, bought) == ("completed", "charged_back")
    books = await till.floor.books()
    # The market gives its commission back, and bears the provider's fees.
    assert "commission" not in books
    assert "dispute_hold" not in books

    # The bank changes its mind.
    await close(till, reference, "won")
    await until(till, "reinstated")
    assert await till.money(shop) == {}
    assert (await till.floor.books())["commission"] == 1_000


async def test_news_that_comes_again_and_late_changes_nothing(till: Till) -> None:
    bought = await till.sale()
    reference = await dispute(till, bought)
    await until(till, "needs_response")
    await close(till, reference, "lost")
    await until(till, "lost")
    before = await till.floor.books()
    for event in ("dispute.created", "dispute.updated", "dispute.closed"):
        body = {"type": event, "object": reference}
        await till.floor.sandbox("POST", "/v1/test/events", body)
    await asyncio.sleep(0.2)
    await till.run_jobs()
    assert await till.floor.books() == before
    assert await till.floor.value("SELECT count(*) FROM chargebacks") == 1


async def test_a_chargeback_of_a_part_before_shipping_holds_only_that(till: Till) -> None:
    bought = await till.floor.paid()
    await till.open_account(bought.shop.id)
    reference = await dispute(till, bought, 4_000)
    await until(till, "needs_response")
    books = await till.floor.books()
    assert (books["hold"], books["dispute_hold"]) == (6_000, 4_000)
    await close(till, reference, "won")
    await until(till, "won")
    assert (await till.floor.books())["hold"] == 10_000
    await till.floor.complete(bought)
    assert await till.money(bought.shop.id) == {"pending": 9_000}


async def test_nothing_is_refunded_while_a_bank_has_the_money(till: Till) -> None:
    bought = await till.sale()
    await dispute(till, bought, 8_000)
    await until(till, "needs_response")
    path = f"/v1/orders/{bought.order}/refunds"
    body = {"reason": "A goodwill.", "amount_minor": 2_000}
    status, problem = await till.floor.api("POST", path, bought.shop.owner, body)
    assert (status, problem["code"]) == (409, "refund.charged_back")
