"""Reading what the order machine decides by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from feira.platform.domain.ids import OrderId, ShipmentId
from feira.platform.domain.order_commands import DeadlineKind
from feira.platform.domain.order_state import (
    Deadline,
    DisputeState,
    FulfilmentStatus,
    LineState,
    OrderState,
    OrderStatus,
    OrderTerms,
    ParcelState,
    PaymentStatus,
    Proposal,
)
from feira.sql.loader import Connection, fetch_all, load_queries

SQL = load_queries("orders")


class OrderHead(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of an order that the machine asks for."""

    id: OrderId
    total_minor: int
    shipping_minor: int
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    refunded_minor: int
    terms: msgspec.Raw
    version: int


class _LineRow(LineState, frozen=True, kw_only=True):
    order_id: OrderId


class _DeadlineRow(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    kind: DeadlineKind
    due_at: datetime
    paused_at: datetime | None


class _Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    promised_minor: int
    parcels: list[ShipmentId]
    delivered: list[ShipmentId]
    opened_from: Literal["shipped", "delivered"] | None
    proposed_by: Literal["buyer", "seller"] | None
    proposed_refund_minor: int | None

    @property
    def dispute(self) -> DisputeState | None:
        if self.opened_from is None:
            return None
        proposal = None
        if self.proposed_by is not None and self.proposed_refund_minor is not None:
            proposal = Proposal(by=self.proposed_by, refund_minor=self.proposed_refund_minor)
        return DisputeState(opened_from=self.opened_from, proposal=proposal)


async def read_states(con: Connection, heads: Sequence[OrderHead]) -> dict[OrderId, OrderState]:
    """Read lines, deadlines, parcels and so on of some orders; whoever decides has locked them before."""
    ids = [head.id for head in heads]
    if not ids:
        return {}
    lines: defaultdict[OrderId, list[_LineRow]] = defaultdict(list)
    for line in await fetch_all(con, SQL["read_line_states"], _LineRow, ids):
        lines[line.order_id].append(line)
    deadlines = await _read_deadlines(con, ids)
    circumstances = await _read_circumstances(con, heads)
    return {
        head.id: _state(head, lines[head.id], deadlines[head.id], circumstances.get(head.id))
        for head in heads
    }


async def _read_deadlines(
    con: Connection, ids: Sequence[OrderId]
) -> defaultdict[OrderId, list[Deadline]]:
    found: defaultdict[OrderId, list[Deadline]] = defaultdict(list)
    for row in await fetch_all(con, SQL["read_deadlines"], _DeadlineRow, ids):
        found[row.order_id].append(
            Deadline(kind=row.kind, due_at=row.due_at, paused_at=row.paused_at)
        )
    return found


async def _read_circumstances(
    con: Connection, heads: Sequence[OrderHead]
) -> dict[OrderId, _Circumstances]:
    # What was never paid has no refund, no parcel and no dispute: most captures ask for nothing here.
    paid = [head.id for head in heads if head.payment_status != "none"]
    if not paid:
        return {}
    rows = await fetch_all(con, SQL["read_circumstances"], _Circumstances, paid)
    return {row.order_id: row for row in rows}


def _state(
    head: OrderHead,
    lines: Sequence[_LineRow],
    deadlines: Sequence[Deadline],
    circumstances: _Circumstances | None,
) -> OrderState:
    state = OrderState(
        status=head.status,
        payment_status=head.payment_status,
        fulfilment_status=head.fulfilment_status,
        version=head.version,
        total_minor=head.total_minor,
        refunded_minor=head.refunded_minor,
        terms=msgspec.json.decode(head.terms, type=OrderTerms),
        lines=tuple(msgspec.convert(line, LineState, from_attributes=True) for line in lines),
        deadlines=tuple(deadlines),
    )
    if circumstances is None:
        return state
    arrived = set(circumstances.delivered)
    return msgspec.structs.replace(
        state,
        promised_minor=circumstances.promised_minor,
        parcels=tuple(
            ParcelState(shipment=parcel, delivered=parcel in arrived)
            for parcel in circumstances.parcels
        ),
        dispute=circumstances.dispute,
    )
