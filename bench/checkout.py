r"""How many full checkouts a second one server process makes, against pgbench running the very same SQL.

The service's side is `services/orders/checkout.check_out` in `Database.transact`, as `POST /v1/checkout` runs it in
its transaction: lock the cart, read prices and stock, freeze the address and the lines, open a group with an order
for each shop, the payment, hold the stock, empty the cart, append the events, commit with fsync,
and hand the events to the bus. N buyers at a time use N connections of this one process, on uvloop as `feira serve`.

pgbench's side is made from it: asyncpg's query logger records one real checkout from BEGIN to COMMIT, and
`bench/pgbench_script.py` writes down the same statements in the same order, with random carts by variables and
generated ids by `\gset`, run in prepared mode on as many connections with the same session settings. What pgbench
leaves out is what Python adds: asyncpg, decisions, prices, events, the bus. What the service leaves out is nothing.

Both buy from the same data: each cart holds three lines of two shops and is bought once, in random order; before
every run the carts are filled again, and PostgreSQL vacuums, analyzes and checkpoints. Runs of both sides alternate
(service, pgbench, pgbench, service, ...), so that the growth of the tables hits both alike, for several durations.
After every run it is counted that as many groups, payments, events and emptied carts are there as were acknowledged.
The figure is the median over all pairs of runs of the service's rate divided by pgbench's.
"""

from __future__ import annotations

import random
import statistics
from typing import Final

import asyncpg
import msgspec
from asyncpg.connection import LoggedQuery

from bench.checkout_goods import LINES, cart_of, fill_carts, make_goods
from bench.checkout_service import ServiceRun, buy
from bench.pgbench import run_pgbench
from bench.pgbench_script import Made, Recording, Script, Statement, write_script
from bench.report import Figure
from bench.samples import line_of, line_of_results
from bench.stage import open_servers
from feira.app import Ground, open_ground
from feira.platform.runtime.config import Config
from feira.sql.loader import Connection

RATIO_GOAL: Final = 0.5
# A cart has two shops: two orders, each with a topic; and a topic for each of its three products.
_ROWS_PER_CHECKOUT: Final = {
    "groups": 1,
    "orders": 2,
    "lines": LINES,
    "payments": 1,
    "reservations": LINES,
    "reserved": LINES,
    "jobs": 0,
    "events": 2 + LINES,
    "seqs": 2 + LINES,
    "cart_lines": -LINES,
}
_COUNTED: Final = """
SELECT
    (SELECT count(*) FROM order_groups) AS groups,
    (SELECT count(*) FROM orders) AS orders,
    (SELECT count(*) FROM order_lines) AS lines,
    (SELECT count(*) FROM payments) AS payments,
    (SELECT count(*) FROM reservations) AS reservations,
    (SELECT coalesce(sum(reserved), 0)::bigint FROM stock) AS reserved,
    (SELECT count(*) FROM jobs) AS jobs,
    (SELECT count(*) FROM topic_events) AS events,
    (SELECT coalesce(sum(seq), 0)::bigint FROM topics) AS seqs,
    (SELECT count(*) FROM cart_lines) AS cart_lines
"""


class CheckoutSizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured. `buyers` are as many carts as the faster side can empty in the longest run."""

    connections: int = 8
    buyers: int = 40_000
    warm_up_s: float = 3
    durations_s: tuple[float, ...] = (5, 10, 20)
    pairs: int = 2


SMALL: Final = CheckoutSizes(connections=2, buyers=4_000, warm_up_s=0.2, durations_s=(1,), pairs=1)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Checkouts a second, and milliseconds each, of two neighbouring runs."""

    duration_s: float
    service_per_second: float
    service_ms: list[float]
    pgbench_per_second: float
    pgbench_ms: list[float]

    @property
    def ratio(self) -> float:
        return self.service_per_second / self.pgbench_per_second


async def measure(sizes: CheckoutSizes) -> Figure:
    """Start stores and measure on them."""
    async with open_servers() as config:
        return await measure_on(config, sizes)


async def measure_on(config: Config, sizes: CheckoutSizes) -> Figure:
    """Measure on a migrated database of nobody else's."""
    con = await asyncpg.connect(config.postgres_dsn)
    try:
        await make_goods(con, sizes.buyers)
        await fill_carts(con, sizes.buyers)
        script = write_script(await record(config))
        async with open_ground(_with_pool(config, sizes.connections)) as ground:
            sides = _Sides(ground, con, script, sizes)
            pairs = [
                await sides.pair(duration_s, service_first=number % 2 == 0)
                for duration_s in (sizes.warm_up_s, *sizes.durations_s)
                for number in range(sizes.pairs)
            ]
    finally:
        await con.close()
    # Uncounted: the first ones make plans and fill caches.
    return _figure(pairs[sizes.pairs :], script, sizes)


