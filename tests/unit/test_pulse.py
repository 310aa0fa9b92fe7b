"""When Postgres counts as silent, and what is cut then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import pytest

from feira.sql.pulse import Pulse


class Postgres:
    """Answers as told: True, never (None), or with an error."""

    def __init__(self) -> None:
        self.says: bool | Exception | None = True
        self.asked = 0

    async def ask(self) -> None:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        if self.says is None:
            await asyncio.Event().wait()


class Lease:
    def __init__(self) -> None:
        self.cut = False

    def terminate(self) -> None:
        self.cut = True


@pytest.fixture
def postgres() -> Postgres:
    return Postgres()


@pytest.fixture
async def pulse(postgres: Postgres) -> AsyncIterator[Pulse]:
    pulse = Pulse(postgres.ask)
    yield pulse
    await pulse.close()


async def held(pulse: Pulse, lease: Lease, *, for_s: float) -> None:
    pulse.watch(cast("Any", lease))
    await asyncio.sleep(for_s)
    pulse.unwatch(cast("Any", lease))


async def test_short_leases_ask_nothing(pulse: Pulse, postgres: Postgres) -> None:
    postgres.says = None
    for _ in range(10):
        await held(pulse, Lease(), for_s=0.05)
    assert (postgres.asked, pulse.is_away) == (0, False)


async def test_a_slow_lease_is_left_alone_while_postgres_answers_beside_it(
    pulse: Pulse, postgres: Postgres
) -> None:
    lease = Lease()
    await held(pulse, lease, for_s=1.2)
    assert postgres.asked > 0
    assert not lease.cut


@pytest.mark.parametrize("error", [asyncpg.TooManyConnectionsError("full"), None])
async def test_an_error_is_an_answer_and_silence_is_none(
    pulse: Pulse, postgres: Postgres, error: Exception | None
) -> None:
    postgres.says = error
    lease = Lease()
    await held(pulse, lease, for_s=3.2)
    assert lease.cut == pulse.is_away == (error is None)


async def test_silence_cuts_what_is_open_and_ends_with_the_first_answer(
    pulse: Pulse, postgres: Postgres
) -> None:
    postgres.says = OSError("unreachable")
    leases = [Lease(), Lease()]
    await asyncio.gather(*(held(pulse, lease, for_s=1.2) for lease in leases))
    assert pulse.is_away
    assert all(lease.cut for lease in leases)
    postgres.says = True
    async with asyncio.timeout(2):
        while pulse.is_away:
            await asyncio.sleep(0.01)
