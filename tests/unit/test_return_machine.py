"""The return machine: every status against every command, and random lives that end once and lose no unit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain.ids import OrderLineId
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.order_state import ActorRole
from feira.platform.domain.return_commands import (
    AnyReturnCommand,
    ApproveReturn,
    DeclineReturn,
    ReceivedUnits,
    ReceiveReturn,
    RequestReturn,
    ReturnDeadlineKind,
    ReturnUnits,
    SendReturn,
    SettleReturn,
    TimeUp,
    WithdrawReturn,
)
from feira.platform.domain.return_requests import ReturnableLine, ReturnableOrder, check_request
from feira.platform.domain.return_state import (
    OPEN,
    ReturnDeadline,
    ReturnDecision,
    ReturnLine,
    ReturnState,
    ReturnStatus,
    ReturnTerms,
)
from feira.platform.domain.returns import ACTORS, allowed_actions, decide, first_deadline

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERMS: Final = ReturnTerms(answer_s=100, send_s=200, arrive_s=300, settle_s=400)
LINE: Final = OrderLineId(UUID(int=1))
COMMANDS: Final[dict[str, AnyReturnCommand]] = {
    "approve": ApproveReturn(),
    "decline": DeclineReturn(reason="no"),
    "withdraw": WithdrawReturn(),
    "send": SendReturn(carrier="CTT", tracking_number="1"),
    "receive": ReceiveReturn(),
    "settle": SettleReturn(),
}
TABLE: Final = {
    ("requested", "approve"): "approved",
    ("requested", "decline"): "declined",
    ("requested", "withdraw"): "withdrawn",
    ("approved", "withdraw"): "withdrawn",
    ("approved", "send"): "in_transit",
    ("approved", "receive"): "received",
    ("in_transit", "receive"): "received",
    ("received", "settle"): "refunded",
}
ROLES: Final[tuple[ActorRole, ...]] = get_args(ActorRole)


def returned(status: ReturnStatus = "requested", **changes: object) -> ReturnState:
    state = ReturnState(
        kind="return",
        remedy="refund",
        status=status,
        version=3,
        lines=(ReturnLine(line=LINE, quantity=2),),
        deadline=first_deadline(TERMS, NOW),
        terms=TERMS,
    )
    return msgspec.structs.replace(state, **changes)


def _due(kind: ReturnDeadlineKind, minutes: int) -> ReturnDeadline:
    return ReturnDeadline(kind=kind, due_at=NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("status", get_args(ReturnStatus))
def test_each_step_leads_where_the_table_says_and_from_nowhere_else(
    status: ReturnStatus, name: str
) -> None:
    command, state = COMMANDS[name], returned(status)
    for role in ROLES:
        outcome = decide(state, command, role, NOW)
        if role not in ACTORS[type(command)]:
            assert isinstance(outcome, Rejection)
            assert outcome.kind == "role"
        elif (status, name) in TABLE:
            assert isinstance(outcome, ReturnDecision)
            assert (outcome.status, outcome.version) == (TABLE[status, name], 4)
            assert (outcome.deadline is not None) == (outcome.status in OPEN)
        else:
            assert isinstance(outcome, Rejection)
            assert (outcome.kind, outcome.code) == ("conflict", f"return.{status}")


def test_a_claim_is_paid_when_it_is_approved() -> None:
    outcome = decide(returned(kind="claim"), ApproveReturn(), "seller", NOW)
    assert isinstance(outcome, ReturnDecision)
    assert (outcome.status, outcome.deadline) == ("refunded", None)


@pytest.mark.parametrize(
    ("status", "kind", "after"),
    [
        ("requested", "answer", "approved"),
        ("approved", "send", "expired"),
        ("in_transit", "settle", "refunded"),
        ("received", "settle", "refunded"),
    ],
)
def test_silence_never_costs_the_other_side(
    status: ReturnStatus, kind: ReturnDeadlineKind, after: ReturnStatus
) -> None:
    state = returned(status, deadline=_due(kind, 5))
    early = decide(state, TimeUp(deadline=kind), "timer", NOW)
    assert isinstance(early, Rejection)
    assert early.code == "return.not_due"
    outcome = decide(state, TimeUp(deadline=kind), "timer", NOW + timedelta(minutes=5))
    assert isinstance(outcome, ReturnDecision)
    assert outcome.status == after
    if status == "in_transit":
        assert outcome.arrived == (ReceivedUnits(line=LINE, quantity=2),)


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (
            ReceiveReturn(lines=[ReceivedUnits(line=LINE, quantity=3)]),
            "return.too_many",
            "quantity",
        ),
        (
            ReceiveReturn(lines=[ReceivedUnits(line=OrderLineId(UUID(int=9)), quantity=1)]),
            "return.unknown_line",
            "line",
        ),
        (
            ReceiveReturn(lines=[ReceivedUnits(line=LINE, quantity=1)] * 2),
            "return.line_twice",
            "lines",
        ),
        (SettleReturn(remedy="exchange"), "return.no_exchange", "remedy"),
        (SettleReturn(refund_minor=5), "return.reason_needed", "reason"),
    ],
)
def test_what_makes_no_sense_is_refused_and_says_where(
    command: AnyReturnCommand, code: str, field: str
) -> None:
    status: ReturnStatus = "received" if isinstance(command, SettleReturn) else "in_transit"
    outcome = decide(returned(status), command, "seller", NOW)
    assert isinstance(outcome, Rejection)
    assert (outcome.kind, outcome.code) == ("rule", code)
    assert outcome.field is not None
    assert outcome.field.endswith(field)


def test_an_exchange_needs_all_of_it_back_and_gives_no_money() -> None:
    part = returned(
        "received", remedy="exchange", lines=(ReturnLine(line=LINE, quantity=2, received=1),)
    )
    outcome = decide(part, SettleReturn(), "seller", NOW)
    assert isinstance(outcome, Rejection)
    assert outcome.code == "return.exchange_incomplete"
    instead = decide(part, SettleReturn(remedy="refund"), "seller", NOW)
    assert isinstance(instead, ReturnDecision)
    assert instead.status == "refunded"
    whole = msgspec.structs.replace(part, lines=(ReturnLine(line=LINE, quantity=2, received=2),))
    both = decide(whole, SettleReturn(refund_minor=1, reason="x"), "seller", NOW)
    assert isinstance(both, Rejection)
    assert both.code == "return.exchange_or_refund"
    done = decide(whole, SettleReturn(), "seller", NOW)
    assert isinstance(done, ReturnDecision)
    assert done.status == "exchanged"


def test_whoever_looks_at_an_old_version_is_told() -> None:
    outcome = decide(returned(), ApproveReturn(expected_version=2), "seller", NOW)
    assert isinstance(outcome, Rejection)
    assert outcome.code == "return.version_conflict"


@given(
    names=st.lists(st.sampled_from([*COMMANDS, "time"]), max_size=12),
    roles=st.lists(st.sampled_from(ROLES), min_size=12, max_size=12),
    quantities=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    came=st.lists(st.integers(0, 5), min_size=4, max_size=4),
    is_claim=st.booleans(),
)
def test_any_life_of_a_return_ends_at_most_once_and_never_takes_in_more_than_was_asked_for(
    names: list[str],
    roles: list[ActorRole],
    quantities: list[int],
    came: list[int],
    is_claim: bool,  # noqa: FBT001
) -> None:
    lines = tuple(
        ReturnLine(line=OrderLineId(UUID(int=number)), quantity=quantity)
        for number, quantity in enumerate(quantities, start=1)
    )
    state = returned(lines=lines, kind="claim" if is_claim else "return", version=1)
    now, endings = NOW, 0
    for name, role in zip(names, roles, strict=False):
        command: AnyReturnCommand | TimeUp
        if name == "time" and state.deadline is not None:
            now = state.deadline.due_at
            command = TimeUp(deadline=state.deadline.kind)
        elif name == "receive":
            command = ReceiveReturn(
                lines=[
                    ReceivedUnits(line=line.line, quantity=count)
                    for line, count in zip(lines, came, strict=False)
                ]
            )
        else:
            command = COMMANDS.get(name, ApproveReturn())
        may = isinstance(command, TimeUp) or any(
            type(command) is type(COMMANDS[action])
            for action in allowed_actions(state, frozenset({role}))
        )
        outcome = decide(state, command, role, now)
        if isinstance(outcome, Rejection):
            continue
        assert may, "what is done was offered"
        assert state.status in OPEN, "what has ended stays so"
        assert outcome.version == state.version + 1
        arrived = {units.line: units.quantity for units in outcome.arrived}
        assert all(arrived.get(line.line, 0) <= line.quantity for line in lines)
        endings += outcome.status not in OPEN
        state = msgspec.structs.replace(
            state,
            status=outcome.status,
            version=outcome.version,
            deadline=outcome.deadline,
            lines=tuple(
                msgspec.structs.replace(line, received=arrived.get(line.line, line.received))
                for line in state.lines
            ),
        )
        assert (state.deadline is not None) == (state.status in OPEN)
    assert endings <= 1


def order(status: str = "delivered", taken: int = 0, days_ago: int | None = 3) -> ReturnableOrder:
    return msgspec.convert(
        {
            "status": status,
            "delivered_at": None if days_ago is None else NOW - timedelta(days=days_ago),
            "return_window_s": 14 * 86_400,
            "lines": [ReturnableLine(line=LINE, shipped=3, taken=taken)],
        },
        ReturnableOrder,
    )


def wanted(quantity: int = 1, **changes: object) -> RequestReturn:
    asked = RequestReturn(cause="damaged", lines=[ReturnUnits(line=LINE, quantity=quantity)])
    return msgspec.structs.replace(asked, **changes)


@pytest.mark.parametrize(
    ("given_order", "asked", "code"),
    [
        (order(), wanted(3), None),
        (order(days_ago=14), wanted(), None),
        (order(days_ago=15), wanted(), "return.window_closed"),
        (order("shipped", days_ago=None), wanted(), "return.order_not_ready"),
        (order("shipped", days_ago=None), wanted(kind="claim", cause="not_arrived"), None),
        (order("cancelled", days_ago=None), wanted(), "return.order_not_ready"),
        (order(taken=2), wanted(2), "return.too_many"),
        (order(), wanted(4), "return.too_many"),
        (order(), wanted(cause="not_arrived"), "return.nothing_to_send"),
        (order(), wanted(kind="claim", cause="changed_mind"), "return.claim_needs_fault"),
        (order(), wanted(kind="claim", remedy="exchange"), "return.claim_is_refund"),
        (order(), wanted(remedy="exchange"), "return.replacement_for_exchange"),
    ],
)
def test_what_may_be_given_back_is_what_was_shipped_in_time_and_not_given_back_before(
    given_order: ReturnableOrder, asked: RequestReturn, code: str | None
) -> None:
    rejection = check_request(given_order, asked, NOW)
    assert (None if rejection is None else rejection.code) == code
