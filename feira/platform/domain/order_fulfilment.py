"""Shipping, delivering and cancelling: what of an order goes to the buyer, by when, and what will not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from feira.platform.domain.money import portion
from feira.platform.domain.order_change import change, in_seconds
from feira.platform.domain.order_commands import (
    Deliver,
    ExtendShipBy,
    LineQuantity,
    RequestMoreTime,
    Ship,
)
from feira.platform.domain.order_rejections import Rejection, broken_rule, conflict
from feira.platform.domain.order_state import Deadline, Decision, OrderState
from feira.platform.domain.refunds import LinePart, RefundPrice

MORE_TIME_MAX: Final = timedelta(days=90)


def ship(state: OrderState, command: Ship, now: datetime) -> Decision | Rejection:
    """A parcel left; with the last of them the order counts as shipped."""
    left = {line.line: line.unshipped for line in state.lines}
    parcel = command.lines or [
        LineQuantity(line=line, quantity=quantity) for line, quantity in left.items() if quantity
    ]
    for index, item in enumerate(parcel):
        if item.line not in left:
            return broken_rule(
                "order.unknown_line",
                "The order has no such line; take the lines from the order.",
                f"$.lines[{index}].line",
            )
        if item.quantity > left[item.line]:
            return broken_rule(
                "order.ships_too_many",
                f"Only {left[item.line]} of this line are left to ship.",
                f"$.lines[{index}].quantity",
            )
        left[item.line] -= item.quantity
    if len({item.line for item in parcel}) < len(parcel):
        return broken_rule(
            "order.line_twice",
            "A line stands twice in the parcel; add its quantities up.",
            "$.lines",
        )
    place = {line.line: index for index, line in enumerate(state.lines)}
    shipped = tuple(sorted(parcel, key=lambda item: place[item.line]))
    if any(left.values()):
        return change(state, "partially_shipped", now, fulfilment_status="partial", shipped=shipped)
    return change(
        state,
        "shipped",
        now,
        status="shipped",
        fulfilment_status="full",
        starts=(in_seconds("arrival", now, state.terms.arrive_within_s),),
        shipped=shipped,
    )


def deliver(state: OrderState, command: Deliver, now: datetime) -> Decision | Rejection:
    """One parcel arrived, or all that left."""
    if command.shipment is None:
        return arrive(state, now)
    parcel = next((one for one in state.parcels if one.shipment == command.shipment), None)
    if parcel is None:
        return broken_rule(
            "order.unknown_parcel",
            "The order has no such parcel; take the parcels from the order.",
            "$.shipment",
        )
    if parcel.delivered:
        return conflict("order.parcel_delivered", "This parcel arrived before.", field="$.shipment")
    if state.status == "accepted" or any(
        not other.delivered for other in state.parcels if other != parcel
    ):
        return change(state, "parcel_delivered", now, delivered=(parcel.shipment,))
    return arrive(state, now)


def arrive(state: OrderState, now: datetime) -> Decision:
    """All parcels that left have arrived; with nothing left to ship, the order has."""
    arrived = tuple(parcel.shipment for parcel in state.parcels if not parcel.delivered)
    if state.status == "accepted":
        return change(state, "parcel_delivered", now, delivered=arrived)
    return change(
        state,
        "delivered",
        now,
        status="delivered",
        fulfilment_status="delivered",
        starts=(in_seconds("auto_accept", now, state.terms.auto_accept_s),),
        delivered=arrived,
    )


def stop(state: OrderState, now: datetime) -> Decision:
    """Cancel what has not left, and give back what the buyer paid for it."""
    if state.status == "pending_payment":
        return change(state, "cancelled", now, status="cancelled", stock="release")
    rest = unshipped(state)
    if state.fulfilment_status == "none":
        return change(
            state,
            "cancelled",
            now,
            status="cancelled",
            stock="restock",
            refund_minor=state.left_minor,
            cancelled=rest,
        )
    everything_arrived = all(parcel.delivered for parcel in state.parcels)
    return change(
        state,
        "rest_cancelled",
        now,
        status="delivered" if everything_arrived else "shipped",
        fulfilment_status="delivered" if everything_arrived else "full",
        starts=(
            in_seconds("auto_accept", now, state.terms.auto_accept_s)
            if everything_arrived
            else in_seconds("arrival", now, state.terms.arrive_within_s),
        ),
        stock="restock",
        refund_minor=price_rest(state).amount_minor,
        cancelled=rest,
    )


def miss_ship_by(state: OrderState, now: datetime) -> Decision:
    """The promise is broken: the buyer may cancel at once, and after a while it happens by itself."""
    return change(
        state,
        "ship_by_missed",
        now,
        ends={"ship_by"},
        starts=(in_seconds("late_cancel", now, state.terms.late_cancel_s),),
    )


def request_more_time(
    state: OrderState, command: RequestMoreTime, now: datetime
) -> Decision | Rejection:
    return _bad_ship_by(state, command.ship_by, now) or change(state, "more_time_requested", now)


def extend(state: OrderState, command: ExtendShipBy, now: datetime) -> Decision | Rejection:
    return _bad_ship_by(state, command.ship_by, now) or change(
        state,
        "ship_by_extended",
        now,
        ends={"late_cancel"},
        starts=(Deadline(kind="ship_by", due_at=command.ship_by),),
    )


def price_rest(state: OrderState) -> RefundPrice:
    """What goes back for what has not left. The shipping was spent on the parcels that did.

    Units that were given back by line before are not paid back twice.
    """
    parts = tuple(
        LinePart(
            line=line.line,
            quantity=units,
            amount_minor=max(
                0, portion(line.paid_minor, line.back + units, line.quantity) - line.back_minor
            ),
        )
        for line in state.lines
        if (units := min(line.unshipped, line.quantity - line.back))
    )
    amount_minor = sum(part.amount_minor for part in parts)
    if amount_minor > state.left_minor:
        # Amounts were given back that belong to no line.
        return RefundPrice(amount_minor=state.left_minor)
    return RefundPrice(amount_minor=amount_minor, lines=parts)


def unshipped(state: OrderState) -> tuple[LineQuantity, ...]:
    """What has not left."""
    return tuple(
        LineQuantity(line=line.line, quantity=line.unshipped)
        for line in state.lines
        if line.unshipped
    )


def _bad_ship_by(state: OrderState, ship_by: datetime, now: datetime) -> Rejection | None:
    before = state.deadline("ship_by")
    if ship_by <= (now if before is None else max(now, before.due_at)):
        return broken_rule(
            "order.ship_by_not_later",
            "Give a time that is later than the present one.",
            "$.ship_by",
        )
    if ship_by > now + MORE_TIME_MAX:
        return broken_rule(
            "order.ship_by_too_late",
            f"Give a time within {MORE_TIME_MAX.days} days from now.",
            "$.ship_by",
        )
    return None
