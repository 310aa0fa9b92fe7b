"""Long random lives of an order, and every way that the machine's table shows."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Final, get_args

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feira.platform.domain.order_commands import (
    ChargeBack,
    DeadlineKind,
    Decline,
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
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.order_rules import RULES, action_of, actors_of, step_of
from feira.platform.domain.order_state import (
    CLOSED,
    DEADLINES_OF,
    RELEASED,
    ActorRole,
    Deadline,
    Decision,
    OrderState,
    OrderStatus,
)
from feira.platform.domain.orders import allowed_actions, decide
from tests.unit.orders.paper import (
    LINES,
    NOW,
    evolve,
    order,
    sound_commands,
)

KINDS: Final[tuple[DeadlineKind, ...]] = get_args(DeadlineKind)


def test_every_way_in_the_table_is_walked_and_no_other() -> None:
    walked = walk_everywhere()
    shown = {
        (source, step, target)
        for step, rule_ in RULES.items()
        for source, targets in rule_.paths.items()
        for target in targets
    }
    assert walked == shown


def test_every_status_is_reached_and_the_closed_ones_lead_nowhere() -> None:
    reached: set[OrderStatus] = {"pending_payment"}
    for _ in get_args(OrderStatus):
        reached |= {
            target
            for rule_ in RULES.values()
            for source, targets in rule_.paths.items()
            if source in reached
            for target in targets
        }
    assert reached == set(get_args(OrderStatus))
    assert DEADLINES_OF.keys() == reached - CLOSED
    for rule_ in RULES.values():
        for status in CLOSED & rule_.paths.keys():
            assert rule_.paths[status] == (status,)


def walk_everywhere() -> set[tuple[OrderStatus, str, OrderStatus]]:
    """Breadth first over all that can be asked of a small order; amounts and times do not tell states apart."""
    start = order(quantities=(1, 1))
    todo: deque[tuple[OrderState, datetime]] = deque([(start, NOW)])
    seen = {_shape(start)}
    edges: set[tuple[OrderStatus, str, OrderStatus]] = set()
    while todo:
        state, now = todo.popleft()
        asked: list[tuple[OrderCommand | Trigger, datetime]] = [
            *((command, now) for command in sound_commands(state, now)),
            *((news, now) for news in (Pay(), Decline(decline_code="x"), Refuse(reason="x"))),
            *((news, now) for news in (ChargeBack(), WinChargeback(), LoseChargeback())),
            *((TimeUp(deadline=one.kind), max(now, one.due_at)) for one in state.deadlines),
        ]
        if state.refunded_minor < state.promised_minor:
            asked.append((Refund(refunded_minor=state.promised_minor), now))
        for command, at in asked:
            for actor in actors_of(command):
                decision = decide(state, command, actor, at)
                if isinstance(decision, Rejection):
                    continue
                edges.add((state.status, step_of(command), decision.status))
                becomes = evolve(state, decision, command)
                for next_state in (becomes, _with_goodwill(becomes)):
                    if _shape(next_state) not in seen:
                        seen.add(_shape(next_state))
                        todo.append((next_state, at))
    return edges


def _with_goodwill(state: OrderState) -> OrderState:
    """Somebody promised a refund that the machine did not decide."""
    if state.payment_status != "captured" or state.promised_minor or state.status in CLOSED:
        return state
    return msgspec.structs.replace(state, promised_minor=100)


def _shape(state: OrderState) -> object:
    return (
        state.status,
        state.payment_status,
        state.fulfilment_status,
        tuple((deadline.kind, deadline.paused_at is None) for deadline in state.deadlines),
        tuple(parcel.delivered for parcel in state.parcels),
        None if state.dispute is None else (state.dispute.opened_from, state.dispute.proposal),
        state.promised_minor,
        state.refunded_minor,
    )


parcels = st.builds(
    Ship,
    carrier=st.just("DHL"),
    tracking_number=st.just("T"),
    lines=st.lists(
        st.builds(LineQuantity, line=st.sampled_from(LINES), quantity=st.integers(1, 3)),
        min_size=1,
        max_size=2,
    ),
)


class OrderLife(RuleBasedStateMachine):
    """Anybody asks anything at any time; what stock and money did in all is counted beside the machine."""

    @initialize(quantities=st.tuples(st.integers(1, 3), st.integers(1, 3)))
    def check_out(self, quantities: tuple[int, int]) -> None:
        self.state = order(quantities=quantities)
        self.now = NOW
        self.units = sum(quantities)
        self.held = self.units
        self.sold = 0
        self.on_shelf = 0
        self.taken_minor = 0
        self.released_minor = 0
        self.lost_minor = 0

    @rule(data=st.data(), actor=st.sampled_from(get_args(ActorRole)))
    def command(self, data: st.DataObject, actor: ActorRole) -> None:
        command = data.draw(st.sampled_from(sound_commands(self.state, self.now)))
        allowed = action_of(command) in allowed_actions(self.state, {actor})
        decision = self.ask(command, actor)
        # What the machine would take is offered, and what is offered it takes: these commands are sound.
        changed = isinstance(decision, Rejection) and decision.code == "dispute.proposal_changed"
        assert allowed == (isinstance(decision, Decision) or changed)

    @rule(command=parcels)
    def ship_anything(self, command: Ship) -> None:
        self.ask(command, "seller")

    @rule(
        trigger=st.sampled_from(
            (Pay(), Decline(decline_code="x"), ChargeBack(), WinChargeback(), LoseChargeback())
        )
    )
    def news(self, trigger: Trigger) -> None:
        self.ask(trigger, "gateway")

    @rule(kind=st.sampled_from(KINDS))
    def timer(self, kind: DeadlineKind) -> None:
        self.ask(TimeUp(deadline=kind), "timer")

    @rule(minutes=st.sampled_from((1, 10, 60 * 24, 60 * 24 * 15)))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(data=st.data())
    def refund_arrives(self, data: st.DataObject) -> None:
        if self.state.refunded_minor < self.state.promised_minor:
            least = self.state.refunded_minor + 1
            arrived = data.draw(st.integers(least, self.state.promised_minor))
            assert isinstance(self.ask(Refund(refunded_minor=arrived), "gateway"), Decision)

    @rule(data=st.data())
    def something_else_is_refunded(self, data: st.DataObject) -> None:
        """A refund that the machine did not decide: goodwill, a return."""
        if self.state.payment_status in {"captured", "partially_refunded"}:
            if self.state.status in CLOSED or self.state.left_minor == 0:
                return
            amount = data.draw(st.integers(1, self.state.left_minor))
            promised = self.state.promised_minor + amount
            self.state = msgspec.structs.replace(self.state, promised_minor=promised)

    def ask(self, command: OrderCommand | Trigger, actor: ActorRole) -> Decision | Rejection:
        before = self.state
        decision = decide(before, command, actor, self.now)
        if isinstance(decision, Rejection):
            return decision
        assert decision.version == before.version + 1
        assert decision.status in RULES[step_of(command)].paths[before.status]
        assert before.status not in CLOSED or decision.status == before.status, "closed stays so"
        self._clocks_lose_no_time(before.deadlines, decision.deadlines)
        self._move_stock(decision)
        if decision.fact in {"paid", "paid_late"}:
            self.taken_minor += before.total_minor
        self.state = evolve(before, decision, command)
        if decision.status in RELEASED and before.status not in RELEASED:
            self.released_minor += self.state.left_minor
        if decision.fact == "chargeback_lost" and before.status not in CLOSED:
            self.lost_minor += self.state.left_minor
        return decision

    def _clocks_lose_no_time(
        self, before: tuple[Deadline, ...], becomes: tuple[Deadline, ...]
    ) -> None:
        were = {deadline.kind: deadline for deadline in before}
        for deadline in becomes:
            was = were.get(deadline.kind)
            if was is None or was.paused_at is None:
                continue
            if deadline.paused_at is None and deadline.kind not in {"ship_by", "late_cancel"}:
                assert deadline.due_at - self.now == was.due_at - was.paused_at

    def _move_stock(self, decision: Decision) -> None:
        if decision.stock == "sell":
            self.held, self.sold = 0, self.held
        elif decision.stock == "release":
            self.held, self.on_shelf = 0, self.held
        elif decision.stock == "restock":
            units = sum(item.quantity for item in decision.cancelled)
            assert units > 0
            self.sold, self.on_shelf = self.sold - units, self.on_shelf + units
        else:
            assert not decision.cancelled

    @invariant()
    def fulfilment_is_what_the_lines_say(self) -> None:
        state = self.state
        shipped = sum(line.shipped for line in state.lines)
        unshipped = sum(line.unshipped for line in state.lines)
        assert all(line.unshipped >= 0 for line in state.lines)
        if state.status in {"shipped", "delivered", "disputed", "completed", "split"}:
            assert (unshipped, shipped > 0) == (0, True)
            arrived = all(parcel.delivered for parcel in state.parcels)
            assert state.fulfilment_status == ("delivered" if arrived else "full")
        elif shipped == 0:
            assert state.fulfilment_status == "none"

    @invariant()
    def every_unit_is_somewhere(self) -> None:
        assert self.held + self.sold + self.on_shelf == self.units
        if self.state.status in CLOSED:
            assert self.held == 0
            assert self.sold == sum(line.shipped for line in self.state.lines)

    @invariant()
    def every_cent_is_somewhere(self) -> None:
        state = self.state
        assert self.taken_minor in {0, state.total_minor}, "nobody pays twice"
        assert 0 <= state.refunded_minor <= state.promised_minor <= self.taken_minor
        if state.status in CLOSED:
            away = state.promised_minor + self.released_minor + self.lost_minor
            assert away == self.taken_minor, "a closed order holds nothing"
        else:
            assert self.released_minor == 0

    @invariant()
    def each_deadline_belongs_to_its_status_and_nothing_waits_for_ever(self) -> None:
        state = self.state
        kinds = {deadline.kind for deadline in state.deadlines}
        assert kinds <= DEADLINES_OF.get(state.status, frozenset())
        assert len(kinds) == len(state.deadlines)
        running = {one.kind for one in state.deadlines if one.paused_at is None}
        if state.payment_status == "charged_back":
            assert not running
        elif state.status not in CLOSED:
            assert running
        if state.status == "disputed":
            assert running <= {"dispute_decision"}
        assert (state.dispute is not None) == (state.status == "disputed")


OrderLife.TestCase.settings = settings(deadline=None, max_examples=150, stateful_step_count=60)
TestOrderLife = OrderLife.TestCase
