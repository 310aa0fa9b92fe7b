"""The order machine: the one place that says what may happen to an order, and who may cause it.

    pending_payment --pay--> paid --accept--> accepted --ship--> shipped --deliver--> delivered --complete--> completed
          |                   |                 |  the last       |    the last          |     (buyer, auto-accept)
          |--hold--> expired  |                 |  parcel         |    parcel            |
          |                   |                 |                 '--open_dispute--> disputed --> completed,
          '-------------------'---cancel------> cancelled                                         refunded, split

    payment:     none --pay--> captured --refund--> partially_refunded --refund--> refunded
                 any of the last three <--> charged_back
    fulfilment:  none --ship some--> partial --ship or cancel the rest--> full --deliver--> delivered
    stock:       held --pay--> sold --cancel--> restocked;  held --hold, cancel--> released

Three statuses that move on their own clocks, one version that grows with every change. `order_rules` has the whole
table, and docs/orders.md its drawing. `decide` is pure: the service locks the row, asks, and stores what it says.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import get_args

from feira.platform.domain import order_disputes as disputes
from feira.platform.domain import order_fulfilment as fulfilment
from feira.platform.domain import order_money as money
from feira.platform.domain.order_change import change, in_seconds
from feira.platform.domain.order_commands import (
    Accept,
    AcceptSettlement,
    Action,
    AddEvidence,
    ApproveCancel,
    Cancel,
    ChargeBack,
    Command,
    Complete,
    DecideDispute,
    Decline,
    DeclineCancel,
    Deliver,
    ExtendShipBy,
    LoseChargeback,
    OpenDispute,
    OrderCommand,
    Pay,
    ProposeSettlement,
    Refund,
    Refuse,
    RequestCancel,
    RequestMoreTime,
    Ship,
    TimeUp,
    Trigger,
    WinChargeback,
    WithdrawDispute,
)
from feira.platform.domain.order_rejections import Rejection, conflict, not_now
from feira.platform.domain.order_rules import RULES, Step, step_of
from feira.platform.domain.order_state import ActorRole, Decision, OrderState


def allowed_actions(state: OrderState, roles: AbstractSet[ActorRole]) -> tuple[Action, ...]:
    """Return the commands that `decide` would accept from somebody with these roles, in the path's order."""
    actions: tuple[Action, ...] = get_args(Action)
    return tuple(
        action
        for action in actions
        if any(_refusal(state, action, role) is None for role in RULES[action].actors & roles)
    )


def decide(
    state: OrderState, command: OrderCommand | Trigger, actor: ActorRole, now: datetime
) -> Decision | Rejection:
    """Say what the command makes of the order, or why nothing. Has no effect of its own."""
    step = step_of(command)
    rule = RULES[step]
    if actor not in rule.actors:
        return Rejection(
            kind="role",
            code="order.not_allowed",
            message=f"This is not for the {actor} to do, but for: {', '.join(sorted(rule.actors))}.",
        )
    if isinstance(command, Command) and command.expected_version not in {None, state.version}:
        return conflict(
            "order.version_conflict",
            "The order changed since you looked at it; look again, then decide.",
            field="$.expected_version",
        )
    refusal = _refusal(state, step, actor)
    if refusal is not None:
        return refusal
    decision = (
        _time_up(state, command, now)
        if isinstance(command, TimeUp)
        else _take(state, command, actor, now)
    )
    if isinstance(decision, Decision):
        assert decision.status in rule.paths[state.status], f"{step} leads where the table says"
    return decision


