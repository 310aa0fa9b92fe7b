"""The order machine: the one place that says what may happen to an order, and who may cause it.

    pending_payment --pay--> paid --accept--> accepted --ship--> shipped --deliver--> delivered --complete--> completed
          |  (gateway)        |   (seller)      |    (seller,       (buyer,              (buyer, support,
          |                   |                 |   last line)      support)            timer: auto-accept)
          |--expire--> expired (timer: the hold is over)
          |                   |                 |
          '-------------------'-----------------'--cancel--> cancelled (buyer, seller, support; nothing shipped yet)

    payment:     none --pay--> captured --refund--> partially_refunded --refund--> refunded
    fulfilment:  none --ship some--> partial --ship the rest--> full --deliver--> delivered
    stock:       held --pay--> sold --cancel--> restocked;  held --expire, cancel--> released

Three statuses that move on their own clocks, one version that grows with every change. `decide` is pure:
the service locks the row, asks, and stores what it says. Money that arrives for an order that is closed
already (`paid_late`) is recorded and goes back; it opens nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Final

from feira.platform.domain.order_commands import (
    Accept,
    Action,
    AutoComplete,
    Cancel,
    Command,
    Complete,
    Decline,
    Deliver,
    Expire,
    LineQuantity,
    OrderCommand,
    Pay,
    Refund,
    Ship,
    Trigger,
)
from feira.platform.domain.order_rejections import Rejection, not_now
from feira.platform.domain.order_state import (
    ActorRole,
    Deadline,
    DeadlineKind,
    Decision,
    Fact,
    FulfilmentStatus,
    OrderState,
    OrderStatus,
    PaymentStatus,
    StockMove,
)

ACTORS: Final[Mapping[type[OrderCommand | Trigger], frozenset[ActorRole]]] = {
    Accept: frozenset({"seller"}),
    Ship: frozenset({"seller"}),
    Deliver: frozenset({"buyer", "support"}),
    Complete: frozenset({"buyer", "support"}),
    Cancel: frozenset({"buyer", "seller", "support"}),
    Pay: frozenset({"gateway"}),
    Decline: frozenset({"gateway"}),
    Refund: frozenset({"gateway"}),
    Expire: frozenset({"timer"}),
    AutoComplete: frozenset({"timer"}),
}

_ACTIONS: Final[Mapping[Action, type[OrderCommand]]] = {
    "accept": Accept,
    "ship": Ship,
    "deliver": Deliver,
    "complete": Complete,
    "cancel": Cancel,
}
_FROM: Final[Mapping[Action, frozenset[OrderStatus]]] = {
    "accept": frozenset({"paid"}),
    "ship": frozenset({"accepted"}),
    "deliver": frozenset({"shipped"}),
    "complete": frozenset({"delivered"}),
    "cancel": frozenset({"pending_payment", "paid", "accepted"}),
}


def allowed_actions(state: OrderState, roles: AbstractSet[ActorRole]) -> tuple[Action, ...]:
    """Return the commands that `decide` would accept from somebody with these roles, in the path's order."""
    return tuple(
        action
        for action, command in _ACTIONS.items()
        if not ACTORS[command].isdisjoint(roles) and _may(action, state)
    )


def decide(
    state: OrderState, command: OrderCommand | Trigger, actor: ActorRole, now: datetime
) -> Decision | Rejection:
    """Say what the command makes of the order, or why nothing. Has no effect of its own."""
    if actor not in ACTORS[type(command)]:
        return Rejection(
            kind="role",
            code="order.not_allowed",
            message=f"This is not for the {actor} to do, but for: {_names(type(command))}.",
        )
    if isinstance(command, Command) and command.expected_version not in {None, state.version}:
        return Rejection(
            kind="conflict",
            code="order.version_conflict",
            message="The order changed since you looked at it; look again, then decide.",
            field="$.expected_version",
        )
    match command:
        case Accept():
            return _wrong_status("accept", state) or _next(state, "accepted", status="accepted")
        case Ship():
            return _wrong_status("ship", state) or _ship(state, command)
        case Deliver():
            return _wrong_status("deliver", state) or _deliver(state, now)
        case Complete():
            return _wrong_status("complete", state) or _complete(state)
        case Cancel():
            return _wrong_status("cancel", state) or _cancel(state)
        case Pay():
            return _pay(state)
        case Decline():
            return _pending_only(state) or _next(state, "payment_declined")
        case Expire():
            return _pending_only(state) or _expire(state, now)
        case AutoComplete():
            return _wrong_status("complete", state) or _auto_complete(state, now)
        case Refund():
            return _refund(state, command)


