"""What happens to orders by itself. Deadlines are rows; a job looks for those that are over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feira.platform.domain.order_commands import DeadlineKind, TimeUp
from feira.platform.domain.order_state import Decision
from feira.platform.domain.orders import decide
from feira.services.orders.announcements import Move
from feira.services.orders.rows import LockedOrder, lock_due, lock_unpaid_groups
from feira.services.orders.transitions import apply
from feira.sql.database import Tx

GROUPS_A_TIME: Final = 20
ORDERS_A_TIME: Final = 50
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


async def _time_out(tx: Tx, orders: Sequence[LockedOrder], kind: DeadlineKind) -> int:
    passed = TimeUp(deadline=kind)
    moves: list[Move] = []
    for order in orders:
        decision = decide(order.state, passed, "timer", tx.now)
        if isinstance(decision, Decision):
            moves.append(Move(order=order, command=passed, decision=decision, actor_role="timer"))
    await apply(tx, moves)
    return len(moves)
