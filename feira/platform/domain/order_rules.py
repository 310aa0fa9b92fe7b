"""The order machine as a table: who may take which step, and where it leads from where.

`orders.decide` takes no step that is not in here; docs/orders.md draws it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, cast, get_args

import msgspec

from feira.platform.domain.order_commands import (
    Action,
    Command,
    DeadlineKind,
    OrderCommand,
    TimeUp,
    Trigger,
)
from feira.platform.domain.order_state import CLOSED, ActorRole, OrderStatus

News = Literal[
    "pay", "decline", "refuse", "refund", "charge_back", "win_chargeback", "lose_chargeback"
]
Step = Action | News | DeadlineKind
"""What moves an order: a person's command, news of its money, or a deadline that passed."""

Paths = Mapping[OrderStatus, tuple[OrderStatus, ...]]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """`paths`: from each status in which the step may be taken, to those that it can lead to."""

    actors: frozenset[ActorRole]
    paths: Paths


def _rule(actors: str, paths: Paths) -> Rule:
    return Rule(actors=frozenset(cast("list[ActorRole]", actors.split())), paths=paths)


def _stays(*statuses: OrderStatus) -> Paths:
    return {status: (status,) for status in statuses}


# Cancelling stops what has not left: with parcels under way the order goes on with these.
_CANCELS: Final[Paths] = {"accepted": ("cancelled", "shipped", "delivered")}
_ENDS_DISPUTE: Final[Paths] = {"disputed": ("completed", "refunded", "split")}
_CAPTURED: Final[Paths] = _stays(
    "paid", "accepted", "shipped", "delivered", "disputed", *sorted(CLOSED)
)

RULES: Final[Mapping[Step, Rule]] = {
    "accept": _rule("seller", {"paid": ("accepted",)}),
    "ship": _rule("seller", {"accepted": ("accepted", "shipped")}),
    "deliver": _rule(
        "buyer support", {"accepted": ("accepted",), "shipped": ("shipped", "delivered")}
    ),
    "complete": _rule("buyer support", {"delivered": ("completed",)}),
    "cancel": _rule(
        "buyer seller support",
        {"pending_payment": ("cancelled",), "paid": ("cancelled",), **_CANCELS},
    ),
    "request_cancel": _rule("buyer", _stays("accepted")),
    "approve_cancel": _rule("seller", _CANCELS),
    "decline_cancel": _rule("seller", _stays("accepted")),
    "request_more_time": _rule("seller", _stays("paid", "accepted")),
    "extend_ship_by": _rule("buyer support", _stays("paid", "accepted")),
    "open_dispute": _rule("buyer", {"shipped": ("disputed",), "delivered": ("disputed",)}),
    "add_evidence": _rule("buyer seller support", _stays("disputed")),
    "propose_settlement": _rule("buyer seller", _stays("disputed")),
    "accept_settlement": _rule("buyer seller", _ENDS_DISPUTE),
    "withdraw_dispute": _rule("buyer", {"disputed": ("shipped", "delivered")}),
    "decide_dispute": _rule("support", _ENDS_DISPUTE),
    "pay": _rule("gateway", {"pending_payment": ("paid",), **_stays("expired", "cancelled")}),
    "decline": _rule("gateway", _stays("pending_payment")),
    "refuse": _rule("gateway", {"pending_payment": ("cancelled",)}),
    "refund": _rule("gateway", _CAPTURED),
    "charge_back": _rule("gateway", _CAPTURED),
    "win_chargeback": _rule("gateway", _CAPTURED),
    # Whatever was still to come of the order ends with its money.
    "lose_chargeback": _rule(
        "gateway",
        {
            "paid": ("cancelled",),
            "accepted": ("cancelled", "refunded"),
            "shipped": ("refunded",),
            "delivered": ("refunded",),
            "disputed": ("refunded",),
            **_stays(*sorted(CLOSED)),
        },
    ),
    "hold": _rule("timer", {"pending_payment": ("expired",)}),
    "ship_by": _rule("timer", _stays("paid", "accepted")),
    "late_cancel": _rule("timer", {"paid": ("cancelled",), **_CANCELS}),
    "cancel_answer": _rule("timer", _CANCELS),
    "arrival": _rule("timer", {"shipped": ("delivered",)}),
    "auto_accept": _rule("timer", {"delivered": ("completed",)}),
    "dispute_decision": _rule("timer", _stays("disputed")),
}
assert set(RULES) == {
    *get_args(Action),
    *get_args(News),
    *get_args(DeadlineKind),
}, "every step has a rule"


def step_of(command: OrderCommand | Trigger) -> Step:
    """Name what a command or trigger does in the table."""
    if isinstance(command, TimeUp):
        return command.deadline
    return cast("Action | News", type(command).__struct_config__.tag)


def action_of(command: OrderCommand) -> Action:
    """Name a person's command as it stands on the wire."""
    assert isinstance(command, Command), "machines send triggers"
    return cast("Action", type(command).__struct_config__.tag)


def actors_of(command: OrderCommand | Trigger) -> frozenset[ActorRole]:
    """Who may cause this."""
    return RULES[step_of(command)].actors
