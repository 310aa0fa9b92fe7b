"""How fast one unit of everybody's wish sells: many buyers check the same variant out at once, and none is oversold.

Every checkout of the run is the full one (`services/orders/checkout.check_out` in `Database.transact`), and all of
them wait for the same row of stock, which they lock last. There are fewer units than buyers: the run ends when they are
gone, and then as many orders, reservations and held units are counted as there were.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import asyncpg
import msgspec

from bench.checkout_goods import BUYERS_FROM, PRICE_MINOR, bench_id, make_goods
from bench.checkout_service import buyer_of
from bench.report import Figure
from bench.samples import line_of, line_of_results
from bench.stage import open_servers
from feira.app import open_ground
from feira.platform.domain.errors import FeiraError
from feira.platform.domain.ids import AddressId
from feira.platform.runtime.config import Config
from feira.services.orders.checkout import CheckOut, check_out
from feira.sql.database import Database
from feira.sql.loader import Connection

PER_SECOND_GOAL: Final = 150
_CONFLICTS_RETRIED: Final = frozenset({"database.busy", "database.contended"})
_FILL: Final = """
INSERT INTO cart_lines (cart_id, variant_id, quantity, seen_price_minor)
SELECT bench_id({first} + n), bench_id({variant}), 1, {price_minor}
FROM generate_series(0, {buyers} - 1) AS n
"""


class HotSkuSizes(msgspec.Struct, frozen=True, kw_only=True):
    """`units` of each of `rounds` variants, and more buyers than that; the first round warms up and is not counted."""

    buyers_at_once: int = 16
    units: int = 2_000
    late_buyers: int = 100
    rounds: int = 4


SMALL: Final = HotSkuSizes(buyers_at_once=4, units=20, late_buyers=5, rounds=2)


class _Round(msgspec.Struct, kw_only=True):
    per_second: float = 0
    took_ms: list[float] = []
    sold: int = 0
    too_late: int = 0


async def measure(sizes: HotSkuSizes) -> Figure:
    """Start stores and measure on them."""
    async with open_servers() as config:
        sized = msgspec.structs.replace(
            config,
            postgres_pool_min=sizes.buyers_at_once,
            postgres_pool_max=sizes.buyers_at_once,
        )
        con = await asyncpg.connect(config.postgres_dsn)
        try:
            await make_goods(con, sizes.rounds * (sizes.units + sizes.late_buyers))
            async with open_ground(sized) as ground:
                database = ground.market.database
                rounds = [
                    await _round(database, sized, con, sizes, number)
                    for number in range(sizes.rounds)
                ]
        finally:
            await con.close()
    return _figure(rounds[1:], sizes)


async def _round(
    database: Database, config: Config, con: Connection, sizes: HotSkuSizes, number: int
) -> _Round:
    buyers = sizes.units + sizes.late_buyers
    first = number * buyers
    filled = _FILL.format(
        first=BUYERS_FROM + first, variant=number, price_minor=PRICE_MINOR, buyers=buyers
    )
    await con.execute(filled)
    await con.execute(
        "UPDATE stock SET on_hand = $2 WHERE variant_id = $1", bench_id(number), sizes.units
    )
    await con.execute("VACUUM (ANALYZE)", timeout=600)
    done = _Round()
    waiting = iter(range(first, first + buyers))

    async def buy_on() -> None:
        for buyer in waiting:
            began = time.perf_counter()
            if await _buy(database, config, buyer):
                done.sold += 1
                done.took_ms.append((time.perf_counter() - began) * 1000)
            else:
                done.too_late += 1

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(sizes.buyers_at_once):
            group.create_task(buy_on(), name="buyers")
    done.per_second = done.sold / (time.perf_counter() - began)
    await _require_none_oversold(con, sizes, number, done)
    return done


async def _buy(database: Database, config: Config, number: int) -> bool:
    """Whether there was one left."""
    principal = buyer_of(number)
    wanted = CheckOut(
        address_id=AddressId(bench_id(BUYERS_FROM + number)), expected_total_minor=PRICE_MINOR
    )
    while True:
        try:
            await database.transact(lambda tx: check_out(tx, config, principal, wanted))
        except FeiraError as error:
            if error.code == "stock.insufficient":
                return False
            if error.code not in _CONFLICTS_RETRIED:
                raise
        else:
            return True


async def _require_none_oversold(
    con: Connection, sizes: HotSkuSizes, number: int, done: _Round
) -> None:
    held = await con.fetchrow(
        "SELECT s.reserved, (SELECT coalesce(sum(r.quantity), 0) FROM reservations AS r"
        " WHERE r.variant_id = s.variant_id AND r.state = 'held') AS held,"
        " (SELECT count(*) FROM order_lines AS l WHERE l.variant_id = s.variant_id) AS ordered"
        " FROM stock AS s WHERE s.variant_id = $1",
        bench_id(number),
    )
    assert held is not None, "the variant has stock"
    counts = {*held.values(), done.sold, sizes.units}
    if len(counts) != 1 or done.too_late != sizes.late_buyers:
        raise RuntimeError(f"{sizes.units} units gave {dict(held)}, {done.sold} sold")


def _figure(rounds: list[_Round], sizes: HotSkuSizes) -> Figure:
    slowest = min(one.per_second for one in rounds)
    return Figure(
        name="hot-sku",
        what="Full checkouts of one and the same variant by everybody at once, until it is gone.",
        goal=f"at least {PER_SECOND_GOAL} a second, none oversold",
        reached=f"{slowest:.0f} a second in the slowest round, none oversold",
        is_met=slowest >= PER_SECOND_GOAL,
        lines=[
            line_of_results("checkouts of one variant", "1/s", [one.per_second for one in rounds]),
            line_of("one checkout", "ms", [one.took_ms for one in rounds]),
        ],
        remarks=[
            f"{sizes.buyers_at_once} buyers at once, {sizes.units:,} units each round",
            f"{sizes.late_buyers} buyers too many in each of {len(rounds)} rounds",
            "after each round: units held, reservations and order lines are as many as there were units",
        ],
    )
