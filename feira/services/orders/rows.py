"""Locked orders with all that a decision about them depends on.

Lock order: the orders of a group by id, then their payment, then stock, then the ledger. Whoever needs the
payment (a capture, a refund) therefore calls `lock_group_orders` first.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import OrderGroupId, OrderId, ShopId, UserId
from feira.platform.domain.order_commands import DeadlineKind
from feira.platform.domain.order_state import OrderState
from feira.services.orders.states import SQL, OrderHead, read_states
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all


class OrderRow(OrderHead, frozen=True, kw_only=True):
    """What the machine and its effects need of an order."""

    number: int
    group_id: OrderGroupId
    buyer_id: UserId
    shop_id: ShopId
    currency: str
    commission_minor: int


class LockedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order whose row this transaction holds."""

    row: OrderRow
    state: OrderState


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
    return (await _with_states(tx.con, rows))[0]


async def lock_group_orders(tx: Tx, group_id: OrderGroupId) -> list[LockedOrder]:
    """Lock all orders of a group in the order of their ids. Comes before locking their payment."""
    rows = await fetch_all(tx.con, SQL["lock_group_orders"], OrderRow, group_id)
    return await _with_states(tx.con, rows)


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
    return await _with_states(tx.con, [row for row in rows if row.group_id in whole])


async def lock_due(tx: Tx, kind: DeadlineKind, *, orders_max: int) -> list[LockedOrder]:
    """Lock orders past a deadline of one kind, passing by what somebody holds."""
    rows = await fetch_all(tx.con, SQL["lock_due"], OrderRow, kind, orders_max)
    return await _with_states(tx.con, sorted(rows, key=lambda row: row.id))


async def _with_states(con: Connection, rows: Sequence[OrderRow]) -> list[LockedOrder]:
    states = await read_states(con, rows)
    return [LockedOrder(row=row, state=states[row.id]) for row in rows]
