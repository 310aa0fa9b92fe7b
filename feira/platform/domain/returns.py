"""The return machine: the one place that says what may happen to a return, an exchange or a claim, and by whom.

    requested --approve--> approved --send--> in_transit --receive--> received --settle--> refunded | exchanged
       |  (seller, support;  |    (buyer)      |    (seller, support)     |   (seller, support; timer: in full)
       |   timer)            |                 '--- timer: as if all of it had been received, and refunded
       |                     '--expire--> expired (timer: it was never sent)
       |---decline--> declined (seller, support)
       '---withdraw--> withdrawn (buyer; also once approved, until it is sent)

    claim: requested --approve--> refunded      nothing is sent back

Silence never costs the other side: a request that nobody answers is approved, goods that nobody looks at are paid in
full, and goods that nobody sends are kept. Every step but the last starts the deadline of the next. `decide` is pure:
the service locks the order and the return, asks, and stores what it says, with the money, the stock and the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Final

import msgspec

from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.order_state import ActorRole
from feira.platform.domain.return_commands import (
    AnyReturnCommand,
    ApproveReturn,
    DeclineReturn,
    ReceivedUnits,
    ReceiveReturn,
    ReturnAction,
    ReturnDeadlineKind,
    SendReturn,
    SettleReturn,
    TimeUp,
    WithdrawReturn,
)
from feira.platform.domain.return_state import (
    ReturnDeadline,
    ReturnDecision,
    ReturnState,
    ReturnStatus,
    ReturnTerms,
)

_SHOPS: Final = frozenset[ActorRole]({"seller", "support"})
ACTORS: Final[Mapping[type[AnyReturnCommand | TimeUp], frozenset[ActorRole]]] = {
    ApproveReturn: _SHOPS,
    DeclineReturn: _SHOPS,
    WithdrawReturn: frozenset({"buyer"}),
    SendReturn: frozenset({"buyer"}),
    ReceiveReturn: _SHOPS,
    SettleReturn: _SHOPS,
    TimeUp: frozenset({"timer"}),
}
_FROM: Final[Mapping[ReturnAction, frozenset[ReturnStatus]]] = {
    "approve": frozenset({"requested"}),
    "decline": frozenset({"requested"}),
    "withdraw": frozenset({"requested", "approved"}),
    "send": frozenset({"approved"}),
    # A parcel that comes without a word of its sender is received all the same.
    "receive": frozenset({"approved", "in_transit"}),
    "settle": frozenset({"received"}),
}
_ACTIONS: Final[Mapping[ReturnAction, type[AnyReturnCommand]]] = {
    "approve": ApproveReturn,
    "decline": DeclineReturn,
    "withdraw": WithdrawReturn,
    "send": SendReturn,
    "receive": ReceiveReturn,
    "settle": SettleReturn,
}
_DEADLINE_IN: Final[Mapping[ReturnStatus, ReturnDeadlineKind]] = {
    "requested": "answer",
    "approved": "send",
    "in_transit": "settle",
    "received": "settle",
}


def first_deadline(terms: ReturnTerms, now: datetime) -> ReturnDeadline:
    """When an unanswered request counts as approved."""
    return ReturnDeadline(kind="answer", due_at=now + timedelta(seconds=terms.answer_s))


def allowed_actions(state: ReturnState, roles: AbstractSet[ActorRole]) -> tuple[ReturnAction, ...]:
    """Return the commands that `decide` would accept from somebody with these roles."""
    return tuple(
        action
        for action, command in _ACTIONS.items()
        if not ACTORS[command].isdisjoint(roles) and state.status in _FROM[action]
    )


def decide(
    state: ReturnState, command: AnyReturnCommand | TimeUp, actor: ActorRole, now: datetime
) -> ReturnDecision | Rejection:
    """Say what the command makes of the return, or why nothing. Has no effect of its own."""
    if actor not in ACTORS[type(command)]:
        names = ", ".join(sorted(ACTORS[type(command)]))
        return Rejection(
            kind="role",
            code="return.not_allowed",
            message=f"This is not for the {actor} to do, but for: {names}.",
        )
    if isinstance(command, TimeUp):
        return _time_up(state, command, now)
    if command.expected_version not in {None, state.version}:
        return Rejection(
            kind="conflict",
            code="return.version_conflict",
            message="The return changed since you looked at it; look again, then decide.",
            field="$.expected_version",
        )
    if not any(
        state.status in _FROM[action] for action, kind in _ACTIONS.items() if kind is type(command)
    ):
        return Rejection(
            kind="conflict",
            code=f"return.{state.status}",
            message=f"The return is {state.status.replace('_', ' ')}: this cannot be done now.",
        )
    match command:
        case ApproveReturn():
            return _approve(state, now)
        case DeclineReturn():
            return _next(state, "declined", now)
        case WithdrawReturn():
            return _next(state, "withdrawn", now)
        case SendReturn():
            return _next(state, "in_transit", now)
        case ReceiveReturn():
            return _receive(state, command, now)
        case SettleReturn():
            return _settle(state, command, now)


def _approve(state: ReturnState, now: datetime) -> ReturnDecision:
    return _next(state, "refunded" if state.kind == "claim" else "approved", now)


def _receive(
    state: ReturnState, command: ReceiveReturn, now: datetime
) -> ReturnDecision | Rejection:
    arrived = command.lines or [
        ReceivedUnits(line=line.line, quantity=line.quantity) for line in state.lines
    ]
    expected = {line.line: line.quantity for line in state.lines}
    for index, units in enumerate(arrived):
        if units.line not in expected:
            return _rule(
                "return.unknown_line",
                "This line is not part of the return; take the lines from there.",
                f"$.lines[{index}].line",
            )
        if units.quantity > expected[units.line]:
            return _rule(
                "return.too_many",
                f"Only {expected[units.line]} of this line were to come back.",
                f"$.lines[{index}].quantity",
            )
    if len({units.line for units in arrived}) < len(arrived):
        return _rule("return.line_twice", "A line stands there twice.", "$.lines")
    decision = _next(state, "received", now)
    return msgspec.structs.replace(decision, arrived=tuple(arrived))


def _settle(state: ReturnState, command: SettleReturn, now: datetime) -> ReturnDecision | Rejection:
    remedy = command.remedy or state.remedy
    if remedy == "exchange":
        if state.remedy != "exchange":
            return _rule(
                "return.no_exchange", "The buyer asked for the money; give that.", "$.remedy"
            )
        if command.refund_minor is not None:
            return _rule(
                "return.exchange_or_refund",
                "An exchange gives goods; say remedy: refund to give money instead.",
                "$.refund_minor",
            )
        if any(line.received < line.quantity for line in state.lines):
            return _rule(
                "return.exchange_incomplete",
                "Not all of it came back: refund what did (remedy: refund).",
                "$.remedy",
            )
        return _next(state, "exchanged", now)
    if command.refund_minor is not None and not command.reason.strip():
        return _rule("return.reason_needed", "Say why the buyer gets another amount.", "$.reason")
    decision = _next(state, "refunded", now)
    return msgspec.structs.replace(decision, refund_minor=command.refund_minor)


def _time_up(state: ReturnState, command: TimeUp, now: datetime) -> ReturnDecision | Rejection:
    deadline = state.deadline
    if deadline is None or deadline.kind != command.deadline or now < deadline.due_at:
        return Rejection(
            kind="conflict", code="return.not_due", message="The deadline is not over yet."
        )
    match deadline.kind:
        case "answer":
            return _approve(state, now)
        case "send":
            return _next(state, "expired", now)
        case "settle":
            # Whatever was wished for: who is silent sends no replacement.
            decision = _next(state, "refunded", now)
            if state.status == "received":
                return decision
            arrived = tuple(
                ReceivedUnits(line=line.line, quantity=line.quantity) for line in state.lines
            )
            return msgspec.structs.replace(decision, arrived=arrived)


def _next(state: ReturnState, status: ReturnStatus, now: datetime) -> ReturnDecision:
    kind = _DEADLINE_IN.get(status)
    terms = state.terms
    waits: dict[ReturnStatus, int] = {
        "approved": terms.send_s,
        "in_transit": terms.arrive_s,
        "received": terms.settle_s,
    }
    return ReturnDecision(
        status=status,
        version=state.version + 1,
        deadline=(
            None
            if kind is None
            else ReturnDeadline(kind=kind, due_at=now + timedelta(seconds=waits[status]))
        ),
    )


def _rule(code: str, message: str, field: str) -> Rejection:
    return Rejection(kind="rule", code=code, message=message, field=field)
