"""Whether something may be given back or claimed: in time, shipped, and not given back before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from feira.platform.domain.ids import OrderLineId
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.order_state import OrderStatus
from feira.platform.domain.return_commands import RequestReturn

_RETURNABLE: Final = frozenset[OrderStatus]({"delivered", "completed", "split"})
_CLAIMABLE: Final = frozenset[OrderStatus]({"shipped", "delivered", "completed", "split"})


class ReturnableLine(msgspec.Struct, frozen=True, kw_only=True):
    """`taken`: units of open and settled returns and claims, and those refunded by line without any."""

    line: OrderLineId
    shipped: int
    taken: int


class ReturnableOrder(msgspec.Struct, frozen=True, kw_only=True):
    """`delivered_at` is when the last parcel arrived; null while one is under way."""

    status: OrderStatus
    delivered_at: datetime | None
    return_window_s: int
    lines: tuple[ReturnableLine, ...]


def check_request(order: ReturnableOrder, wanted: RequestReturn, now: datetime) -> Rejection | None:
    """Say why not, or None. Has no effect of its own."""
    return _check_kind(wanted) or _check_time(order, wanted, now) or _check_lines(order, wanted)


def returnable_until(order: ReturnableOrder) -> datetime | None:
    """The end of the window, once it began."""
    if order.delivered_at is None:
        return None
    return order.delivered_at + timedelta(seconds=order.return_window_s)


def _check_kind(wanted: RequestReturn) -> Rejection | None:
    if wanted.kind == "claim":
        if wanted.cause == "changed_mind":
            return _rule(
                "return.claim_needs_fault",
                "A claim is for what went wrong; send it back as a return instead.",
                "$.cause",
            )
        if wanted.remedy == "exchange":
            return _rule(
                "return.claim_is_refund",
                "A claim gives the money back; an exchange needs the goods.",
                "$.remedy",
            )
    elif wanted.cause == "not_arrived":
        return _rule(
            "return.nothing_to_send", "What never came cannot go back; make a claim.", "$.cause"
        )
    for index, units in enumerate(wanted.lines):
        if (units.replacement is not None) != (wanted.remedy == "exchange"):
            return _rule(
                "return.replacement_for_exchange",
                "Name a replacement for each line of an exchange, and only there.",
                f"$.lines[{index}].replacement",
            )
    return None


def _check_time(order: ReturnableOrder, wanted: RequestReturn, now: datetime) -> Rejection | None:
    if order.status not in (_CLAIMABLE if wanted.kind == "claim" else _RETURNABLE):
        return Rejection(
            kind="conflict",
            code="return.order_not_ready" if order.delivered_at is None else "return.order_closed",
            message=f"The order is {order.status.replace('_', ' ')}: there is nothing to give back.",
            field=None,
        )
    until = returnable_until(order)
    if until is not None and now > until:
        return Rejection(
            kind="conflict",
            code="return.window_closed",
            message="The time for returns of this order is over; write to the shop.",
        )
    return None


def _check_lines(order: ReturnableOrder, wanted: RequestReturn) -> Rejection | None:
    lines = {line.line: line for line in order.lines}
    for index, units in enumerate(wanted.lines):
        line = lines.get(units.line)
        if line is None:
            return _rule(
                "order.unknown_line",
                "The order has no such line; take the lines from the order.",
                f"$.lines[{index}].line",
            )
        if units.quantity > line.shipped - line.taken:
            return _rule(
                "return.too_many",
                f"Only {max(0, line.shipped - line.taken)} of this line can still be given back.",
                f"$.lines[{index}].quantity",
            )
    if len({units.line for units in wanted.lines}) < len(wanted.lines):
        return _rule("return.line_twice", "A line stands there twice; add it up.", "$.lines")
    return None


def _rule(code: str, message: str, field: str) -> Rejection:
    return Rejection(kind="rule", code=code, message=message, field=field)
