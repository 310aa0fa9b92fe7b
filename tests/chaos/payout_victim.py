"""python -m tests.chaos.payout_victim POINT: pays shops and sees their payouts through, until a failpoint kills it."""

from __future__ import annotations

import asyncio
import os
import sys

from feira.app import open_ground
from feira.platform.domain.ids import PayoutId
from feira.platform.runtime.config import load_config
from feira.services.market import Market
from feira.services.payouts.making import run_payouts
from feira.services.payouts.moving import advance
from tests.chaos.killed_at import arm_by

_OPEN = "SELECT id FROM payouts WHERE state NOT IN ('paid', 'failed', 'canceled')"
LOOK_AGAIN_S = 0.1


async def pay(market: Market) -> None:
    await run_payouts(market)
    while True:
        async with market.database.connection() as con:
            await con.execute("UPDATE payouts SET retry_at = NULL WHERE retry_at IS NOT NULL")
            rows = await con.fetch(_OPEN)
        if not rows:
            return
        for row in rows:
            await advance(market, PayoutId(row["id"]))
        await asyncio.sleep(LOOK_AGAIN_S)


async def main() -> None:
    async with open_ground(load_config(os.environ, None)) as ground:
        await pay(ground.market)


if __name__ == "__main__":
    arm_by(sys.argv[1])
    asyncio.run(main())
