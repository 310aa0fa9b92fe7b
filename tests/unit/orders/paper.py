"""An order on paper: what the services would store after each decision, without a database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from feira.platform.domain.ids import OrderLineId, ShipmentId
from feira.platform.domain.order_commands import (
    Accept,
    AcceptSettlement,
    AddEvidence,
    ApproveCancel,
    Cancel,
    Complete,
    DeadlineKind,
    DecideDispute,
    DeclineCancel,
    Deliver,
    ExtendShipBy,
    LineQuantity,
    OpenDispute,
    OrderCommand,
    Pay,
    ProposeSettlement,
    Refund,
    RequestCancel,
    RequestMoreTime,
    Ship,
    TimeUp,
    Trigger,
    WithdrawDispute,
)
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.order_state import (
    ActorRole,
    Deadline,
    Decision,
    LineState,
    OrderState,
    OrderTerms,
    ParcelState,
)
from feira.platform.domain.orders import decide

Step = tuple[OrderCommand | Trigger, ActorRole]
Steps = tuple[Step, ...]

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)
LINES: Final = tuple(OrderLineId(UUID(int=n)) for n in (1, 2))
TERMS: Final = OrderTerms(
    ship_within_s=3 * 86_400,
    late_cancel_s=2 * 86_400,
    cancel_answer_s=86_400,
    arrive_within_s=21 * 86_400,
    auto_accept_s=14 * 86_400,
    dispute_decision_s=7 * 86_400,
)
SHIP: Final = Ship(carrier="DHL", tracking_number="T1")
CANCEL: Final = Cancel(reason="changed my mind")
ASK: Final = RequestCancel(reason="changed my mind")
DISPUTE: Final = OpenDispute(problem="damaged", text="It came in two pieces.")

PAID: Final[Steps] = ((Pay(), "gateway"),)
ACCEPTED: Final[Steps] = (*PAID, (Accept(), "seller"))
SHIPPED: Final[Steps] = (*ACCEPTED, (SHIP, "seller"))
DELIVERED: Final[Steps] = (*SHIPPED, (Deliver(), "buyer"))
DISPUTED: Final[Steps] = (*DELIVERED, (DISPUTE, "buyer"))
COMPLETED: Final[Steps] = (*DELIVERED, (Complete(), "buyer"))
CANCELLED: Final[Steps] = (*PAID, (CANCEL, "buyer"))


def order(*, quantities: tuple[int, ...] = (2, 3)) -> OrderState:
    """Two lines of 60.00 and 30.00, and 10.00 for shipping."""
    return OrderState(
        status="pending_payment",
        payment_status="none",
        fulfilment_status="none",
        version=1,
        total_minor=10_000,
        terms=TERMS,
        lines=tuple(
            LineState(line=line, quantity=quantity, shipped=0, paid_minor=paid_minor)
            for line, quantity, paid_minor in zip(LINES, quantities, (6_000, 3_000), strict=True)
        ),
        deadlines=(Deadline(kind="hold", due_at=NOW + timedelta(minutes=15)),),
    )


def evolve(state: OrderState, decision: Decision, command: OrderCommand | Trigger) -> OrderState:
    """Store a decision, and promise at once what it gives back."""
    shipped = {item.line: item.quantity for item in decision.shipped}
    cancelled = {item.line: item.quantity for item in decision.cancelled}
    parcels = tuple(
        msgspec.structs.replace(
            parcel, delivered=parcel.delivered or parcel.shipment in decision.delivered
        )
        for parcel in state.parcels
    )
    if shipped:
        number = ShipmentId(UUID(int=100 + len(parcels)))
        parcels = (*parcels, ParcelState(shipment=number, delivered=False))
    return msgspec.structs.replace(
        state,
        status=decision.status,
        payment_status=decision.payment_status,
        fulfilment_status=decision.fulfilment_status,
        version=decision.version,
        promised_minor=state.promised_minor + decision.refund_minor,
        refunded_minor=(
            command.refunded_minor if isinstance(command, Refund) else state.refunded_minor
        ),
        deadlines=decision.deadlines,
        lines=tuple(
            msgspec.structs.replace(
                line,
                shipped=line.shipped + shipped.get(line.line, 0),
                cancelled=line.cancelled + cancelled.get(line.line, 0),
            )
            for line in state.lines
        ),
        parcels=parcels,
        dispute=decision.dispute,
    )


def after(*steps: Step, state: OrderState | None = None, now: datetime = NOW) -> OrderState:
    """Where these steps lead, all of them taken at one moment."""
    state = state or order()
    for command, actor in steps:
        state = evolve(state, decided(state, command, actor, now), command)
    return state


def late(kind: DeadlineKind, state: OrderState) -> OrderState:
    """Let the time run to a deadline, and what it brings."""
    passed = TimeUp(deadline=kind)
    deadline = state.deadline(kind)
    assert deadline is not None
    return evolve(state, decided(state, passed, "timer", deadline.due_at), passed)


def part(*quantities: int) -> Ship:
    """A parcel with so many units of the first, the second line."""
    return Ship(
        carrier="DHL",
        tracking_number="A",
        lines=[
            LineQuantity(line=line, quantity=quantity)
            for line, quantity in zip(LINES, quantities, strict=False)
            if quantity
        ],
    )


def decided(
    state: OrderState, command: OrderCommand | Trigger, actor: ActorRole, now: datetime = NOW
) -> Decision:
    decision = decide(state, command, actor, now)
    assert isinstance(decision, Decision), decision
    return decision


def rejected(
    state: OrderState, command: OrderCommand | Trigger, actor: ActorRole, now: datetime = NOW
) -> Rejection:
    rejection = decide(state, command, actor, now)
    assert isinstance(rejection, Rejection), rejection
    return rejection


def sound_commands(state: OrderState, now: datetime) -> list[OrderCommand]:
    """One or two of each, with nothing wrong in them but perhaps their time."""
    proposal = None if state.dispute is None else state.dispute.proposal
    agreed = 0 if proposal is None else proposal.refund_minor
    later = max([now, *(deadline.due_at for deadline in state.deadlines)]) + DAY
    some = state.left_minor // 3
    return [
        Accept(),
        SHIP,
        *(
            [part(1)]
            if state.lines[0].unshipped and any(line.unshipped for line in state.lines[1:])
            else []
        ),
        Deliver(),
        *(Deliver(shipment=parcel.shipment) for parcel in state.parcels if not parcel.delivered),
        Complete(),
        CANCEL,
        ASK,
        ApproveCancel(),
        DeclineCancel(reason="it is packed"),
        RequestMoreTime(ship_by=later, reason="the glue has to dry"),
        ExtendShipBy(ship_by=later),
        DISPUTE,
        AddEvidence(text="Here is a picture."),
        ProposeSettlement(refund_minor=0, reason="it was whole"),
        ProposeSettlement(refund_minor=some, reason="keep it"),
        ProposeSettlement(refund_minor=state.left_minor, reason="sorry"),
        AcceptSettlement(refund_minor=agreed),
        WithdrawDispute(reason="found it"),
        DecideDispute(outcome="completed", reason="it was whole"),
        DecideDispute(outcome="refunded", reason="it was not"),
        *(
            [DecideDispute(outcome="split", refund_minor=some, reason="partly")]
            if 0 < some < state.left_minor
            else []
        ),
    ]


def kinds(deadlines: Iterable[Deadline]) -> list[str]:
    return [deadline.kind for deadline in deadlines]
