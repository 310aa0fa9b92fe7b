"""The worked example of docs/money.md, to the cent: an order of 100.00 at 10 % commission, the provider's fee 3.20."""

from uuid import UUID

import pytest

from feira.platform.domain import postings_chargebacks as chargebacks
from feira.platform.domain import postings_orders as orders
from feira.platform.domain import postings_payouts as payouts
from feira.platform.domain import postings_refunds as refunds
from feira.platform.domain import postings_shops as shops
from feira.platform.domain.ids import (
    AdjustmentId,
    ChargebackId,
    OrderId,
    PaymentId,
    PayoutId,
    RefundId,
)
from feira.platform.domain.ledger import LedgerTransaction
from feira.platform.domain.postings_chargebacks import ChargebackShare
from feira.platform.domain.shop_funds import HELD, Sale, ShopFunds, Stage
from tests.unit.ledger.book import ORDER, SHOP, Book, capture, sale

REFUND = RefundId(UUID("0198f2c4-0000-7000-8000-000000000004"))
PAYOUT = PayoutId(UUID("0198f2c4-0000-7000-8000-000000000005"))
CHARGEBACK = ChargebackId(UUID("0198f2c4-0000-7000-8000-000000000006"))
ADJUSTMENT = AdjustmentId(UUID("0198f2c4-0000-7000-8000-000000000007"))
EXAMPLE = sale(10_000, 1_000)


def started(amount: int = 9_000) -> LedgerTransaction:
    return payouts.payout_started(
        payout_id=PAYOUT, shop_id=SHOP, currency="EUR", amount_minor=amount
    )


def transferred(amount: int = 9_000) -> LedgerTransaction:
    return payouts.transfer_made(
        payout_id=PAYOUT, gateway="sandbox", shop_id=SHOP, currency="EUR", amount_minor=amount
    )


def paid(amount: int = 9_000, attempt: int = 1) -> LedgerTransaction:
    return payouts.payout_paid(
        payout_id=PAYOUT, attempt=attempt, shop_id=SHOP, currency="EUR", amount_minor=amount
    )


def book(stage: Stage, *, paid_out: bool = False, order: Sale = EXAMPLE) -> Book:
    """The example, up to a stage, and up to the shop's bank."""
    there = Book().post(capture(order, fee=320))
    if stage != "held":
        there.post(orders.completed(order, refunded_minor=0))
    if stage == "cleared":
        there.post(orders.clearance_over(order, there.funds("clearing")))
    if paid_out:
        amount = there.of("available")
        there.post(started(amount), transferred(amount), paid(amount))
    return there


def request(
    there: Book, stage: Stage, amount: int = 4_000, *, order: Sale = EXAMPLE, before: int = 0
) -> Book:
    return there.post(
        refunds.refund_requested(
            order,
            refund_id=REFUND,
            amount_minor=amount,
            before_minor=before,
            funds=there.funds(stage),
        )
    )


def succeed(there: Book, amount: int = 4_000) -> Book:
    return there.post(
        refunds.refund_succeeded(
            refund_id=REFUND,
            order_id=ORDER,
            gateway="sandbox",
            currency="EUR",
            amount_minor=amount,
        )
    )


def fail(there: Book, stage: Stage, amount: int = 4_000, *, order: Sale = EXAMPLE) -> Book:
    return there.post(
        refunds.refund_failed(
            order,
            refund_id=REFUND,
            amount_minor=amount,
            other_minor=0,
            funds=there.funds(stage),
        )
    )


def open_chargeback(
    there: Book, stage: Stage, amount: int = 10_000, *, before: int = 0
) -> ChargebackShare:
    funds = there.funds(stage)
    share = chargebacks.chargeback_share(
        EXAMPLE,
        chargeback_id=CHARGEBACK,
        gateway="sandbox",
        amount_minor=amount,
        before_minor=before,
        funds=funds,
    )
    there.post(
        chargebacks.chargeback_opened(EXAMPLE, share, funds),
        shops.fee_charged(
            effect=f"chargeback:{CHARGEBACK}", gateway="sandbox", currency="EUR", fee_minor=1_500
        ),
    )
    return share


def test_captured() -> None:
    assert book("held").kinds() == {"psp": 9_680, "fees": 320, "hold": 10_000}


def test_completed() -> None:
    assert book("clearing").kinds() == {
        "psp": 9_680,
        "fees": 320,
        "pending": 9_000,
        "commission": 1_000,
    }


