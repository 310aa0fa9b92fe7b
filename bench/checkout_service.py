"""The service's side of the checkout figure: buyers check out through the service layer, on N connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from bench.checkout_goods import BUYERS_FROM, LINES, PRICE_MINOR, QUANTITY, bench_id
from feira.platform.domain.ids import AddressId, SessionId, UserId
from feira.platform.domain.permissions import Principal, Role
from feira.platform.runtime.config import Config
from feira.services.orders.checkout import CheckedOut, CheckOut, check_out
from feira.sql.database import Database, Tx

_ROLES: Final[frozenset[Role]] = frozenset({"anyone", "user", "verified"})


async def buy(database: Database, config: Config, number: int) -> CheckedOut:
    """Check out the cart of one number: what `POST /v1/checkout` runs inside its transaction."""
    buyer = bench_id(BUYERS_FROM + number)
    wanted = CheckOut(
        address_id=AddressId(buyer), expected_total_minor=LINES * QUANTITY * PRICE_MINOR
    )
    principal = buyer_of(number)

    async def work(tx: Tx) -> CheckedOut:
        return await check_out(tx, config, principal, wanted)

    return await database.transact(work)


def buyer_of(number: int) -> Principal:
    """Whose the cart of one number is."""
    return Principal(
        user_id=UserId(bench_id(BUYERS_FROM + number)),
        session_id=SessionId(UUID(int=0)),
        display_name="Bench",
        roles=_ROLES,
    )


class ServiceRun:
    """Buyers who come one after the other on each of N connections, for a while."""

    def __init__(self, database: Database, config: Config, numbers: Iterator[int]) -> None:
        self._database = database
        self._config = config
        self._numbers = numbers
        self.took_ms: list[float] = []

    async def per_second(self, connections: int, duration_s: float) -> float:
        """Run and return checkouts a second; `took_ms` has how long each took."""
        began = time.perf_counter()
        ends = began + duration_s
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._buy_until(ends), name="buyers")
        return len(self.took_ms) / (time.perf_counter() - began)

    async def _buy_until(self, ends: float) -> None:
        while (began := time.perf_counter()) < ends:
            number = next(self._numbers, None)
            if number is None:
                raise RuntimeError("every cart is empty: this machine needs more buyers")
            await buy(self._database, self._config, number)
            self.took_ms.append((time.perf_counter() - began) * 1000)
