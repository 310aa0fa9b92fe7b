"""Making a decision out of what a step changes; what it does not name stays as it was. Clocks stop and go on here."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Final

import msgspec

from feira.platform.domain.ids import ShipmentId
from feira.platform.domain.order_commands import DeadlineKind, LineQuantity
from feira.platform.domain.order_state import (
    DEADLINES_OF,
    Deadline,
    Decision,
    DisputeState,
    Fact,
    FulfilmentStatus,
    OrderState,
    OrderStatus,
    PaymentStatus,
    StockMove,
)

_SHIPPING: Final[frozenset[DeadlineKind]] = frozenset({"ship_by", "late_cancel"})


def change(
    state: OrderState,
    fact: Fact,
    now: datetime,
    *,
    status: OrderStatus | None = None,
    payment_status: PaymentStatus | None = None,
    fulfilment_status: FulfilmentStatus | None = None,
    starts: tuple[Deadline, ...] = (),
    ends: AbstractSet[DeadlineKind] = frozenset(),
    stock: StockMove | None = None,
    refund_minor: int = 0,
    shipped: tuple[LineQuantity, ...] = (),
    delivered: tuple[ShipmentId, ...] = (),
    cancelled: tuple[LineQuantity, ...] = (),
    dispute: DisputeState | None = None,
) -> Decision:
    """The next state. A deadline ends with the last status that it belongs to, or because the step `ends` it."""
    status = status or state.status
    payment_status = payment_status or state.payment_status
    gone = ends | {deadline.kind for deadline in starts}
    stays = DEADLINES_OF.get(status, frozenset[DeadlineKind]()) - gone
    deadlines = [deadline for deadline in state.deadlines if deadline.kind in stays]
    return Decision(
        fact=fact,
        status=status,
        payment_status=payment_status,
        fulfilment_status=fulfilment_status or state.fulfilment_status,
        version=state.version + 1,
        deadlines=_clocks((*deadlines, *starts), status, payment_status, now),
        stock=stock,
        refund_minor=refund_minor,
        shipped=shipped,
        delivered=delivered,
        cancelled=cancelled,
        dispute=(dispute or state.dispute) if status == "disputed" else None,
    )


def in_seconds(kind: DeadlineKind, now: datetime, seconds: int) -> Deadline:
    """A deadline that starts to run now."""
    return Deadline(kind=kind, due_at=now + timedelta(seconds=seconds))


def _clocks(
    deadlines: Iterable[Deadline],
    status: OrderStatus,
    payment_status: PaymentStatus,
    now: datetime,
) -> tuple[Deadline, ...]:
    """Stop what must stand still, and let the others go on by as much as they stood."""
    by_kind = {deadline.kind: deadline for deadline in deadlines}

    def stands(kind: DeadlineKind) -> bool:
        return (
            # Nobody knows yet whose the money is.
            payment_status == "charged_back"
            or (status == "disputed" and kind != "dispute_decision")
            # The shop must not ship before it has answered.
            or ("cancel_answer" in by_kind and kind in _SHIPPING)
        )

    return tuple(
        _stopped(deadline, now) if stands(deadline.kind) else _going(deadline, now)
        for deadline in sorted(by_kind.values(), key=lambda one: one.kind)
    )


def _stopped(deadline: Deadline, now: datetime) -> Deadline:
    if deadline.paused_at is not None:
        return deadline
    return msgspec.structs.replace(deadline, paused_at=now)


def _going(deadline: Deadline, now: datetime) -> Deadline:
    if deadline.paused_at is None:
        return deadline
    stood = now - deadline.paused_at
    return Deadline(kind=deadline.kind, due_at=deadline.due_at + stood)