def test_clearance_over() -> None:
    assert book("cleared").kinds() == {
        "psp": 9_680,
        "fees": 320,
        "available": 9_000,
        "commission": 1_000,
    }


def test_clearance_settles_first_what_the_shop_owes() -> None:
    there = book("clearing")
    there.post(
        shops.adjusted(
            adjustment_id=ADJUSTMENT,
            shop_id=SHOP,
            currency="EUR",
            amount_minor=-2_500,
            funds=ShopFunds(stage="cleared"),
            reason="labels",
        )
    )
    assert there.of("receivable") == 2_500
    there.post(orders.clearance_over(EXAMPLE, there.funds("clearing")))
    assert (there.of("receivable"), there.of("available")) == (0, 6_500)


def test_a_refund_before_release_is_the_holds() -> None:
    there = request(book("held"), "held")
    assert there.kinds() == {"psp": 9_680, "fees": 320, "hold": 6_000, "refund_payable": 4_000}
    succeed(there).post(orders.completed(EXAMPLE, refunded_minor=4_000))
    assert there.kinds() == {"psp": 5_680, "fees": 320, "pending": 5_400, "commission": 600}


def test_a_refund_in_clearance_is_the_orders_pending_money_and_commission() -> None:
    there = request(book("clearing"), "clearing")
    assert there.kinds() == {
        "psp": 9_680,
        "fees": 320,
        "pending": 5_400,
        "commission": 600,
        "refund_payable": 4_000,
    }
    assert succeed(there).kinds() == {
        "psp": 5_680,
        "fees": 320,
        "pending": 5_400,
        "commission": 600,
    }


def test_a_refund_after_clearance_is_what_the_shop_has_available() -> None:
    there = succeed(request(book("cleared"), "cleared"))
    assert there.kinds() == {"psp": 5_680, "fees": 320, "available": 5_400, "commission": 600}


def test_a_refund_after_payout_is_owed_by_the_shop() -> None:
    there = succeed(request(book("cleared", paid_out=True), "cleared"))
    assert there.kinds() == {
        # The market paid the shop 90.00 and the buyer 40.00 of 96.80: it has advanced 33.20.
        "psp": -3_320,
        "fees": 320,
        "receivable": 3_600,
        "commission": 600,
    }


def test_what_was_partly_paid_out_is_partly_owed() -> None:
    there = book("cleared").post(started(7_000))
    request(there, "cleared")
    assert there.kinds() == {
        "psp": 9_680,
        "fees": 320,
        "in_flight": 7_000,
        "receivable": 1_600,
        "commission": 600,
        "refund_payable": 4_000,
    }


@pytest.mark.parametrize("stage", ["held", "clearing", "cleared"])
def test_a_failed_refund_ends_as_if_it_had_never_been_asked_for(stage: Stage) -> None:
    assert fail(request(book(stage), stage), stage).kinds() == book(stage).kinds()


def test_a_refund_that_fails_after_payout_settles_what_it_made_the_shop_owe() -> None:
    there = book("cleared", paid_out=True)
    assert fail(request(there, "cleared"), "cleared").kinds() == {
        "psp": 680,
        "fees": 320,
        "commission": 1_000,
    }


def test_a_refund_that_was_asked_for_before_completion_may_fail_after_it() -> None:
    there = request(book("held"), "held").post(orders.completed(EXAMPLE, refunded_minor=4_000))
    assert fail(there, "clearing").kinds() == book("clearing").kinds()


def test_the_markets_subsidy_reaches_the_shop_and_goes_back_with_a_refund() -> None:
    # The buyer paid 80.00 of 100.00, the market's voucher the rest.
    order = sale(8_000, 1_000, subsidy=2_000)
    there = book("clearing", order=order)
    assert there.kinds() == {
        "psp": 7_680,
        "fees": 320,
        "promotion": 2_000,
        "pending": 9_000,
        "commission": 1_000,
    }
    succeed(request(there, "clearing", order=order))
    assert there.kinds() == {
        "psp": 3_680,
        "fees": 320,
        "promotion": 1_000,
        "pending": 4_500,
        "commission": 500,
    }


def test_what_the_market_bears_touches_no_shop() -> None:
    there = book("clearing")
    there.post(
        refunds.refund_borne_by_market(
            refund_id=REFUND, order_id=ORDER, currency="EUR", amount_minor=500
        )
    )
    assert (there.of("loss"), there.of("refund_payable"), there.of("pending")) == (500, 500, 9_000)
    there.post(
        refunds.refund_borne_by_market_failed(
            refund_id=REFUND, order_id=ORDER, currency="EUR", amount_minor=500
        )
    )
    assert there.kinds() == book("clearing").kinds()