def _take(
    state: OrderState, command: OrderCommand | Trigger, actor: ActorRole, now: datetime
) -> Decision | Rejection:
    match command:
        case Accept():
            return change(state, "accepted", now, status="accepted")
        case Ship():
            return fulfilment.ship(state, command, now)
        case Deliver():
            return fulfilment.deliver(state, command, now)
        case Complete():
            return change(state, "completed", now, status="completed")
        case Cancel() | ApproveCancel() | Refuse():
            return fulfilment.stop(state, now)
        case RequestCancel():
            answer = in_seconds("cancel_answer", now, state.terms.cancel_answer_s)
            return change(state, "cancel_requested", now, starts=(answer,))
        case DeclineCancel():
            return change(state, "cancel_declined", now, ends={"cancel_answer"})
        case RequestMoreTime():
            return fulfilment.request_more_time(state, command, now)
        case ExtendShipBy():
            return fulfilment.extend(state, command, now)
        case OpenDispute():
            return disputes.open_dispute(state, now)
        case AddEvidence():
            return change(state, "evidence_added", now)
        case ProposeSettlement():
            return disputes.propose(state, command, actor, now)
        case AcceptSettlement():
            return disputes.settle(state, command, now)
        case WithdrawDispute():
            return disputes.withdraw(state, now)
        case DecideDispute():
            return disputes.decide_dispute(state, command, now)
        case Pay():
            return money.pay(state, now)
        case Decline():
            return change(state, "payment_declined", now)
        case Refund():
            return money.refund(state, command, now)
        case ChargeBack():
            return money.charge_back(state, now)
        case WinChargeback():
            return money.win_chargeback(state, now)
        case LoseChargeback():
            return money.lose_chargeback(state, now)
        case TimeUp():
            raise AssertionError("deadlines are `_time_up`'s")


def _time_up(state: OrderState, passed: TimeUp, now: datetime) -> Decision | Rejection:
    deadline = state.deadline(passed.deadline)
    if deadline is None or deadline.paused_at is not None or deadline.due_at > now:
        return conflict("order.deadline_not_reached", "No such deadline of the order is over.")
    match passed.deadline:
        case "hold":
            return change(state, "expired", now, status="expired", stock="release")
        case "ship_by":
            return fulfilment.miss_ship_by(state, now)
        case "late_cancel" | "cancel_answer":
            return fulfilment.stop(state, now)
        case "arrival":
            return fulfilment.arrive(state, now)
        case "auto_accept":
            return change(state, "completed", now, status="completed")
        case "dispute_decision":
            return disputes.remind(state, now)


def _refusal(state: OrderState, step: Step, actor: ActorRole) -> Rejection | None:
    """Why the step cannot be taken now by this actor, whatever the command says beside its name."""
    sources = RULES[step].paths.keys()
    if actor in {"timer", "gateway"}:
        return None if state.status in sources else _no_news(step)
    if state.status not in sources:
        return not_now(state.status, sources)
    if state.payment_status == "charged_back" and step != "add_evidence":
        return conflict(
            "order.charged_back",
            "The buyer's bank took the money back; nothing moves until that is decided.",
        )
    return _asked_wrongly(state, step, actor)


def _no_news(step: Step) -> Rejection:
    match step:
        case "pay":
            return money.already_paid()
        case "decline" | "refuse":
            return conflict("order.not_pending", "The order waits for no payment any more.")
        case "refund" | "charge_back" | "win_chargeback" | "lose_chargeback":
            return conflict("order.nothing_captured", "The order was not paid.")
        case _:
            return conflict("order.deadline_not_reached", "No such deadline of the order is over.")


def _asked_wrongly(state: OrderState, step: Step, actor: ActorRole) -> Rejection | None:
    match step:
        case "ship" if state.is_cancel_requested:
            return conflict(
                "order.cancel_requested", "The buyer asked to cancel; answer that before you ship."
            )
        case "deliver" if all(parcel.delivered for parcel in state.parcels):
            return (
                conflict("order.already_delivered", "All parcels that left have arrived.")
                if state.parcels
                else not_now("accepted", {"shipped"})
            )
        case "cancel" if actor == "buyer" and state.status == "accepted" and not state.is_late:
            return conflict(
                "order.ask_to_cancel", "The shop has accepted the order; ask it to cancel."
            )
        case "request_cancel" if state.is_late:
            return conflict("order.may_cancel", "The shop is late; you may cancel at once.")
        case "request_cancel" if state.is_cancel_requested:
            return conflict(
                "order.cancel_requested", "You have asked before; the shop will answer."
            )
        case "approve_cancel" | "decline_cancel" if not state.is_cancel_requested:
            return conflict("order.no_cancel_request", "Nobody asks to cancel this order.")
        case "accept_settlement":
            proposal = None if state.dispute is None else state.dispute.proposal
            if proposal is None or proposal.by == actor:
                return conflict(
                    "dispute.no_proposal", "There is no proposal of the other side to agree to."
                )
            return None
        case _:
            return None
