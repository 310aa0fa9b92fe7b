"""Payouts from the slot to the bank, and what may go wrong on the way; both sides' books are asked."""

from __future__ import annotations

import asyncio

import pytest

from feira.platform.domain.errors import Unavailable
from feira.services.payouts.making import Payer, pay_due_shops, run_payouts
from feira.services.payouts.moving import advance
from tests.integration.payouts.till import Till


async def test_a_weekly_payout_reaches_the_bank(till: Till) -> None:
    bought, payout = await till.paid_out()
    assert await till.money(bought.shop.id) == {"in_flight": 9_000}
    row = await till.until(payout, "paid")
    assert (row.amount_minor, row.transfer_attempt, row.send_attempt) == (9_000, 1, 1)
    assert await till.money(bought.shop.id) == {}
    (transfer,), (sent,) = await till.effects("transfer"), await till.effects("payout")
    assert (transfer["amount_minor"], sent["amount_minor"], sent["state"]) == (9_000, 9_000, "paid")


async def test_two_runs_at_once_pay_a_slot_once(till: Till) -> None:
    bought = await till.cleared()
    await till.let_slot_come(bought.shop.id)
    await asyncio.gather(*(run_payouts(till.floor.market) for _ in range(4)))
    (payout,) = await till.payouts(bought.shop.id)
    await asyncio.gather(*(advance(till.floor.market, payout) for _ in range(4)))
    await till.until(payout, "paid")
    assert len(await till.effects("transfer")) == 1
    assert len(await till.effects("payout")) == 1


async def test_slots_that_nobody_was_there_for_are_paid_by_one_payout(till: Till) -> None:
    bought = await till.cleared()
    await till.execute(
        "UPDATE payout_settings SET frequency = 'daily', next_slot_at = now() - interval '9 days'"
    )
    assert await run_payouts(till.floor.market) == 1
    (payout,) = await till.payouts(bought.shop.id)
    row = await till.payout(payout)
    assert row.slot_at is not None
    assert (row.created_at - row.slot_at).days == 0
    assert await till.floor.value("SELECT next_slot_at > now() FROM payout_settings")


async def test_less_than_the_minimum_waits_for_the_next_slot(till: Till) -> None:
    bought = await till.cleared()
    shop = bought.shop.id
    await till.execute("INSERT INTO payout_minimums VALUES ($1, 'EUR', 9001)", shop)
    await till.let_slot_come(shop)
    assert await run_payouts(till.floor.market) == 1
    assert await till.payouts(shop) == []
    await till.execute("UPDATE payout_minimums SET minimum_minor = 9000")
    await till.pay(shop)
    assert await till.money(shop) == {"in_flight": 9_000}


async def test_shops_that_are_not_in_order_and_paused_ones_are_paid_when_they_are(
    till: Till,
) -> None:
    bought = await till.cleared()
    shop = bought.shop.id
    for wrong, right in (
        ("UPDATE shops SET status = 'suspended'", "UPDATE shops SET status = 'approved'"),
        (
            "UPDATE shops SET provider_status = 'restricted'",
            "UPDATE shops SET provider_status = 'verified'",
        ),
        (
            "UPDATE payout_settings SET paused_reason = 'looks odd'",
            "UPDATE payout_settings SET paused_reason = ''",
        ),
        (
            "UPDATE payout_policy SET paused_reason = 'holidays'",
            "UPDATE payout_policy SET paused_reason = ''",
        ),
        (
            "UPDATE payout_settings SET needs_bank_details = true",
            "UPDATE payout_settings SET needs_bank_details = false",
        ),
    ):
        await till.execute(wrong)
        await till.let_slot_come(shop)
        assert await run_payouts(till.floor.market) == 0
        await till.execute(right)
    payout = await till.pay(shop)
    # Also between the payout and its transfer.
    await till.execute("UPDATE shops SET status = 'suspended'")
    await till.run_jobs()
    assert (await till.payout(payout)).state == "created"
    await till.execute("UPDATE shops SET status = 'approved'")
    await advance(till.floor.market, payout)
    await till.until(payout, "paid")


async def test_an_answer_that_is_lost_makes_no_second_transfer(till: Till) -> None:
    _, payout = await till.paid_out()
    await till.floor.fault("transfers.create", "apply_then_hang_up")
    await till.floor.fault("payouts.create", "apply_then_hang_up")
    row = await till.until(payout, "paid")
    assert (row.transfer_attempt, row.send_attempt) == (1, 1)
    assert len(await till.effects("transfer")) == 1
    assert len(await till.effects("payout")) == 1


