"""What happens to orders by itself. Deadlines are rows; a job looks for those that are over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from feira.platform.domain.ids import OrderId
from feira.platform.domain.order_commands import DeadlineKind, TimeUp
from feira.platform.domain.order_state import Decision
from feira.platform.domain.orders import decide
from feira.services.orders.announcements import Move
from feira.services.orders.rows import LockedOrder, lock_due, lock_order, lock_unpaid_groups
from feira.services.orders.states import SQL
from feira.services.orders.transitions import apply
from feira.sql.database import Tx
from feira.sql.loader import Connection

GROUPS_A_TIME: Final = 20
ORDERS_A_TIME: Final = 50
TRY_AGAIN_AFTER: Final = timedelta(minutes=10)
# A hold ends for a whole group at once: see `expire_unpaid`.
AFTER_PAYMENT: Final[tuple[DeadlineKind, ...]] = (
    "ship_by",
    "late_cancel",
    "cancel_answer",
    "arrival",
    "auto_accept",
    "dispute_decision",
)


async def expire_unpaid(tx: Tx) -> int:
    """Expire the orders of some groups whose hold is over and return how many; 0 when none is left.

    A group that a payment or a cancellation holds right now is passed by: whichever of them commits first
    decides, and the next run sees what is left to do.
    """
    return await _time_out(tx, await lock_unpaid_groups(tx, groups_max=GROUPS_A_TIME), "hold")


async def fire(tx: Tx, kind: DeadlineKind) -> int:
    """Do what some orders' passed deadlines of one kind ask for and return how many; 0 when none is left.

    An order that a command holds right now is passed by, as above.
    """
    return await _time_out(tx, await lock_due(tx, kind, orders_max=ORDERS_A_TIME), kind)


async def list_due(con: Connection, kind: DeadlineKind) -> list[OrderId]:
    """Orders with a passed deadline of one kind, those that waited longest first."""
    rows = await con.fetch(SQL["list_due"], kind, ORDERS_A_TIME)
    return [row["order_id"] for row in rows]


async def fire_one(tx: Tx, kind: DeadlineKind, order_id: OrderId) -> None:
    """Do what one order's passed deadline asks for, if it still does."""
    await _time_out(tx, [await lock_order(tx, order_id)], kind)


async def put_off(tx: Tx, kind: DeadlineKind, order_id: OrderId) -> None:
    """Let an order whose deadline cannot be carried out wait, so that it does not stand before all others."""
    await tx.con.execute(SQL["put_off"], order_id, kind, tx.now + TRY_AGAIN_AFTER)


async def runs_until(con: Connection, order_id: OrderId, kind: DeadlineKind) -> datetime | None:
    """When an order's deadline is over; None where none of the kind runs, or it stands still."""
    due_at: datetime | None = await con.fetchval(SQL["read_running"], order_id, kind)
    return due_at


async def _time_out(tx: Tx, orders: Sequence[LockedOrder], kind: DeadlineKind) -> int:
    passed = TimeUp(deadline=kind)
    moves: list[Move] = []
    for order in orders:
        decision = decide(order.state, passed, "timer", tx.now)
        if isinstance(decision, Decision):
            moves.append(Move(order=order, command=passed, decision=decision, actor_role="timer"))
    await apply(tx, moves)
    return len(moves)
