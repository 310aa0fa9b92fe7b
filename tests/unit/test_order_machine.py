"""The order machine: every status against every command, and long random lives of an order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feira.platform.domain.ids import OrderLineId
from feira.platform.domain.order_commands import (
    Accept,
    Cancel,
    Complete,
    Decline,
    Deliver,
    LineQuantity,
    OrderCommand,
    Pay,
    Refund,
    Ship,
    TimeUp,
    Trigger,
)
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.order_state import (
    ActorRole,
    Deadline,
    Decision,
    LineState,
    OrderState,
    OrderStatus,
    StockMove,
)
from feira.platform.domain.orders import allowed_actions, decide

Step = tuple[OrderCommand | Trigger, ActorRole]
Steps = tuple[Step, ...]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINES = tuple(OrderLineId(UUID(int=n)) for n in (1, 2))
AUTO_ACCEPT_S = 14 * 24 * 3600
SHIP = Ship(carrier="DHL", tracking_number="T1")
CANCEL = Cancel(reason="changed my mind")


def order(*, quantities: tuple[int, ...] = (2, 3)) -> OrderState:
    return OrderState(
        status="pending_payment",
        payment_status="none",
        fulfilment_status="none",
        version=1,
        total_minor=10_000,
        auto_accept_s=AUTO_ACCEPT_S,
        lines=tuple(
            LineState(line=line, quantity=quantity, shipped=0)
            for line, quantity in zip(LINES, quantities, strict=True)
        ),
        deadlines=(Deadline(kind="hold", due_at=NOW + timedelta(minutes=15)),),
    )


def evolve(state: OrderState, decision: Decision) -> OrderState:
    shipped = {item.line: item.quantity for item in decision.shipped}
    return msgspec.structs.replace(
        state,
        status=decision.status,
        payment_status=decision.payment_status,
        fulfilment_status=decision.fulfilment_status,
        version=decision.version,
        deadlines=decision.deadlines,
        lines=tuple(
            msgspec.structs.replace(line, shipped=line.shipped + shipped.get(line.line, 0))
            for line in state.lines
        ),
    )


def after(*steps: Step) -> OrderState:
    state = order()
    for command, actor in steps:
        state = evolve(state, decided(state, command, actor))
    return state


def decided(
    state: OrderState, command: OrderCommand | Trigger, actor: ActorRole, now: datetime = NOW
) -> Decision:
    decision = decide(state, command, actor, now)
    assert isinstance(decision, Decision), decision
    return decision


def rejected(
    state: OrderState, command: OrderCommand | Trigger, actor: ActorRole, now: datetime = NOW
) -> Rejection:
    rejection = decide(state, command, actor, now)
    assert isinstance(rejection, Rejection), rejection
    return rejection


PAID: Steps = ((Pay(), "gateway"),)
ACCEPTED: Steps = (*PAID, (Accept(), "seller"))
SHIPPED: Steps = (*ACCEPTED, (SHIP, "seller"))
DELIVERED: Steps = (*SHIPPED, (Deliver(), "buyer"))
COMPLETED: Steps = (*DELIVERED, (Complete(), "buyer"))
CANCELLED: Steps = (*PAID, (CANCEL, "buyer"))


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
    assert (decision.fact, decision.stock, decision.deadlines) == ("paid", "sell", ())


def test_delivery_starts_the_auto_accept_deadline_that_was_frozen_at_checkout() -> None:
    decision = decided(after(*SHIPPED), Deliver(), "support")
    due_at = NOW + timedelta(seconds=AUTO_ACCEPT_S)
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
    Accept(),
    SHIP,
    Deliver(),
    Complete(),
    CANCEL,
    Pay(),
    Decline(decline_code="card_declined"),
    TimeUp(deadline="hold"),
    TimeUp(deadline="auto_accept"),
    Refund(refunded_minor=1),
)


def test_everybody_else_is_told_whose_transition_it_is() -> None:
    assert {type(command) for command in EVERYTHING} == set(ACTORS)
    for command in EVERYTHING:
        for actor in set(get_args(ActorRole)) - ACTORS[type(command)]:
            rejection = rejected(order(), command, actor)
            assert (rejection.kind, rejection.code) == ("role", "order.not_allowed")


def test_a_stale_version_is_refused_before_the_status_is_looked_at() -> None:
    rejection = rejected(after(*PAID), Accept(expected_version=1), "seller")
    assert (rejection.kind, rejection.code) == ("conflict", "order.version_conflict")
    assert decided(after(*PAID), Accept(expected_version=2), "seller").version == 3


def test_an_order_ships_in_parts_until_nothing_is_left() -> None:
    first, second = LINES
    state = after(*ACCEPTED)
    part = Ship(carrier="DHL", tracking_number="A", lines=[LineQuantity(line=first, quantity=1)])
    decision = decided(state, part, "seller")
    assert (decision.fact, decision.status, decision.fulfilment_status) == (
        "partially_shipped",
        "accepted",
        "partial",
    )
    rest = decided(evolve(state, decision), SHIP, "seller")
    assert (rest.fact, rest.status, rest.fulfilment_status) == ("shipped", "shipped", "full")
    assert rest.shipped == (
        LineQuantity(line=first, quantity=1),
        LineQuantity(line=second, quantity=3),
    )


def test_a_partly_shipped_order_cannot_be_cancelled() -> None:
    part = Ship(carrier="DHL", tracking_number="A", lines=[LineQuantity(line=LINES[0], quantity=1)])
    state = after(*ACCEPTED, (part, "seller"))
    assert rejected(state, CANCEL, "buyer").code == "order.already_shipped"
    assert allowed_actions(state, {"buyer", "seller"}) == ("ship",)


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
    late = NOW + timedelta(minutes=15)
    state = evolve(order(), decided(order(), TimeUp(deadline="hold"), "timer", late))
    decision = decided(state, Pay(), "gateway", late)
    assert (decision.fact, decision.status, decision.refund_minor) == (
        "paid_late",
        "expired",
        10_000,
    )
    assert decision.stock is None
    assert rejected(evolve(state, decision), Pay(), "gateway").code == "order.already_paid"


def test_a_decline_leaves_the_hold_running() -> None:
    decision = decided(order(), Decline(decline_code="card_declined"), "gateway")
    assert (decision.status, decision.deadlines) == ("pending_payment", order().deadlines)


def test_refunds_are_partial_until_all_of_it_went_back() -> None:
    state = after(*CANCELLED)
    part = decided(state, Refund(refunded_minor=4_000), "gateway")
    assert part.payment_status == "partially_refunded"
    whole = decided(evolve(state, part), Refund(refunded_minor=10_000), "gateway")
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


RANK: dict[OrderStatus, int] = {
    "pending_payment": 0,
    "paid": 1,
    "accepted": 2,
    "shipped": 3,
    "delivered": 4,
    "completed": 5,
    "cancelled": 5,
    "expired": 5,
}
STOCK_MOVES: dict[StockMove, tuple[str, str]] = {
    "sell": ("held", "sold"),
    "release": ("held", "released"),
    "restock": ("sold", "restocked"),
}
commands = st.one_of(
    st.builds(Accept),
    st.builds(Deliver),
    st.builds(Complete),
    st.just(CANCEL),
    st.just(SHIP),
    st.builds(
        Ship,
        carrier=st.just("DHL"),
        tracking_number=st.just("T"),
        lines=st.lists(
            st.builds(LineQuantity, line=st.sampled_from(LINES), quantity=st.integers(1, 3)),
            min_size=1,
            max_size=2,
        ),
    ),
)
triggers = st.one_of(
    st.builds(Pay), st.builds(Expire), st.builds(AutoComplete), st.just(Decline(decline_code="x"))
)


class OrderLife(RuleBasedStateMachine):
    """Anybody asks anything at any time; what stock and money did in all is counted beside the machine."""

    @initialize(quantities=st.tuples(st.integers(1, 3), st.integers(1, 3)))
    def check_out(self, quantities: tuple[int, int]) -> None:
        self.state = order(quantities=quantities)
        self.now = NOW
        self.stock = "held"
        self.taken_minor = 0
        self.owed_minor = 0
        self.refunded_minor = 0

    @rule(command=commands, actor=st.sampled_from(get_args(ActorRole)))
    def command(self, command: OrderCommand, actor: ActorRole) -> None:
        allowed = str(type(command).__struct_config__.tag) in allowed_actions(self.state, {actor})
        decision = self.ask(command, actor)
        if command.__class__ is not Ship or command == SHIP:
            assert allowed == isinstance(decision, Decision), "the buttons tell the truth"

    @rule(trigger=triggers)
    def trigger(self, trigger: Trigger) -> None:
        (actor,) = ACTORS[type(trigger)]
        self.ask(trigger, actor)

    @rule(minutes=st.sampled_from((1, 10, 60 * 24 * 15)))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(data=st.data())
    def refund_arrives(self, data: st.DataObject) -> None:
        if self.refunded_minor < self.owed_minor:
            arrived = data.draw(st.integers(self.refunded_minor + 1, self.owed_minor))
            decision = self.ask(Refund(refunded_minor=arrived), "gateway")
            assert isinstance(decision, Decision)
            self.refunded_minor = arrived

    def ask(self, command: OrderCommand | Trigger, actor: ActorRole) -> Decision | Rejection:
        before = self.state
        decision = decide(before, command, actor, self.now)
        if isinstance(decision, Rejection):
            return decision
        assert decision.version == before.version + 1
        assert RANK[decision.status] >= RANK[before.status], "no way back"
        if decision.stock is not None:
            was, becomes = STOCK_MOVES[decision.stock]
            assert self.stock == was
            self.stock = becomes
        if decision.fact in {"paid", "paid_late"}:
            self.taken_minor += before.total_minor
        self.owed_minor += decision.refund_minor
        self.state = evolve(before, decision)
        return decision

    @invariant()
    def the_statuses_agree(self) -> None:
        state = self.state
        lines = state.lines
        assert all(0 <= line.shipped <= line.quantity for line in lines)
        shipped = sum(line.shipped for line in lines)
        everything = sum(line.quantity for line in lines)
        expected = "none" if shipped == 0 else "partial" if shipped < everything else "full"
        assert state.fulfilment_status in {
            expected,
            "delivered" if expected == "full" else expected,
        }
        assert (state.status in {"shipped", "delivered", "completed"}) == (shipped == everything)

    @invariant()
    def money_and_stock_follow_the_status(self) -> None:
        state = self.state
        assert self.taken_minor in {0, state.total_minor}, "nobody pays twice"
        assert self.owed_minor <= self.taken_minor
        closed_unbought = state.status in {"cancelled", "expired"}
        assert self.owed_minor == (self.taken_minor if closed_unbought else 0)
        if closed_unbought:
            assert self.stock in {"released", "restocked"}
        else:
            assert self.stock == ("held" if state.status == "pending_payment" else "sold")

    @invariant()
    def each_timer_belongs_to_its_status(self) -> None:
        kinds = [deadline.kind for deadline in self.state.deadlines]
        assert kinds == {"pending_payment": ["hold"], "delivered": ["auto_accept"]}.get(
            self.state.status, []
        )


OrderLife.TestCase.settings = settings(deadline=None)
TestOrderLife = OrderLife.TestCase
