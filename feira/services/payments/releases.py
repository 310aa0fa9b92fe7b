r"""Clearance: a completed order's money waits until returns and chargebacks have become unlikely.

    completed --schedule--> waiting --due--> released: what the shop owes is settled, the rest can be paid out
                             |    ^
                       pause |    | resume (later by as much as it stood)
                             v    |
                             paused

The caller of `schedule`, `pause` and `resume` holds the order's lock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec

from feira.platform.domain.ids import OrderId, ShopId
from feira.platform.domain.payout_events import FundsReleased, ReleaseMoved
from feira.platform.domain.payout_schedule import DEFAULT, next_slot
from feira.platform.domain.postings_orders import clearance_over
from feira.platform.domain.topics import shop_topic
from feira.services.payments import ledger
from feira.services.payments.rows import OrderForMoney, lock_order
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL: Final = load_queries("releases")
PAYOUTS_SQL: Final = load_queries("payouts")
ORDERS_A_TIME: Final = 50

PauseCause = Literal["chargeback", "return", "operator"]


class UpcomingRelease(msgspec.Struct, frozen=True, kw_only=True):
    """An order whose money is in clearance; while `paused_at` is set, `due_at` moves away."""

    order: OrderId
    number: int
    currency: str
    due_at: datetime
    paused_at: datetime | None


class _Moved(msgspec.Struct, frozen=True, kw_only=True):
    shop_id: ShopId
    currency: str
    due_at: datetime
    paused_at: datetime | None


async def schedule(tx: Tx, order: OrderForMoney) -> None:
    """Begin an order's clearance, for as long as its shop's terms say, or else the market's."""
    await tx.con.execute(PAYOUTS_SQL["ensure_settings"], order.shop_id, next_slot(DEFAULT, tx.now))
    due_at = await tx.con.fetchval(
        SQL["insert_release"], order.order_id, order.shop_id, order.currency, tx.now
    )
    if due_at is not None:
        moved = _Moved(
            shop_id=order.shop_id, currency=order.currency, due_at=due_at, paused_at=None
        )
        _tell(tx, order.order_id, moved, "completed")


async def pause(tx: Tx, order_id: OrderId, cause: PauseCause) -> None:
    """Keep an order's money where it is for one more cause. Nothing where its clearance is over, or never began."""
    moved = await fetch_one(tx.con, SQL["pause_release"], _Moved, order_id, cause)
    if moved is not None:
        _tell(tx, order_id, moved, cause)


async def resume(tx: Tx, order_id: OrderId, cause: PauseCause) -> None:
    """Take a cause away. Nothing where it was none."""
    moved = await fetch_one(tx.con, SQL["resume_release"], _Moved, order_id, cause)
    if moved is not None:
        _tell(tx, order_id, moved, cause)


async def release_due(tx: Tx) -> int:
    """Release some orders' money whose clearance is over, and return how many; 0 when none is left."""
    rows = await tx.con.fetch(SQL["lock_due_orders"], ORDERS_A_TIME)
    for row in rows:
        await _release(tx, OrderId(row["id"]))
    return len(rows)


async def list_upcoming(con: Connection, shop_id: ShopId, *, limit: int) -> list[UpcomingRelease]:
    """The next of a shop's releases, in order."""
    return await fetch_all(con, SQL["list_upcoming"], UpcomingRelease, shop_id, limit)


async def _release(tx: Tx, order_id: OrderId) -> None:
    order = await lock_order(tx, order_id)
    funds = await ledger.lock_shop_funds(tx, order.sale)
    if await tx.con.fetchval(SQL["finish_release"], order_id) is None:
        # Paused or released between the look and the lock.
        return
    if funds.pending_minor == 0:
        return
    await ledger.post(tx, clearance_over(order.sale, funds))
    tx.emit(
        shop_topic(order.shop_id),
        FundsReleased(
            order=order_id,
            currency=order.currency,
            amount_minor=funds.pending_minor,
            settled_minor=min(funds.pending_minor, funds.owed_minor),
        ),
    )


def _tell(tx: Tx, order_id: OrderId, moved: _Moved, cause: str) -> None:
    tx.emit(
        shop_topic(moved.shop_id),
        ReleaseMoved(
            order=order_id,
            currency=moved.currency,
            due_at=moved.due_at,
            is_paused=moved.paused_at is not None,
            cause=cause,
        ),
    )