def _ship(state: OrderState, command: Ship) -> Decision | Rejection:
    left = {line.line: line.quantity - line.shipped for line in state.lines}
    parcel = command.lines or [
        LineQuantity(line=line, quantity=quantity) for line, quantity in left.items() if quantity
    ]
    for index, item in enumerate(parcel):
        if item.line not in left:
            return Rejection(
                kind="rule",
                code="order.unknown_line",
                message="The order has no such line; take the lines from the order.",
                field=f"$.lines[{index}].line",
            )
        if item.quantity > left[item.line]:
            return Rejection(
                kind="rule",
                code="order.ships_too_many",
                message=f"Only {left[item.line]} of this line are left to ship.",
                field=f"$.lines[{index}].quantity",
            )
        left[item.line] -= item.quantity
    place = {line.line: index for index, line in enumerate(state.lines)}
    shipped = tuple(sorted(parcel, key=lambda item: place[item.line]))
    if len({item.line for item in parcel}) < len(parcel):
        return Rejection(
            kind="rule",
            code="order.line_twice",
            message="A line stands twice in the parcel; add its quantities up.",
            field="$.lines",
        )
    if any(left.values()):
        return _next(state, "partially_shipped", fulfilment_status="partial", shipped=shipped)
    return _next(state, "shipped", status="shipped", fulfilment_status="full", shipped=shipped)


def _deliver(state: OrderState, now: datetime) -> Decision:
    due_at = now + timedelta(seconds=state.auto_accept_s)
    return _next(
        state,
        "delivered",
        status="delivered",
        fulfilment_status="delivered",
        deadlines=(Deadline(kind="auto_accept", due_at=due_at),),
    )


def _complete(state: OrderState) -> Decision:
    return _next(state, "completed", status="completed")


def _auto_complete(state: OrderState, now: datetime) -> Decision | Rejection:
    return _too_early(state, "auto_accept", now) or _complete(state)


def _cancel(state: OrderState) -> Decision:
    if state.status == "pending_payment":
        return _next(state, "cancelled", status="cancelled", stock="release")
    return _next(
        state, "cancelled", status="cancelled", stock="restock", refund_minor=state.total_minor
    )


def _pay(state: OrderState) -> Decision | Rejection:
    if state.status == "pending_payment":
        return _next(state, "paid", status="paid", payment_status="captured", stock="sell")
    if state.status in {"expired", "cancelled"} and state.payment_status == "none":
        return _next(state, "paid_late", payment_status="captured", refund_minor=state.total_minor)
    return Rejection(
        kind="conflict", code="order.already_paid", message="The order was paid before."
    )


def _expire(state: OrderState, now: datetime) -> Decision | Rejection:
    return _too_early(state, "hold", now) or _next(
        state, "expired", status="expired", stock="release"
    )


def _refund(state: OrderState, command: Refund) -> Decision | Rejection:
    if state.payment_status not in {"captured", "partially_refunded"}:
        return Rejection(
            kind="conflict",
            code="order.nothing_to_refund",
            message="No captured money of this order is left to refund.",
        )
    assert 0 < command.refunded_minor <= state.total_minor, "refunds stay within the order's total"
    whole = command.refunded_minor == state.total_minor
    return _next(state, "refunded", payment_status="refunded" if whole else "partially_refunded")


def _next(
    state: OrderState,
    fact: Fact,
    *,
    status: OrderStatus | None = None,
    payment_status: PaymentStatus | None = None,
    fulfilment_status: FulfilmentStatus | None = None,
    deadlines: tuple[Deadline, ...] = (),
    stock: StockMove | None = None,
    refund_minor: int = 0,
    shipped: tuple[LineQuantity, ...] = (),
) -> Decision:
    """Change what is named, keep the rest. A deadline belongs to a status, and ends with it."""
    return Decision(
        fact=fact,
        status=status or state.status,
        payment_status=payment_status or state.payment_status,
        fulfilment_status=fulfilment_status or state.fulfilment_status,
        version=state.version + 1,
        deadlines=deadlines if status else state.deadlines,
        stock=stock,
        refund_minor=refund_minor,
        shipped=shipped,
    )


def _may(action: Action, state: OrderState) -> bool:
    if action == "cancel" and state.fulfilment_status != "none":
        return False
    return state.status in _FROM[action]


def _wrong_status(action: Action, state: OrderState) -> Rejection | None:
    if _may(action, state):
        return None
    # Part of it is on its way: for a cancellation that is as good as shipped.
    status = "shipped" if action == "cancel" and state.status == "accepted" else state.status
    return not_now(status, _FROM[action])


def _pending_only(state: OrderState) -> Rejection | None:
    if state.status == "pending_payment":
        return None
    return Rejection(
        kind="conflict",
        code="order.not_pending",
        message="The order waits for no payment any more.",
    )


def _too_early(state: OrderState, kind: DeadlineKind, now: datetime) -> Rejection | None:
    if any(deadline.kind == kind and deadline.due_at <= now for deadline in state.deadlines):
        return None
    return Rejection(
        kind="conflict", code="order.deadline_not_reached", message="The deadline is not over yet."
    )


def _names(command: type[OrderCommand | Trigger]) -> str:
    return ", ".join(sorted(ACTORS[command]))