async def test_an_outcome_that_a_key_no_longer_tells_is_looked_for(till: Till) -> None:
    """Made, and the answer lost for longer than the provider knows keys: adopted, not made again."""
    _, payout = await till.paid_out()
    await till.floor.fault("transfers.create", "apply_then_hang_up")
    # No job runs: news of the transfer would tell us as well.
    with pytest.raises(Unavailable):
        await advance(till.floor.market, payout)
    assert (await till.payout(payout)).state == "transferring"
    await till.execute("UPDATE payouts SET asked_at = asked_at - interval '3 days'")
    await advance(till.floor.market, payout)
    assert (await till.payout(payout)).state == "sent"
    row = await till.until(payout, "paid")
    assert row.transfer_attempt == 1
    assert len(await till.effects("transfer")) == 1


async def test_a_key_that_fails_for_ever_is_looked_behind(till: Till) -> None:
    _, payout = await till.paid_out()
    await till.floor.fault("transfers.create", "saved_500")
    await till.floor.fault("payouts.create", "saved_500")
    row = await till.until(payout, "paid")
    assert (row.transfer_attempt, row.send_attempt, row.unknown_since) == (1, 1, None)
    assert len(await till.effects("transfer")) == 1
    assert len(await till.effects("payout")) == 1


async def test_what_was_never_done_is_asked_for_again_under_a_new_key(till: Till) -> None:
    _, payout = await till.paid_out()
    await till.execute(
        "UPDATE payouts SET state = 'transferring', transfer_attempt = 1,"
        " asked_at = now() - interval '3 days'"
    )
    row = await till.until(payout, "paid")
    assert row.transfer_attempt == 2
    assert len(await till.effects("transfer")) == 1


async def test_money_that_the_bank_sends_back_is_sent_again_and_then_given_up(till: Till) -> None:
    bought = await till.cleared()
    shop = bought.shop.id
    await till.banks_do(shop, "pay_then_fail")
    payout = await till.pay(shop)
    row = await till.until(payout, "failed")
    assert row.failure_code
    assert await till.money(shop) == {"available": 9_000}
    (transfer,) = await till.effects("transfer")
    assert transfer["undone_minor"] == 9_000
    assert len(await till.effects("transfer_reversal")) == 1
    # Nothing leaves before somebody looked at the bank details.
    await till.let_slot_come(shop)
    assert await run_payouts(till.floor.market) == 0
    await till.run_jobs()
    notices = await till.floor.value(
        "SELECT count(*) FROM notifications WHERE user_id = $1", bought.shop.owner.user_id
    )
    assert notices >= 1

    await till.banks_do(shop, "pay")
    await till.execute("UPDATE payout_settings SET needs_bank_details = false")
    await till.let_slot_come(shop)
    await run_payouts(till.floor.market)
    _, second = await till.payouts(shop)
    await till.until(second, "paid")
    assert await till.money(shop) == {}


async def test_what_a_shop_owes_is_settled_before_it_is_paid(till: Till) -> None:
    bought, payout = await till.paid_out()
    shop = bought.shop.id
    # The refund finds nothing available while the payout is under way; then the payout comes back.
    await till.floor.refund(bought.order, 4_000)
    assert await till.money(shop) == {"in_flight": 9_000, "receivable": 3_600}
    await till.banks_do(shop, "fail")
    await till.until(payout, "failed")
    await till.execute("UPDATE payout_settings SET needs_bank_details = false")
    await till.banks_do(shop, "pay")
    await till.let_slot_come(shop)
    await run_payouts(till.floor.market)
    _, second = await till.payouts(shop)
    assert (await till.payout(second)).amount_minor == 5_400
    lines = await till.floor.value(
        "SELECT array_agg(amount_minor ORDER BY transaction_id) FROM payout_lines WHERE payout_id = $1",
        second,
    )
    assert lines == [9_000, -3_600]
    await till.until(second, "paid")


async def test_what_makes_no_whole_step_is_left_for_the_next_payout(till: Till) -> None:
    bought = await till.cleared(price_minor=10_003)
    shop = bought.shop.id
    payer = Payer(gateway="sandbox", steps={"EUR": 100})
    for _ in range(2):
        await till.let_slot_come(shop)
        await till.floor.market.database.transact(lambda tx: pay_due_shops(tx, payer))
    (payout,) = await till.payouts(shop)
    assert (await till.payout(payout)).amount_minor == 9_000
    assert await till.money(shop) == {"in_flight": 9_000, "available": 3}
    await till.until(payout, "paid")
    await till.let_slot_come(shop)
    await run_payouts(till.floor.market)
    _, rest = await till.payouts(shop)
    assert (await till.payout(rest)).amount_minor == 3
    await till.until(rest, "paid")