def test_a_payout_goes_by_the_shops_account_at_the_provider() -> None:
    there = book("cleared").post(started())
    assert there.kinds() == {"psp": 9_680, "fees": 320, "in_flight": 9_000, "commission": 1_000}
    there.post(transferred())
    assert (there.of("psp"), there.of("connected"), there.of("in_flight")) == (680, 9_000, 9_000)
    assert there.post(paid()).kinds() == {"psp": 680, "fees": 320, "commission": 1_000}


def test_a_payout_that_fails_after_it_was_paid_is_sent_again() -> None:
    there = book("cleared", paid_out=True)
    there.post(
        payouts.payout_returned(
            payout_id=PAYOUT, attempt=1, shop_id=SHOP, currency="EUR", amount_minor=9_000
        )
    )
    assert (there.of("connected"), there.of("in_flight")) == (9_000, 9_000)
    assert there.post(paid(attempt=2)).kinds() == {"psp": 680, "fees": 320, "commission": 1_000}


@pytest.mark.parametrize("was_transferred", [True, False])
def test_a_payout_that_is_given_up_leaves_the_shop_as_before(*, was_transferred: bool) -> None:
    there = book("cleared").post(started())
    if was_transferred:
        there.post(transferred())
    there.post(
        payouts.payout_given_up(
            payout_id=PAYOUT,
            gateway="sandbox",
            shop_id=SHOP,
            currency="EUR",
            amount_minor=9_000,
            transferred=was_transferred,
        )
    )
    assert there.kinds() == book("cleared").kinds()


def test_a_reversed_transfer_settles_what_the_shop_owes() -> None:
    there = succeed(request(book("cleared", paid_out=True), "cleared"))
    there.post(
        payouts.transfer_recouped(
            reversal_id="trr_1",
            gateway="sandbox",
            shop_id=SHOP,
            currency="EUR",
            amount_minor=3_600,
            from_in_flight=False,
        )
    )
    assert there.kinds() == {"psp": 280, "fees": 320, "commission": 600}


def test_a_transfer_reversed_in_flight_makes_its_payout_smaller() -> None:
    there = book("cleared").post(started(), transferred())
    succeed(request(there, "cleared"))
    there.post(
        payouts.transfer_recouped(
            reversal_id="trr_1",
            gateway="sandbox",
            shop_id=SHOP,
            currency="EUR",
            amount_minor=3_600,
            from_in_flight=True,
        ),
        paid(5_400),
    )
    assert there.kinds() == {"psp": 280, "fees": 320, "commission": 600}


@pytest.mark.parametrize(
    ("stage", "shop_kind", "hold"),
    [("held", "hold", 10_000), ("clearing", "pending", 9_000), ("cleared", "available", 9_000)],
)
def test_a_chargeback_keeps_the_shops_share_aside_until_it_is_won(
    stage: Stage, shop_kind: str, hold: int
) -> None:
    there = book(stage)
    share = open_chargeback(there, stage)
    opened = there.kinds()
    assert opened["dispute_receivable"] == 10_000
    assert opened["dispute_hold"] == hold
    assert opened["fees"] == 1_820
    assert opened["psp"] == -1_820
    assert shop_kind not in opened
    there.post(chargebacks.chargeback_won(EXAMPLE, share, other_minor=0, funds=there.funds(stage)))
    assert there.kinds() == book(stage).kinds() | {"fees": 1_820, "psp": 8_180}


@pytest.mark.parametrize("stage", ["held", "clearing", "cleared"])
def test_a_lost_chargeback_costs_the_shop_its_share_and_the_market_its_commission(
    stage: Stage,
) -> None:
    there = book(stage)
    share = open_chargeback(there, stage)
    there.post(chargebacks.chargeback_lost(EXAMPLE, share))
    assert there.kinds() == {"psp": -1_820, "fees": 1_820}


def test_a_chargeback_lost_after_payout_is_owed_by_the_shop() -> None:
    there = book("cleared", paid_out=True)
    share = open_chargeback(there, "cleared")
    there.post(chargebacks.chargeback_lost(EXAMPLE, share))
    assert there.kinds() == {"psp": -10_820, "fees": 1_820, "receivable": 9_000}


