"""Light load: how much later than a bare commit is the answer that says "committed"?

By turns, at the same slow pace: messages over sockets by the load client, and single-row INSERTs in autocommit by a
prepared statement of asyncpg, against the same PostgreSQL.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final
from uuid import uuid4

import asyncpg

from bench.live.bench import Bench, open_peer
from bench.live.cores import CLIENT_CORES, children_on, described
from bench.live.load.client import Result, Run
from bench.live.peers.peer import Rooms
from bench.live.report import Comparison, spread
from bench.samples import percentile

_PER_S: Final = 50.0
_MEMBERS: Final = 2
_CREATE: Final = """
CREATE TABLE IF NOT EXISTS bench_commits (id uuid PRIMARY KEY, body text NOT NULL, at timestamptz NOT NULL DEFAULT now())
"""
_INSERT: Final = "INSERT INTO bench_commits (id, body) VALUES ($1::uuid, $2::text)"
_TEXT: Final = "Is this still available? I could come by on Saturday morning and pick it up myself."


async def measure(bench: Bench) -> Comparison:
    """Measure the peers that keep messages."""
    sizes = bench.sizes
    head = ["server", "ack p50 ms", "ack p99", "bare commit p50", "p99", "times a commit"]
    rows = [head]
    for peer in bench.peers:
        if not peer.keeps:
            continue
        with bench.tolerating(peer.name):
            rooms = Rooms(count=sizes.connections // _MEMBERS, members=_MEMBERS)
            async with open_peer(bench, peer, rooms) as (_, load):
                run = Run(messages_per_s=_PER_S, warm_up_s=sizes.warm_up_s, seconds=sizes.seconds)
                results: list[Result] = []
                commits: list[list[float]] = []
                for _ in range(sizes.repetitions):
                    results.append(await load.run(run))
                    commits.append(await _commits(bench.stores.postgres_dsn, sizes.seconds))
            bare = [statistics.median(samples) for samples in commits]
            rows.append(
                [
                    peer.name,
                    spread([result.ack.p50_ms for result in results]),
                    spread([result.ack.p99_ms for result in results]),
                    spread(bare),
                    spread([percentile(samples, 0.99) for samples in commits]),
                    spread(
                        [
                            result.ack.p50_ms / commit
                            for result, commit in zip(results, bare, strict=True)
                        ]
                    ),
                ]
            )
    return Comparison(
        name="light",
        what=f"{_PER_S:g} messages a second: sent to acknowledged, against a bare INSERT at the same pace.",
        rows=rows,
        remarks=[described(), f"median (min - max) of {sizes.repetitions} runs by turns"],
    )


async def _commits(dsn: str, seconds: float) -> list[float]:
    with children_on(CLIENT_CORES):
        con = await asyncpg.connect(dsn)
        try:
            await con.execute(_CREATE)
            statement = await con.prepare(_INSERT)
            took: list[float] = []
            for turn in range(max(2, round(seconds * _PER_S))):
                began = time.perf_counter()
                await statement.fetch(uuid4(), _TEXT)
                took.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(max(0.0, 1 / _PER_S - took[-1] / 1000))
                del turn
            return took
        finally:
            await con.close()
