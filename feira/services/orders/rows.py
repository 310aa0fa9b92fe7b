"""Locked orders with all that a decision about them depends on.

Lock order: the orders of a group by id, then their payment, then stock, then the ledger. Whoever needs the
payment (a capture, a refund) therefore calls `lock_group_orders` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import OrderGroupId, OrderId, OrderLineId, ShopId, UserId
from feira.platform.domain.order_state import (
    Deadline,
    DeadlineKind,
    FulfilmentStatus,
    LineState,
    OrderState,
    OrderStatus,
    PaymentStatus,
)
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, load_queries

SQL = load_queries("orders")


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine and its effects need of an order."""

    id: OrderId
    number: int
    group_id: OrderGroupId
    buyer_id: UserId
    shop_id: ShopId
    currency: str
    total_minor: int
    commission_minor: int
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    refunded_minor: int
    auto_accept_s: int
    version: int


class LockedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order whose row this transaction holds."""

    row: OrderRow
    state: OrderState


class LineRow(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    line: OrderLineId
    quantity: int
    shipped: int


class DeadlineRow(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    kind: DeadlineKind
    due_at: datetime


def no_such_order() -> NotFound:
    """For orders that do not exist and for those of other people: they look the same."""
    return NotFound("order.not_found", "There is no such order among those you may see.")


async def lock_order(tx: Tx, order_id: OrderId) -> LockedOrder:
    """Lock one order.

    Raises:
        NotFound: `order.not_found`.
    """
    rows = await fetch_all(tx.con, SQL["lock_orders"], OrderRow, [order_id])
    if not rows:
        raise no_such_order()
    return (await with_states(tx.con, rows))[0]


async def lock_group_orders(tx: Tx, group_id: OrderGroupId) -> list[LockedOrder]:
    """Lock all orders of a group in the order of their ids. Comes before locking their payment."""
    rows = await fetch_all(tx.con, SQL["lock_group_orders"], OrderRow, group_id)
    return await with_states(tx.con, rows)


async def lock_unpaid_groups(tx: Tx, *, groups_max: int) -> list[LockedOrder]:
    """Lock the orders of up to `groups_max` groups whose hold is over, passing by what somebody holds.

    A group comes whole or not at all: a payment that has one of its orders gets them all.
    """
    rows = await fetch_all(tx.con, SQL["lock_unpaid_groups"], OrderRow, groups_max)
    groups = {row.group_id for row in rows}
    counted = await tx.con.fetch(SQL["count_group_orders"], list(groups))
    sizes: dict[OrderGroupId, int] = {record["group_id"]: record["orders"] for record in counted}
    locked = [row.group_id for row in rows]
    whole = {group for group in groups if locked.count(group) == sizes[group]}
    return await with_states(tx.con, [row for row in rows if row.group_id in whole])


async def lock_due_for_acceptance(tx: Tx, *, orders_max: int) -> list[LockedOrder]:
    """Lock delivered orders past their auto-accept deadline, passing by what somebody holds."""
    rows = await fetch_all(tx.con, SQL["lock_due_for_acceptance"], OrderRow, orders_max)
    return await with_states(tx.con, sorted(rows, key=lambda row: row.id))


async def with_states(con: Connection, rows: Sequence[OrderRow]) -> list[LockedOrder]:
    """Read lines and deadlines of orders that are locked already."""
    ids = [row.id for row in rows]
    lines = await fetch_all(con, SQL["read_line_states"], LineRow, ids) if ids else []
    deadlines = await read_deadlines(con, ids)
    return [
        LockedOrder(
            row=row,
            state=OrderState(
                status=row.status,
                payment_status=row.payment_status,
                fulfilment_status=row.fulfilment_status,
                version=row.version,
                total_minor=row.total_minor,
                auto_accept_s=row.auto_accept_s,
                lines=tuple(
                    LineState(line=line.line, quantity=line.quantity, shipped=line.shipped)
                    for line in lines
                    if line.order_id == row.id
                ),
                deadlines=deadlines.get(row.id, ()),
            ),
        )
        for row in rows
    ]


async def read_deadlines(
    con: Connection, ids: Sequence[OrderId]
) -> dict[OrderId, tuple[Deadline, ...]]:
    """Return the running timers by order."""
    rows = await fetch_all(con, SQL["read_deadlines"], DeadlineRow, ids) if ids else []
    found: dict[OrderId, tuple[Deadline, ...]] = {}
    for row in rows:
        deadline = Deadline(kind=row.kind, due_at=row.due_at)
        found[row.order_id] = (*found.get(row.order_id, ()), deadline)
    return found
