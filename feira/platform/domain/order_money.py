"""What news of its money makes of an order."""

from __future__ import annotations

from datetime import datetime

from feira.platform.domain.order_change import change, in_seconds
from feira.platform.domain.order_commands import Refund
from feira.platform.domain.order_fulfilment import unshipped
from feira.platform.domain.order_rejections import Rejection, conflict
from feira.platform.domain.order_state import CLOSED, Decision, OrderState, PaymentStatus


def pay(state: OrderState, now: datetime) -> Decision | Rejection:
    """Money for an order that is closed already is recorded and goes back; it opens nothing again."""
    if state.status == "pending_payment":
        return change(
            state,
            "paid",
            now,
            status="paid",
            payment_status="captured",
            starts=(in_seconds("ship_by", now, state.terms.ship_within_s),),
            stock="sell",
        )
    if state.payment_status == "none":
        return change(
            state, "paid_late", now, payment_status="captured", refund_minor=state.left_minor
        )
    return already_paid()


def already_paid() -> Rejection:
    return conflict("order.already_paid", "The order was paid before.")


def refund(state: OrderState, command: Refund, now: datetime) -> Decision | Rejection:
    """More of it arrived back at the buyer."""
    if state.payment_status not in {"captured", "partially_refunded", "charged_back"}:
        return conflict(
            "order.nothing_to_refund", "No captured money of this order is left to refund."
        )
    assert 0 < command.refunded_minor <= state.total_minor, "refunds stay within the order's total"
    return change(
        state,
        "refunded",
        now,
        payment_status=(
            "charged_back"
            if state.payment_status == "charged_back"
            else _after_refunds(state, command.refunded_minor)
        ),
    )


def charge_back(state: OrderState, now: datetime) -> Decision | Rejection:
    """The money is away for now: nobody moves the order, and no countdown runs, until it is known whose it is."""
    if state.payment_status in {"none", "authorized", "charged_back"}:
        return conflict("order.nothing_to_charge_back", "No captured money of this order is here.")
    return change(state, "charged_back", now, payment_status="charged_back")


def win_chargeback(state: OrderState, now: datetime) -> Decision | Rejection:
    """The money is back: the order goes on where it stood."""
    if state.payment_status != "charged_back":
        return _not_charged_back()
    return change(
        state,
        "chargeback_won",
        now,
        payment_status=_after_refunds(state, state.refunded_minor),
    )


def lose_chargeback(state: OrderState, now: datetime) -> Decision | Rejection:
    """The buyer has the money: an order that was under way ends, and what never left goes back on the shelf."""
    if state.payment_status != "charged_back":
        return _not_charged_back()
    if state.status in CLOSED:
        return change(state, "chargeback_lost", now)
    rest = unshipped(state)
    return change(
        state,
        "chargeback_lost",
        now,
        status="cancelled" if state.fulfilment_status == "none" else "refunded",
        stock="restock" if rest else None,
        cancelled=rest,
    )


def _after_refunds(state: OrderState, refunded_minor: int) -> PaymentStatus:
    if refunded_minor == 0:
        return "captured"
    return "refunded" if refunded_minor == state.total_minor else "partially_refunded"


def _not_charged_back() -> Rejection:
    return conflict("order.not_charged_back", "There is no chargeback of this order.")
