"""A connection that a task keeps: it outlives what happens to it, and does not stand in anybody's way."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from feira.platform.domain.errors import Conflict, Unavailable
from feira.platform.runtime.config import Config
from feira.sql.database import open_pool
from feira.sql.kept_connection import KeptConnection
from feira.sql.pulse import Pulse, asking


async def test_a_kept_connection_is_the_same_until_it_breaks_and_is_then_lent_anew(
    config: Config,
) -> None:
    pool = await open_pool(config.postgres_dsn, size_min=0, size_max=1)
    pulse = Pulse(asking(config.postgres_dsn))
    kept = KeptConnection(pool, pulse, within_s=2)
    served: list[int] = []
    for _ in range(2):
        async with kept as con:
            served.append(await con.fetchval("SELECT pg_backend_pid()"))
    assert served[0] == served[1]
    owner = await asyncpg.connect(config.postgres_dsn)
    ended = owner.execute("SELECT pg_terminate_backend($1)", served[0])
    with pytest.raises(Unavailable):
        async with kept as con:
            await asyncio.gather(con.execute("SELECT pg_sleep(10)"), ended)
    await owner.close()
    async with kept as con:
        served.append(await con.fetchval("SELECT pg_backend_pid()"))
    assert served[2] != served[0]
    with pytest.raises(Unavailable):
        # There is no other one.
        async with KeptConnection(pool, pulse, within_s=0.1):
            pass
    await kept.give_back()
    async with pool.acquire(timeout=2) as con:
        assert await con.fetchval("SELECT 1") == 1
    await pulse.close()
    await pool.close()


async def test_a_mistake_on_a_kept_connection_is_told_and_leaves_it_usable(config: Config) -> None:
    pool = await open_pool(config.postgres_dsn, size_min=0, size_max=2)
    pulse = Pulse(asking(config.postgres_dsn))
    kept = KeptConnection(pool, pulse, within_s=2)
    with pytest.raises(ZeroDivisionError):
        async with kept:
            _ = 1 // 0
    async with kept as con:
        await con.execute("SET lock_timeout = '50ms'")
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(7)")
        with pytest.raises(Conflict) as caught:
            async with kept as con:
                await con.execute("SELECT pg_advisory_lock(7)")
    assert caught.value.code == "database.busy"
    async with kept as con:
        assert await con.fetchval("SELECT 1") == 1
    await kept.give_back()
    await pulse.close()
    await pool.close()
