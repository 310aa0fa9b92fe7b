"""What happens to returns by itself. Deadlines are rows; a job looks for those that are over."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from feira.platform.domain.ids import OrderId, ReturnId
from feira.platform.domain.return_commands import TimeUp
from feira.platform.domain.return_state import ReturnDecision
from feira.platform.domain.returns import decide
from feira.platform.runtime.config import Config
from feira.services.orders.rows import lock_order
from feira.services.returns.actors import TIMER
from feira.services.returns.rows import SQL, ReturnRow, lock_return, terms_of
from feira.services.returns.steps import carry_out
from feira.sql.database import Tx
from feira.sql.loader import fetch_one

# The money is at the bank; whose it is takes weeks to decide.
_CHARGED_BACK_WAIT: Final = timedelta(days=1)


class _Due(msgspec.Struct, frozen=True, kw_only=True):
    return_id: ReturnId
    order_id: OrderId


async def end_one_deadline(tx: Tx, config: Config) -> int:
    """Do what silence means for one return whose time is over, and return 1; 0 when none is left.

    One whose order somebody holds right now is passed by: whoever commits first decides.
    """
    due = await fetch_one(tx.con, SQL["lock_order_of_due_return"], _Due)
    if due is None:
        return 0
    order = await lock_order(tx, due.order_id)
    row = await lock_return(tx, due.return_id)
    if row.deadline is None or row.deadline.due_at > tx.now:
        return 1
    if order.row.payment_status == "charged_back":
        await _put_off(tx, row)
        return 1
    command = TimeUp(deadline=row.deadline.kind)
    decision = decide(row.state(terms_of(config)), command, "timer", tx.now)
    assert isinstance(decision, ReturnDecision), "what is due can be done"
    await carry_out(tx, config, row, command, decision, TIMER)
    return 1


async def _put_off(tx: Tx, row: ReturnRow) -> None:
    await tx.con.execute(
        SQL["put_deadline"], row.id, row.deadline_kind, tx.now + _CHARGED_BACK_WAIT
    )
