"""Looking after payouts that stand still: a job that died, news that never came, a shop that is in order again."""

from __future__ import annotations

from typing import Final

from feira.platform.domain.ids import PayoutId
from feira.platform.domain.payout_jobs import AdvancePayout
from feira.services.market import Market
from feira.services.payouts.rows import SQL
from feira.sql.database import Tx

STALE_AFTER_S: Final = 900
PAYOUTS_A_TIME: Final = 500


async def look_after_stale(market: Market, *, stale_after_s: int = STALE_AFTER_S) -> int:
    """Have every payout looked at that has not moved for a while, and return how many."""
    last: PayoutId | None = None
    looked_at = 0
    while True:
        after = last

        async def enqueue(tx: Tx, after: PayoutId | None = after) -> list[PayoutId]:
            rows = await tx.con.fetch(SQL["list_stale"], stale_after_s, after, PAYOUTS_A_TIME)
            ids = [PayoutId(row["id"]) for row in rows]
            for payout_id in ids:
                # Once an hour at most: the next slot of an hour may ask again.
                hour = tx.now.strftime("%Y%m%d%H")
                tx.enqueue(AdvancePayout(payout=payout_id), dedup=f"payout:{payout_id}:{hour}")
            return ids

        ids = await market.database.transact(enqueue)
        looked_at += len(ids)
        if len(ids) < PAYOUTS_A_TIME:
            return looked_at
        last = ids[-1]