async def record(config: Config) -> Recording:
    """Check a cart out on a pool of one connection with asyncpg's query logger listening."""
    sent: list[Statement] = []

    def listen(logged: LoggedQuery) -> None:
        sent.append(Statement(query=logged.query, arguments=tuple(logged.args or ())))

    async with open_ground(_with_pool(config, 1)) as ground:
        database = ground.market.database
        # The first one makes asyncpg ask about types, which is no part of a checkout.
        await buy(database, config, 0)
        async with database.connection() as con:
            con.add_query_logger(listen)
        checked_out = await buy(database, config, 1)
        statements = list(sent)
        async with database.connection() as con:
            group = checked_out.group_id
            now = await con.fetchval("SELECT created_at FROM order_groups WHERE id = $1", group)
            orders = await con.fetch(
                "SELECT id FROM orders WHERE group_id = $1 ORDER BY number", group
            )
            rules = await con.fetch("SELECT id FROM commission_rules")
    made = [
        Made(
            marker="INSERT INTO order_groups",
            prefix="",
            columns={"group_id": group, "order_ids": [order["id"] for order in orders]},
        ),
        Made(
            marker="INSERT INTO payments",
            prefix="payment_",
            columns={"id": checked_out.payment_id},
        ),
    ]
    return Recording(
        statements=statements,
        cart=cart_of(1),
        made=made,
        shared=frozenset(rule["id"] for rule in rules),
        now=now,
    )


class _Sides:
    """Both sides, on the same data."""

    def __init__(
        self, ground: Ground, con: Connection, script: Script, sizes: CheckoutSizes
    ) -> None:
        self._ground = ground
        self._con = con
        self._script = script
        self._sizes = sizes
        self._random = random.Random(17)

    async def pair(self, duration_s: float, *, service_first: bool) -> Pair:
        if service_first:
            service = await self._service(duration_s)
            pgbench = await self._pgbench(duration_s)
        else:
            pgbench = await self._pgbench(duration_s)
            service = await self._service(duration_s)
        return Pair(
            duration_s=duration_s,
            service_per_second=service[0],
            service_ms=service[1],
            pgbench_per_second=pgbench[0],
            pgbench_ms=pgbench[1],
        )

    async def _service(self, duration_s: float) -> tuple[float, list[float]]:
        before = await self._refilled()
        numbers = random_order(self._sizes.buyers, self._random)
        run = ServiceRun(self._ground.market.database, self._ground.market.config, iter(numbers))
        rate = await run.per_second(self._sizes.connections, duration_s)
        await self._require_whole(before, len(run.took_ms), "the service")
        return rate, run.took_ms

    async def _pgbench(self, duration_s: float) -> tuple[float, list[float]]:
        before = await self._refilled()
        result = await run_pgbench(
            self._ground.market.config.postgres_dsn,
            self._script,
            {
                "clients": self._sizes.connections,
                "buyers": self._sizes.buyers,
                "seed": self._random.randrange(1, 2**31),
            },
            connections=self._sizes.connections,
            duration_s=duration_s,
        )
        await self._require_whole(before, result.transactions, "pgbench")
        return result.per_second, result.took_ms

    async def _refilled(self) -> dict[str, int]:
        await fill_carts(self._con, self._sizes.buyers)
        return await self._counts()

    async def _counts(self) -> dict[str, int]:
        record = await self._con.fetchrow(_COUNTED)
        assert record is not None, "counting gives a row"
        return dict(record)

    async def _require_whole(self, before: dict[str, int], bought: int, who: str) -> None:
        """Every checkout left all its rows, and nothing else left any."""
        after = await self._counts()
        grown = {name: after[name] - before[name] for name in after}
        expected = {name: rows * bought for name, rows in _ROWS_PER_CHECKOUT.items()}
        if grown != expected:
            raise RuntimeError(f"{who} made {bought} checkouts: expected {expected}, got {grown}")


def random_order(count: int, source: random.Random) -> list[int]:
    """Every number once."""
    numbers = list(range(count))
    source.shuffle(numbers)
    return numbers


def _with_pool(config: Config, connections: int) -> Config:
    return msgspec.structs.replace(
        config, postgres_pool_min=connections, postgres_pool_max=connections
    )


def _figure(pairs: list[Pair], script: Script, sizes: CheckoutSizes) -> Figure:
    ratios = [pair.ratio for pair in pairs]
    ratio = statistics.median(ratios)
    durations = ", ".join(f"{duration_s:g}" for duration_s in sizes.durations_s)
    return Figure(
        name="checkout",
        what="Full checkouts through the service layer of one process, against pgbench with the same SQL.",
        goal=f"at least {RATIO_GOAL:g} times pgbench's rate",
        reached=f"{ratio:.2f} times pgbench's rate",
        is_met=ratio >= RATIO_GOAL,
        lines=[
            line_of_results(
                "service, checkouts", "1/s", [pair.service_per_second for pair in pairs]
            ),
            line_of_results(
                "pgbench, checkouts", "1/s", [pair.pgbench_per_second for pair in pairs]
            ),
            line_of_results("ratio of the rates", "x", ratios),
            line_of("service, one checkout", "ms", [pair.service_ms for pair in pairs]),
            line_of("pgbench, one checkout", "ms", [pair.pgbench_ms for pair in pairs]),
        ],
        remarks=[
            f"{sizes.connections} connections on each side, of one process each",
            f"{LINES} lines of two shops and {script.statements} statements a checkout",
            f"runs of {durations} s, {sizes.pairs} pairs each, {sizes.buyers:,} carts",
        ],
    )
