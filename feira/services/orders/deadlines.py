"""What happens to orders by itself. Deadlines are rows; a job looks for those that are over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feira.platform.domain.order_commands import AutoComplete, Expire
from feira.platform.domain.order_state import Decision
from feira.platform.domain.orders import decide
from feira.services.orders.announcements import Move
from feira.services.orders.rows import (
    LockedOrder,
    lock_due_for_acceptance,
    lock_unpaid_groups,
)
from feira.services.orders.transitions import apply
from feira.sql.database import Tx

GROUPS_A_TIME: Final = 20
ORDERS_A_TIME: Final = 50


async def expire_unpaid(tx: Tx) -> int:
    """Expire the orders of some groups whose hold is over and return how many; 0 when none is left.

    A group that a payment or a cancellation holds right now is passed by: whichever of them commits first
    decides, and the next run sees what is left to do.
    """
    return await _time_out(tx, await lock_unpaid_groups(tx, groups_max=GROUPS_A_TIME), Expire())


async def accept_delivered(tx: Tx) -> int:
    """Complete some delivered orders whose buyer stayed silent and return how many; 0 when none is left."""
    orders = await lock_due_for_acceptance(tx, orders_max=ORDERS_A_TIME)
    return await _time_out(tx, orders, AutoComplete())


async def _time_out(tx: Tx, orders: Sequence[LockedOrder], trigger: Expire | AutoComplete) -> int:
    moves: list[Move] = []
    for order in orders:
        decision = decide(order.state, trigger, "timer", tx.now)
        if isinstance(decision, Decision):
            moves.append(Move(order=order, command=trigger, decision=decision, actor_role="timer"))
    await apply(tx, moves)
    return len(moves)