@pytest.mark.parametrize("stage", ["clearing", "cleared"])
def test_a_reinstated_chargeback_is_as_if_there_had_been_none(stage: Stage) -> None:
    there = book(stage)
    share = open_chargeback(there, stage)
    there.post(
        chargebacks.chargeback_lost(EXAMPLE, share),
        chargebacks.chargeback_reinstated(EXAMPLE, share, other_minor=0, funds=there.funds(stage)),
    )
    assert there.kinds() == book(stage).kinds() | {"fees": 1_820, "psp": 8_180}


def test_a_chargeback_opened_before_completion_may_be_won_after_it() -> None:
    there = book("held")
    share = open_chargeback(there, "held", 4_000)
    there.post(orders.completed(EXAMPLE, refunded_minor=4_000))
    there.post(
        chargebacks.chargeback_won(EXAMPLE, share, other_minor=0, funds=there.funds("clearing"))
    )
    assert there.kinds() == book("clearing").kinds() | {"fees": 1_820, "psp": 8_180}


def test_what_the_bank_takes_back_of_refunded_money_is_the_markets_loss() -> None:
    there = succeed(request(book("clearing"), "clearing"))
    share = open_chargeback(there, "clearing", 10_000, before=4_000)
    assert (share.part.amount_minor, share.excess_minor) == (6_000, 4_000)
    there.post(chargebacks.chargeback_lost(EXAMPLE, share))
    assert there.kinds() == {"psp": -5_820, "fees": 1_820, "loss": 4_000}


def test_what_is_owed_is_netted_written_off_or_corrected() -> None:
    there = succeed(request(book("cleared", paid_out=True), "cleared"))
    there.post(
        shops.adjusted(
            adjustment_id=ADJUSTMENT,
            shop_id=SHOP,
            currency="EUR",
            amount_minor=600,
            funds=there.funds("cleared"),
            reason="goodwill",
        )
    )
    assert (there.of("receivable"), there.of("adjustment")) == (3_000, 600)
    other = sale(1_000, 0, order=OrderId(UUID(int=9)))
    there.post(
        capture(other, payment=PaymentId(UUID(int=9))),
        orders.completed(other, refunded_minor=0),
    )
    there.post(orders.clearance_over(other, there.funds("clearing", other.order_id)))
    assert (there.of("receivable"), there.of("available")) == (2_000, 0)
    there.post(
        shops.receivable_written_off(
            adjustment_id=AdjustmentId(UUID(int=1)),
            shop_id=SHOP,
            currency="EUR",
            amount_minor=2_000,
            reason="the shop is gone",
        )
    )
    assert (there.of("receivable"), there.of("loss")) == (0, 2_000)


def test_netting_moves_what_is_available_to_what_is_owed() -> None:
    there = book("cleared").post(started())
    request(there, "cleared")
    there.post(
        payouts.payout_given_up(
            payout_id=PAYOUT,
            gateway="sandbox",
            shop_id=SHOP,
            currency="EUR",
            amount_minor=9_000,
            transferred=False,
        ),
        shops.receivable_netted(cause="run:1", shop_id=SHOP, currency="EUR", amount_minor=3_600),
    )
    assert (there.of("receivable"), there.of("available")) == (0, 5_400)


def test_the_same_effect_has_the_same_body_and_another_has_not() -> None:
    other = sale(10_001)
    assert capture(EXAMPLE).body_sha256 == capture(EXAMPLE).body_sha256
    assert capture(EXAMPLE).body_sha256 != capture(other).body_sha256
    assert capture(EXAMPLE).idem_key == capture(other).idem_key


@pytest.mark.parametrize(
    ("currency", "total", "commission", "refunds_", "given_back"),
    [
        ("EUR", 10_000, 1_000, [3_333, 3_333, 3_334], [333, 334, 333]),
        ("JPY", 999, 100, [333, 333, 333], [33, 34, 33]),
        ("KWD", 12_345, 1_235, [4_115, 4_115, 4_115], [412, 411, 412]),
        ("JPY", 5, 1, [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]),
    ],
)
def test_commission_goes_back_in_parts_that_add_up(
    currency: str, total: int, commission: int, refunds_: list[int], given_back: list[int]
) -> None:
    order, before, parts = sale(total, commission, currency=currency), 0, list[int]()
    for amount in refunds_:
        parts.append(order.part(before_minor=before, amount_minor=amount).commission_minor)
        before += amount
    assert parts == given_back
    assert sum(parts) == commission


def test_held_money_is_not_the_shops() -> None:
    with pytest.raises(AssertionError, match="clearance is over once"):
        orders.clearance_over(EXAMPLE, HELD)
