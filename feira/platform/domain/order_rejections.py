"""Why the order machine says no, with a stable code and a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Literal

import msgspec

from feira.platform.domain.order_state import OrderStatus


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Why not. `conflict`: the order moved on; `role`: not by this actor; `rule`: never like this."""

    kind: Literal["conflict", "role", "rule"]
    code: str
    message: str
    field: str | None = None


def conflict(code: str, message: str, *, field: str | None = None) -> Rejection:
    """The order is somewhere else by now."""
    return Rejection(kind="conflict", code=code, message=message, field=field)


def broken_rule(code: str, message: str, field: str) -> Rejection:
    """Not like this; `field` is what is wrong with it."""
    return Rejection(kind="rule", code=code, message=message, field=field)


# Why an order in this status cannot do what was asked: it is not so far yet, or it is past it.
_NOT_YET: Final[Mapping[OrderStatus, tuple[str, str]]] = {
    "pending_payment": ("order.not_paid", "The order is not paid yet; wait until it is."),
    "paid": ("order.not_accepted", "The shop has not accepted the order yet; accept it first."),
    "accepted": ("order.not_shipped", "The order has not been shipped in full yet."),
    "shipped": ("order.not_delivered", "The order has not been delivered yet."),
    "delivered": ("order.not_disputed", "There is no dispute about this order."),
}
_ALREADY: Final[Mapping[OrderStatus, tuple[str, str]]] = {
    "accepted": ("order.already_accepted", "The order was accepted before; nothing is left to do."),
    "shipped": ("order.already_shipped", "The order was shipped; it cannot be changed like this."),
    "delivered": ("order.already_delivered", "The order was delivered before."),
    "disputed": ("order.disputed", "There is a dispute about this order; it has to end first."),
    "completed": ("order.already_completed", "The order is completed; nothing can change it."),
    "refunded": ("order.already_refunded", "The order ended with its money given back."),
    "split": ("order.already_split", "The order ended with its money split."),
    "cancelled": ("order.already_cancelled", "The order was cancelled; nothing can change it."),
    "expired": ("order.already_expired", "The order expired unpaid; please check out again."),
}
_PROGRESS: Final[tuple[OrderStatus, ...]] = (
    "pending_payment",
    "paid",
    "accepted",
    "shipped",
    "delivered",
    "disputed",
)


def not_now(status: OrderStatus, wanted: AbstractSet[OrderStatus]) -> Rejection:
    """Say why an order in `status` cannot do what it could in one of the `wanted` ones."""
    on_the_way = [_PROGRESS.index(each) for each in wanted if each in _PROGRESS]
    too_early = status in _NOT_YET and all(_PROGRESS.index(status) < each for each in on_the_way)
    if too_early and wanted == {"disputed"}:
        status = "delivered"
    code, message = _NOT_YET[status] if too_early else _ALREADY[status]
    return conflict(code, message)
