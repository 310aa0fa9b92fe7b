"""Disputes and chargebacks: everything stands still, somebody decides, and the money adds up."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from feira.platform.domain.order_commands import (
    Accept,
    AcceptSettlement,
    AddEvidence,
    ChargeBack,
    Complete,
    DecideDispute,
    LoseChargeback,
    OrderCommand,
    ProposeSettlement,
    Refund,
    TimeUp,
    WinChargeback,
    WithdrawDispute,
)
from feira.platform.domain.order_state import ActorRole, OrderState, OrderStatus, Proposal
from feira.platform.domain.orders import allowed_actions
from tests.unit.orders.paper import (
    ACCEPTED,
    CANCELLED,
    COMPLETED,
    DAY,
    DELIVERED,
    DISPUTE,
    DISPUTED,
    NOW,
    PAID,
    SHIPPED,
    Steps,
    after,
    decided,
    evolve,
    kinds,
    late,
    part,
    rejected,
)

WITHDRAW = WithdrawDispute(reason="found it")
CHARGED_BACK: Steps = ((ChargeBack(), "gateway"),)


def test_a_dispute_stops_the_countdown_and_a_withdrawal_lets_it_go_on() -> None:
    state = after(*DISPUTED)
    assert (state.status, kinds(state.deadlines)) == (
        "disputed",
        ["auto_accept", "dispute_decision"],
    )
    years_later = NOW + 1000 * DAY
    passed = TimeUp(deadline="auto_accept")
    assert rejected(state, passed, "timer", years_later).code == "order.deadline_not_reached"
    now = NOW + 3 * DAY
    back = decided(state, WITHDRAW, "buyer", now)
    assert (back.status, back.dispute, kinds(back.deadlines)) == (
        "delivered",
        None,
        ["auto_accept"],
    )
    assert back.deadlines[0].due_at == now + 14 * DAY


def test_a_dispute_about_a_parcel_that_never_came_goes_back_to_where_it_was() -> None:
    state = after(*SHIPPED, (DISPUTE, "buyer"))
    assert kinds(state.deadlines) == ["arrival", "dispute_decision"]
    back = decided(state, WITHDRAW, "buyer")
    assert (back.status, kinds(back.deadlines)) == ("shipped", ["arrival"])


def test_each_side_may_say_something_and_only_support_decides() -> None:
    state = after(*DISPUTED)
    assert allowed_actions(state, {"buyer"}) == (
        "add_evidence",
        "propose_settlement",
        "withdraw_dispute",
    )
    assert allowed_actions(state, {"seller"}) == ("add_evidence", "propose_settlement")
    assert allowed_actions(state, {"support"}) == ("add_evidence", "decide_dispute")


@pytest.mark.parametrize(
    ("outcome", "amount", "refund_minor", "status"),
    [
        ("completed", None, 0, "completed"),
        ("refunded", None, 9_000, "refunded"),
        ("split", 1, 1, "split"),
    ],
)
def test_support_decides_about_what_is_left_of_the_money(
    outcome: OrderStatus, amount: int | None, refund_minor: int, status: OrderStatus
) -> None:
    state = msgspec.structs.replace(after(*DISPUTED), promised_minor=1_000)
    command = msgspec.convert(
        {"action": "decide_dispute", "outcome": outcome, "refund_minor": amount, "reason": "so"},
        DecideDispute,
    )
    decision = decided(state, command, "support")
    assert (decision.status, decision.refund_minor, decision.deadlines) == (
        status,
        refund_minor,
        (),
    )


@pytest.mark.parametrize(
    ("command", "actor", "code"),
    [
        (DecideDispute(outcome="split", reason="x"), "support", "dispute.split_only"),
        (
            DecideDispute(outcome="refunded", refund_minor=5, reason="x"),
            "support",
            "dispute.split_only",
        ),
        (
            DecideDispute(outcome="split", refund_minor=10_001, reason="x"),
            "support",
            "dispute.exceeds_order",
        ),
        (
            DecideDispute(outcome="split", refund_minor=10_000, reason="x"),
            "support",
            "dispute.not_a_split",
        ),
        (
            DecideDispute(outcome="split", refund_minor=0, reason="x"),
            "support",
            "dispute.not_a_split",
        ),
        (ProposeSettlement(refund_minor=10_001, reason="x"), "buyer", "dispute.exceeds_order"),
    ],
)
def test_nobody_shares_out_more_than_there_is(
    command: OrderCommand, actor: ActorRole, code: str
) -> None:
    rejection = rejected(after(*DISPUTED), command, actor)
    assert (rejection.kind, rejection.code, rejection.field) == ("rule", code, "$.refund_minor")


def test_what_one_side_proposes_the_other_accepts() -> None:
    proposed = after(*DISPUTED, (ProposeSettlement(refund_minor=2_500, reason="keep it"), "seller"))
    assert proposed.dispute is not None
    assert proposed.dispute.proposal == Proposal(by="seller", refund_minor=2_500)
    yes = AcceptSettlement(refund_minor=2_500)
    assert rejected(proposed, yes, "seller").code == "dispute.no_proposal"
    agreed = decided(proposed, yes, "buyer")
    assert (agreed.fact, agreed.status, agreed.refund_minor) == ("dispute_settled", "split", 2_500)


def test_nobody_agrees_to_a_proposal_that_changed_meanwhile() -> None:
    assert rejected(after(*DISPUTED), AcceptSettlement(refund_minor=0), "buyer").code == (
        "dispute.no_proposal"
    )
    state = after(
        *DISPUTED,
        (ProposeSettlement(refund_minor=2_500, reason="keep it"), "seller"),
        (AddEvidence(text="look"), "buyer"),
        (ProposeSettlement(refund_minor=2_000, reason="keep it"), "seller"),
    )
    rejection = rejected(state, AcceptSettlement(refund_minor=2_500), "buyer")
    assert rejection.code == "dispute.proposal_changed"


def test_support_is_reminded_again_and_again_until_it_decides() -> None:
    state = late("dispute_decision", after(*DISPUTED))
    deadline = state.deadline("dispute_decision")
    assert deadline is not None
    assert (state.status, deadline.due_at) == ("disputed", NOW + 14 * DAY)
    assert late("dispute_decision", state).status == "disputed"


def test_while_the_bank_has_the_money_nobody_moves_and_no_countdown_runs() -> None:
    state = after(*DELIVERED, *CHARGED_BACK)
    assert (state.status, state.payment_status) == ("delivered", "charged_back")
    assert [deadline.paused_at for deadline in state.deadlines] == [NOW]
    assert allowed_actions(state, {"buyer", "seller", "support"}) == ()
    assert rejected(state, Complete(), "buyer").code == "order.charged_back"
    won = decided(state, WinChargeback(), "gateway", NOW + DAY)
    assert (won.status, won.payment_status) == ("delivered", "captured")
    assert won.deadlines[0].due_at == NOW + 15 * DAY


def test_a_won_chargeback_restores_what_was_refunded_before() -> None:
    refunded = after(*CANCELLED, (Refund(refunded_minor=4_000), "gateway"), *CHARGED_BACK)
    assert decided(refunded, WinChargeback(), "gateway").payment_status == "partially_refunded"
    more = Refund(refunded_minor=10_000)
    arrived = decided(refunded, more, "gateway")
    assert arrived.payment_status == "charged_back"
    whole = evolve(refunded, arrived, more)
    assert decided(whole, WinChargeback(), "gateway").payment_status == "refunded"


def test_a_dispute_stays_frozen_through_a_chargeback_within_it() -> None:
    state = after(*DISPUTED, *CHARGED_BACK)
    assert all(deadline.paused_at for deadline in state.deadlines)
    won = decided(state, WinChargeback(), "gateway", NOW + timedelta(hours=1))
    running = [deadline.kind for deadline in won.deadlines if deadline.paused_at is None]
    assert running == ["dispute_decision"]


@pytest.mark.parametrize(
    ("state", "status", "units"),
    [
        (after(*PAID), "cancelled", 5),
        (after(*ACCEPTED), "cancelled", 5),
        (after(*ACCEPTED, (part(1), "seller")), "refunded", 4),
        (after(*SHIPPED), "refunded", 0),
        (after(*DISPUTED), "refunded", 0),
        (after(*COMPLETED), "completed", 0),
    ],
)
def test_a_lost_chargeback_ends_what_was_under_way(
    state: OrderState, status: OrderStatus, units: int
) -> None:
    decision = decided(after(*CHARGED_BACK, state=state), LoseChargeback(), "gateway")
    assert (decision.status, decision.payment_status) == (status, "charged_back")
    assert (decision.refund_minor, decision.deadlines) == (0, ())
    assert sum(item.quantity for item in decision.cancelled) == units


def test_only_captured_money_is_charged_back_and_once() -> None:
    nothing = rejected(after(), ChargeBack(), "gateway")
    assert nothing.code == "order.nothing_captured"
    twice = rejected(after(*PAID, *CHARGED_BACK), ChargeBack(), "gateway")
    assert twice.code == "order.nothing_to_charge_back"
    assert rejected(after(*PAID), WinChargeback(), "gateway").code == "order.not_charged_back"
    assert rejected(after(*PAID, *CHARGED_BACK), Accept(), "seller").code == "order.charged_back"
