"""The order machine from payment to completion: who may do what, when, and what moves with it."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args
from uuid import UUID

import msgspec
import pytest

from feira.platform.domain.ids import OrderLineId, ShipmentId
from feira.platform.domain.order_commands import (
    Accept,
    ApproveCancel,
    ChargeBack,
    Complete,
    DeadlineKind,
    DecideDispute,
    Decline,
    Deliver,
    LineQuantity,
    LoseChargeback,
    OrderCommand,
    Pay,
    Refund,
    Refuse,
    Ship,
    TimeUp,
    Trigger,
    WinChargeback,
)
from feira.platform.domain.order_rules import RULES, actors_of, step_of
from feira.platform.domain.order_state import ActorRole, Deadline
from tests.unit.orders.paper import (
    ACCEPTED,
    ASK,
    CANCEL,
    CANCELLED,
    COMPLETED,
    DELIVERED,
    DISPUTE,
    DISPUTED,
    LINES,
    NOW,
    PAID,
    SHIP,
    SHIPPED,
    TERMS,
    Steps,
    after,
    decided,
    evolve,
    kinds,
    late,
    order,
    part,
    rejected,
    sound_commands,
)


def test_the_main_path_leads_from_an_unpaid_to_a_completed_order() -> None:
    state = after(*COMPLETED)
    assert (state.status, state.payment_status, state.fulfilment_status) == (
        "completed",
        "captured",
        "delivered",
    )
    assert state.version == 6
    assert state.deadlines == ()


def test_paying_sells_the_stock_and_ends_the_hold() -> None:
    decision = decided(order(), Pay(), "gateway")
    assert (decision.fact, decision.stock, kinds(decision.deadlines)) == (
        "paid",
        "sell",
        ["ship_by"],
    )


def test_delivery_starts_the_auto_accept_deadline_that_was_frozen_at_checkout() -> None:
    decision = decided(after(*SHIPPED), Deliver(), "support")
    due_at = NOW + timedelta(seconds=TERMS.auto_accept_s)
    assert decision.deadlines == (Deadline(kind="auto_accept", due_at=due_at),)


@pytest.mark.parametrize(
    ("steps", "command", "actor", "code"),
    [
        ((), Accept(), "seller", "order.not_paid"),
        ((), SHIP, "seller", "order.not_paid"),
        ((), Deliver(), "buyer", "order.not_paid"),
        (PAID, SHIP, "seller", "order.not_accepted"),
        (ACCEPTED, Accept(), "seller", "order.already_accepted"),
        (ACCEPTED, Deliver(), "buyer", "order.not_shipped"),
        (ACCEPTED, Complete(), "buyer", "order.not_shipped"),
        (SHIPPED, SHIP, "seller", "order.already_shipped"),
        (ACCEPTED, CANCEL, "buyer", "order.ask_to_cancel"),
        (PAID, ASK, "buyer", "order.not_accepted"),
        (ACCEPTED, ApproveCancel(), "seller", "order.no_cancel_request"),
        (
            DELIVERED,
            DecideDispute(outcome="completed", reason="x"),
            "support",
            "order.not_disputed",
        ),
        (ACCEPTED, DISPUTE, "buyer", "order.not_shipped"),
        (DISPUTED, Complete(), "buyer", "order.disputed"),
        (COMPLETED, DISPUTE, "buyer", "order.already_completed"),
        (SHIPPED, CANCEL, "buyer", "order.already_shipped"),
        (SHIPPED, Complete(), "buyer", "order.not_delivered"),
        (DELIVERED, Deliver(), "buyer", "order.already_delivered"),
        (DELIVERED, CANCEL, "seller", "order.already_delivered"),
        (COMPLETED, Complete(), "buyer", "order.already_completed"),
        (COMPLETED, CANCEL, "support", "order.already_completed"),
        (CANCELLED, Accept(), "seller", "order.already_cancelled"),
        (CANCELLED, CANCEL, "buyer", "order.already_cancelled"),
        (PAID, Pay(), "gateway", "order.already_paid"),
        (PAID, TimeUp(deadline="hold"), "timer", "order.deadline_not_reached"),
        (PAID, Decline(decline_code="card_declined"), "gateway", "order.not_pending"),
        ((), TimeUp(deadline="hold"), "timer", "order.deadline_not_reached"),
        (DELIVERED, TimeUp(deadline="auto_accept"), "timer", "order.deadline_not_reached"),
        ((), Refund(refunded_minor=1), "gateway", "order.nothing_captured"),
    ],
)
def test_what_comes_too_early_or_too_late_is_a_conflict_with_a_stable_code(
    steps: Steps,
    command: OrderCommand | Trigger,
    actor: ActorRole,
    code: str,
) -> None:
    rejection = rejected(after(*steps), command, actor)
    assert (rejection.kind, rejection.code) == ("conflict", code)


EVERYTHING: tuple[OrderCommand | Trigger, ...] = (
    *sound_commands(after(*DISPUTED), NOW),
    Pay(),
    Decline(decline_code="card_declined"),
    Refuse(reason="no"),
    Refund(refunded_minor=1),
    ChargeBack(),
    WinChargeback(),
    LoseChargeback(),
    *(TimeUp(deadline=kind) for kind in get_args(DeadlineKind)),
)


def test_everybody_else_is_told_whose_transition_it_is() -> None:
    assert {step_of(command) for command in EVERYTHING} == set(RULES)
    for command in EVERYTHING:
        for actor in set(get_args(ActorRole)) - actors_of(command):
            rejection = rejected(order(), command, actor)
            assert (rejection.kind, rejection.code) == ("role", "order.not_allowed")


def test_a_stale_version_is_refused_before_the_status_is_looked_at() -> None:
    rejection = rejected(after(*PAID), Accept(expected_version=1), "seller")
    assert (rejection.kind, rejection.code) == ("conflict", "order.version_conflict")
    assert decided(after(*PAID), Accept(expected_version=2), "seller").version == 3


def test_an_order_ships_in_parts_until_nothing_is_left() -> None:
    first, second = LINES
    state = after(*ACCEPTED)
    decision = decided(state, part(1), "seller")
    assert (decision.fact, decision.status, decision.fulfilment_status) == (
        "partially_shipped",
        "accepted",
        "partial",
    )
    assert kinds(decision.deadlines) == ["ship_by"]
    rest = decided(evolve(state, decision, part(1)), SHIP, "seller")
    assert (rest.fact, rest.status, rest.fulfilment_status) == ("shipped", "shipped", "full")
    assert kinds(rest.deadlines) == ["arrival"]
    assert rest.shipped == (
        LineQuantity(line=first, quantity=1),
        LineQuantity(line=second, quantity=3),
    )


def test_parcels_arrive_one_by_one_and_the_order_with_the_last_one() -> None:
    state = after(*ACCEPTED, (part(1), "seller"), (Deliver(), "buyer"))
    assert (state.status, [parcel.delivered for parcel in state.parcels]) == ("accepted", [True])
    assert rejected(state, Deliver(), "buyer").code == "order.already_delivered"
    state = after((part(1), "seller"), (SHIP, "seller"), state=state)
    _, second, third = (parcel.shipment for parcel in state.parcels)
    first = decided(state, Deliver(shipment=third), "buyer")
    assert (first.fact, first.status, first.delivered) == ("parcel_delivered", "shipped", (third,))
    state = evolve(state, first, Deliver())
    assert rejected(state, Deliver(shipment=third), "buyer").code == "order.parcel_delivered"
    nowhere = Deliver(shipment=ShipmentId(UUID(int=9)))
    assert rejected(state, nowhere, "buyer").code == "order.unknown_parcel"
    last = decided(state, Deliver(shipment=second), "support")
    assert (last.fact, last.status, last.delivered) == ("delivered", "delivered", (second,))
    assert kinds(last.deadlines) == ["auto_accept"]


def test_a_parcel_of_which_nobody_says_anything_counts_as_delivered_after_a_while() -> None:
    state = late("arrival", after(*SHIPPED))
    assert (state.status, kinds(state.deadlines)) == ("delivered", ["auto_accept"])
    assert late("auto_accept", state).status == "completed"


@pytest.mark.parametrize(
    ("lines", "code", "field"),
    [
        ([(LINES[0], 3)], "order.ships_too_many", "$.lines[0].quantity"),
        ([(LINES[0], 2), (LINES[0], 1)], "order.ships_too_many", "$.lines[1].quantity"),
        ([(LINES[0], 1), (LINES[0], 1)], "order.line_twice", "$.lines"),
        ([(OrderLineId(UUID(int=9)), 1)], "order.unknown_line", "$.lines[0].line"),
    ],
)
def test_a_parcel_carries_only_what_the_order_has_left(
    lines: list[tuple[OrderLineId, int]], code: str, field: str
) -> None:
    parcel = Ship(
        carrier="DHL",
        tracking_number="A",
        lines=[LineQuantity(line=line, quantity=quantity) for line, quantity in lines],
    )
    rejection = rejected(after(*ACCEPTED), parcel, "seller")
    assert (rejection.kind, rejection.code, rejection.field) == ("rule", code, field)


def test_cancelling_gives_stock_back_and_exactly_the_money_that_was_taken() -> None:
    unpaid = decided(order(), CANCEL, "buyer")
    assert (unpaid.stock, unpaid.refund_minor) == ("release", 0)
    paid = decided(after(*ACCEPTED), CANCEL, "seller")
    assert (paid.stock, paid.refund_minor) == ("restock", 10_000)


def test_an_order_expires_only_once_its_hold_is_over() -> None:
    decision = decided(order(), TimeUp(deadline="hold"), "timer", NOW + timedelta(minutes=15))
    assert (decision.status, decision.stock, decision.deadlines) == ("expired", "release", ())


def test_money_for_a_closed_order_is_recorded_once_and_goes_back() -> None:
    state = late("hold", order())
    decision = decided(state, Pay(), "gateway")
    assert (decision.fact, decision.status, decision.refund_minor) == (
        "paid_late",
        "expired",
        10_000,
    )
    assert decision.stock is None
    state = evolve(state, decision, Pay())
    assert rejected(state, Pay(), "gateway").code == "order.already_paid"


def test_a_decline_leaves_the_hold_running() -> None:
    decision = decided(order(), Decline(decline_code="card_declined"), "gateway")
    assert (decision.status, decision.deadlines) == ("pending_payment", order().deadlines)


def test_a_payment_that_is_refused_as_such_ends_a_waiting_order_and_no_other() -> None:
    decision = decided(order(), Refuse(reason="no"), "gateway")
    assert (decision.fact, decision.status, decision.stock) == ("cancelled", "cancelled", "release")
    assert rejected(after(*PAID), Refuse(reason="no"), "gateway").code == "order.not_pending"


def test_refunds_are_partial_until_all_of_it_went_back() -> None:
    state = after(*CANCELLED)
    some = Refund(refunded_minor=4_000)
    first = decided(state, some, "gateway")
    assert first.payment_status == "partially_refunded"
    whole = decided(evolve(state, first, some), Refund(refunded_minor=10_000), "gateway")
    assert whole.payment_status == "refunded"


def test_commands_are_told_apart_by_their_action_and_limited_in_size() -> None:
    body = b'{"action":"ship","carrier":"DHL","tracking_number":"1Z","expected_version":3}'
    assert msgspec.json.decode(body, type=OrderCommand) == Ship(
        carrier="DHL", tracking_number="1Z", expected_version=3
    )
    for bad in (
        b'{"action":"ship","carrier":" ","tracking_number":"1Z"}',
        b'{"action":"cancel","reason":"%s"}' % (b"x" * 301),
        b'{"action":"expire"}',
        b'{"action":"accept","by":"me"}',
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(bad, type=OrderCommand)
