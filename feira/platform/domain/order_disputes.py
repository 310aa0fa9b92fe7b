"""Disputes: opened by the buyer, argued by both sides, and ended by agreement, withdrawal or support's decision."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from feira.platform.domain.order_change import change, in_seconds
from feira.platform.domain.order_commands import (
    AcceptSettlement,
    DecideDispute,
    DisputeOutcome,
    ProposeSettlement,
)
from feira.platform.domain.order_rejections import Rejection, broken_rule, conflict
from feira.platform.domain.order_state import (
    ActorRole,
    Decision,
    DisputeState,
    Fact,
    OrderState,
    Proposal,
)


def open_dispute(state: OrderState, now: datetime) -> Decision:
    """Everything else stands still until it is over."""
    opened_from: Literal["shipped", "delivered"] = (
        "shipped" if state.status == "shipped" else "delivered"
    )
    return change(
        state,
        "dispute_opened",
        now,
        status="disputed",
        starts=(in_seconds("dispute_decision", now, state.terms.dispute_decision_s),),
        dispute=DisputeState(opened_from=opened_from),
    )


def propose(
    state: OrderState, command: ProposeSettlement, actor: ActorRole, now: datetime
) -> Decision | Rejection:
    if command.refund_minor > state.left_minor:
        return _too_much(state)
    by: Literal["buyer", "seller"] = "buyer" if actor == "buyer" else "seller"
    return change(
        state,
        "settlement_proposed",
        now,
        dispute=msgspec.structs.replace(
            _open(state), proposal=Proposal(by=by, refund_minor=command.refund_minor)
        ),
    )


def settle(state: OrderState, command: AcceptSettlement, now: datetime) -> Decision | Rejection:
    """The sides agree. Whose proposal it is was asked before."""
    proposal = _open(state).proposal
    assert proposal is not None, "there is something to agree to"
    # A refund may have been promised since; then there is less left than was proposed.
    if command.refund_minor != proposal.refund_minor or command.refund_minor > state.left_minor:
        return conflict(
            "dispute.proposal_changed",
            "The proposal is another one by now; look at it again.",
            field="$.refund_minor",
        )
    return _end(state, "dispute_settled", command.refund_minor, now)


def withdraw(state: OrderState, now: datetime) -> Decision:
    """As if it had not been opened, but for the time that it took."""
    return change(state, "dispute_withdrawn", now, status=_open(state).opened_from)


def decide_dispute(
    state: OrderState, command: DecideDispute, now: datetime
) -> Decision | Rejection:
    """What of the money is left goes where support says."""
    if (command.outcome == "split") != (command.refund_minor is not None):
        return broken_rule(
            "dispute.split_only",
            "Give refund_minor where the money is split, and only there.",
            "$.refund_minor",
        )
    match command.outcome:
        case "completed":
            return _end(state, "dispute_decided", 0, now)
        case "refunded":
            return _end(state, "dispute_decided", state.left_minor, now)
        case "split":
            assert command.refund_minor is not None, "asked above"
            if command.refund_minor > state.left_minor:
                return _too_much(state)
            if command.refund_minor in {0, state.left_minor}:
                return broken_rule(
                    "dispute.not_a_split",
                    "All of it goes to one side: decide completed or refunded.",
                    "$.refund_minor",
                )
            return _end(state, "dispute_decided", command.refund_minor, now)


def remind(state: OrderState, now: datetime) -> Decision:
    """Support took too long; the next reminder comes after as much time again."""
    return change(
        state,
        "dispute_overdue",
        now,
        starts=(in_seconds("dispute_decision", now, state.terms.dispute_decision_s),),
    )


def outcome_of(refund_minor: int, left_minor: int) -> DisputeOutcome:
    """Name how the money is shared."""
    if refund_minor == 0:
        return "completed"
    return "refunded" if refund_minor == left_minor else "split"


def _end(state: OrderState, fact: Fact, refund_minor: int, now: datetime) -> Decision:
    return change(
        state,
        fact,
        now,
        status=outcome_of(refund_minor, state.left_minor),
        refund_minor=refund_minor,
    )


def _open(state: OrderState) -> DisputeState:
    assert state.dispute is not None, "a disputed order has an open dispute"
    return state.dispute


def _too_much(state: OrderState) -> Rejection:
    return broken_rule(
        "dispute.exceeds_order",
        f"Only {state.left_minor} minor units of this order are left to give back.",
        "$.refund_minor",
    )
