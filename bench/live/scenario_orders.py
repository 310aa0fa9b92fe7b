"""An order moves: how long from the commit, by another process, until its customer's screen is told?

Two thousand customers each watch an order of theirs. This process moves the orders one by one, as a worker would: a
transaction of the order service on a connection of its own, its events over Valkey to the server. The clock starts
when the commit is answered here, and ends when the load client has the event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

import asyncpg
import msgspec

from bench.checkout_goods import BUYERS_FROM, bench_id, fill_carts, make_goods
from bench.checkout_service import buy, buyer_of
from bench.live.bench import Bench
from bench.live.cores import SERVER_CORES, children_on, described
from bench.live.load.client import LoadClient, Noticed, Seat, open_client
from bench.live.peers.feira import on_port
from bench.live.report import Comparison, spread
from bench.samples import percentile
from bench.stage import free_port, run_server
from feira.app import Ground, open_ground
from feira.platform.domain.ids import OrderId
from feira.platform.domain.order_commands import Cancel
from feira.platform.domain.topics import order_topic
from feira.services.orders.orders import execute
from feira.services.users.sessions import open_session
from feira.sql.database import Tx
from feira.ws.server import SOCKET_PATH

PEERS = ("Feira",)
_ORDERS_PER_CART: Final = 2
_PER_S: Final = 50.0
_TOLD_WITHIN_S: Final = 10.0
_BUYERS_PER_TRANSACTION: Final = 100
_ORDERS: Final = "SELECT id, buyer_id FROM orders WHERE buyer_id = ANY ($1::uuid[])"


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with an order on the screen."""

    number: int
    order: OrderId
    token: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Shop:
    """A running market with customers who look at their orders."""

    ground: Ground
    load: LoadClient
    customers: list[Customer]


async def measure(bench: Bench) -> Comparison:
    """Move orders by the clock and see when their customers know."""
    sizes = bench.sizes
    dashboards = sizes.connections * 2
    rows = [["server", "dashboards", "commit to client p50 ms", "p99", "orders moved"]]
    if bench.peers_named(PEERS):
        async with _open_shop(bench, dashboards) as shop:
            waiting = iter(shop.customers)
            runs: list[list[float]] = []
            for _ in range(sizes.repetitions):
                count = min(round(sizes.seconds * _PER_S), dashboards // sizes.repetitions)
                runs.append(await _move(shop, [next(waiting) for _ in range(count)]))
        rows.append(
            [
                "Feira",
                f"{dashboards:,}",
                spread([percentile(run, 0.5) for run in runs]),
                spread([percentile(run, 0.99) for run in runs]),
                f"{sum(len(run) for run in runs):,}",
            ]
        )
    return Comparison(
        name="orders",
        what=f"{dashboards:,} customers watch their orders; {_PER_S:g} orders a second move.",
        rows=rows,
        remarks=[
            described(),
            "moved by another process than the one that serves the sockets; from the commit's answer there",
            f"median (min - max) of {sizes.repetitions} runs",
        ],
    )


@asynccontextmanager
async def _open_shop(bench: Bench, dashboards: int) -> AsyncGenerator[Shop]:
    config = on_port(bench.stores, free_port())
    async with AsyncExitStack() as stack:
        with children_on(SERVER_CORES):
            await stack.enter_async_context(run_server(config))
        ground = await stack.enter_async_context(open_ground(config))
        customers = await _make_customers(ground, dashboards)
        seats = [
            Seat(
                port=config.port,
                room=place,
                path=SOCKET_PATH,
                credential=customer.token,
                topic=str(order_topic(customer.order)),
            )
            for place, customer in enumerate(customers)
        ]
        client = open_client(bench.load_client, "feira", seats, bench.folder)
        load = await stack.enter_async_context(client)
        yield Shop(ground=ground, load=load, customers=customers)


async def _make_customers(ground: Ground, count: int) -> list[Customer]:
    market, carts = ground.market, -(-count // _ORDERS_PER_CART)
    # As the owner: a node may not create what these need.
    owner = await asyncpg.connect(market.config.postgres_dsn)
    try:
        await make_goods(owner, carts)
        await fill_carts(owner, carts)
    finally:
        await owner.close()
    tokens: list[str] = []
    while len(tokens) < carts:
        numbers = range(len(tokens), min(len(tokens) + _BUYERS_PER_TRANSACTION, carts))
        tokens += await market.database.transact(lambda tx, n=numbers: _sign_in(ground, tx, n))
    for number in range(carts):
        await buy(market.database, market.config, number)
    numbers_of = {bench_id(BUYERS_FROM + number): number for number in range(carts)}
    async with market.database.connection() as con:
        records = await con.fetch(_ORDERS, list(numbers_of))
    return [
        Customer(number=number, order=OrderId(record["id"]), token=tokens[number])
        for record in records[:count]
        for number in (numbers_of[record["buyer_id"]],)
    ]


async def _sign_in(ground: Ground, tx: Tx, numbers: range) -> list[str]:
    tokens: list[str] = []
    for number in numbers:
        user = buyer_of(number).user_id
        session = await open_session(tx, user, user_agent="bench", address=None)
        tokens.append(ground.market.tokens.issue(user, session.session_id, tx.now)[0])
    return tokens


async def _move(shop: Shop, customers: list[Customer]) -> list[float]:
    """Move these orders and return how many milliseconds after each commit its customer knew."""
    committed_ns: dict[UUID, int] = {}
    due = time.monotonic()
    for customer in customers:
        await shop.ground.market.database.transact(lambda tx, c=customer: _cancel(tx, c))
        committed_ns[customer.order] = time.monotonic_ns()
        due += 1 / _PER_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    heard = [await shop.load.hear(Noticed, within_s=_TOLD_WITHIN_S) for _ in customers]
    # A turn of this loop may pass between the commit's answer and the reading of the clock.
    return [max(0, notice.at_ns - committed_ns[notice.id]) / 1e6 for notice in heard]


async def _cancel(tx: Tx, customer: Customer) -> None:
    principal = buyer_of(customer.number)
    command = Cancel(reason="Changed my mind.")
    await execute(tx, principal, customer.order, command, idempotency_key=str(uuid4()))
