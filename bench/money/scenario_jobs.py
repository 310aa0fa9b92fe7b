"""Jobs end to end: how many a second one worker gets through, and how soon a lone one is done.

Each side is a program with the same three roles, run as processes of their own: `fill` adds N jobs; `worker` starts
then and carries them out, eight at once; `ping` adds one at a time to an idle worker. A job inserts one row with the
database's clock: in the job's own commit at Feira, in a statement of its own at the others, who may therefore lose
or double it. The rate is counted between the first and the last row; the time is from before the adding call to the
row. Handing over is measured alone: `Relay.relay_once` on a filled table, the queue emptied between.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from bench.live.kit import Unobtainable, run
from bench.live.report import Comparison, spread
from bench.money.bench import Bench, make_database
from bench.report import number
from bench.samples import percentile
from feira.app import open_ground
from feira.commands.child import foreign_environment
from feira.commands.up_config import child_environment
from feira.jobs.queue import close_queue, open_queue
from feira.jobs.relay import Relay

PING_GOAL_MS: Final = 100
JOBS_GOAL: Final = 400
RELAY_GOAL: Final = 1_000
PROGRAMS: Final = Path(__file__).parent / "programs"
DRAIN_TIMEOUT_S: Final = 300.0


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    jobs: int = 5_000
    pings: int = 100
    repetitions: int = 3


SMALL: Final = Sizes(jobs=60, pings=2, repetitions=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """A job queue: its command line up to the role, and where its rows are."""

    name: str
    argv: tuple[str | Path, ...]
    environment: Mapping[str, str]
    dsn: str
    stores: tuple[str, ...] = ()
    """What the program is told after role and number."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    jobs_per_s: list[float]
    ping_ms: list[float]


async def measure(bench: Bench) -> Comparison:
    """Measure every side in turn, repetition by repetition."""
    sizes = SMALL if bench.is_quick else Sizes()
    sides = await sides_of(bench)
    samples = {side.name: Sample(jobs_per_s=[], ping_ms=[]) for side in sides}
    for _ in range(sizes.repetitions):
        for side in sides:
            await measure_side(side, sizes, samples[side.name])
    relayed = [await measure_relay(bench, sizes) for _ in range(sizes.repetitions)]
    ours = samples["feira"]
    p50_ms = statistics.median(ours.ping_ms)
    rate = statistics.median(ours.jobs_per_s)
    relay = statistics.median(relayed)
    return Comparison(
        name="jobs",
        what=" ".join((__doc__ or "").split()),
        rows=[
            ["queue", "jobs/s of one worker", "added to done, p50 ms", "p99 ms"],
            *(_row(name, sample) for name, sample in samples.items()),
            ["feira, relay alone", spread(relayed), "", ""],
        ],
        remarks=[
            _verdict(
                "added to done, p50", p50_ms < PING_GOAL_MS, f"{number(p50_ms)} ms", "< 100 ms"
            ),
            _verdict("one worker", rate >= JOBS_GOAL, f"{number(rate)} jobs/s", ">= 400/s"),
            _verdict("relay", relay >= RELAY_GOAL, f"{number(relay)} jobs/s", ">= 1,000/s"),
            f"{sizes.jobs:,} jobs and {sizes.pings} lone ones a repetition, {sizes.repetitions} repetitions",
        ],
    )


async def sides_of(bench: Bench) -> list[Side]:
    """Feira, and the peers that can be had here."""
    stores = bench.stores
    await _make_table(stores.postgres_dsn)
    environment = foreign_environment() | child_environment(stores)
    argv = (sys.executable, "-m", "bench.money.programs.jobs_feira")
    sides = [
        Side(name="feira", argv=argv, environment=environment, dsn=stores.postgres_dsn),
    ]
    if not bench.with_peers:
        return sides
    needs = ("procrastinate>=3,<4", "psycopg[binary,pool]", "asyncpg")
    for name, requirements in (("arq", None), ("procrastinate", needs)):
        try:
            python: str | Path = sys.executable
            if requirements is not None:
                python = await bench.kit.python_with(name, requirements)
        except Unobtainable as error:
            bench.versions.append(f"{name}: not measured, {error}")
            continue
        script = f"import importlib.metadata as m; print(m.version({name!r}))"
        bench.versions.append(f"{name} {(await run(python, '-c', script)).strip()}")
        dsn = await make_database(stores.postgres_dsn, f"bench_{name}")
        await _make_table(dsn)
        sides.append(
            Side(
                name=name,
                argv=(python, PROGRAMS / f"jobs_{name}.py"),
                environment=foreign_environment(),
                dsn=dsn,
                stores=(dsn, stores.redis_url),
            )
        )
    return sides


async def measure_side(side: Side, sizes: Sizes, into: Sample) -> None:
    """Fill, drain, ping."""
    con = await asyncpg.connect(side.dsn)
    try:
        await con.execute("TRUNCATE bench_done")
        await _run(side, "fill", sizes.jobs)
        async with _worker(side):
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                counting = "SELECT count(*) FROM bench_done"
                while await con.fetchval(counting) < sizes.jobs:  # noqa: ASYNC110 - it's polled
                    await asyncio.sleep(0.2)
            took_s: float = await con.fetchval(
                "SELECT extract(epoch FROM max(at) - min(at))::float8 FROM bench_done"
            )
            into.jobs_per_s.append((sizes.jobs - 1) / took_s)
            await con.execute("TRUNCATE bench_done")
            began = msgspec.json.decode(
                await _run(side, "ping", sizes.pings), type=dict[int, float]
            )
        done = await con.fetch(
            "SELECT number, extract(epoch FROM at)::float8 AS at FROM bench_done"
        )
        if len(done) != len(began):
            raise RuntimeError(f"{side.name}: {len(done)} of {len(began)} lone jobs were done")
        into.ping_ms.extend(1_000 * (row["at"] - began[row["number"]]) for row in done)
    finally:
        await con.close()


async def measure_relay(bench: Bench, sizes: Sizes) -> float:
    """Jobs a second that one relay hands over, from rows to Redis."""
    async with open_ground(bench.stores) as ground:
        async with ground.market.database.connection() as con:
            await con.execute(
                "INSERT INTO jobs (kind, args) SELECT 'bench.work', '{}' FROM generate_series(1, $1::int)",
                sizes.jobs,
            )
        relay = Relay(ground.market, ground.doorbell)
        queue = open_queue(bench.stores)
        took_s, count = 0.0, 0
        while True:
            started = time.perf_counter()
            handed = await relay.relay_once(queue)
            if not handed:
                break
            took_s += time.perf_counter() - started
            count += handed
            await queue.delete(queue.default_queue_name)
        await close_queue(queue)
        async with ground.market.database.connection() as con:
            await con.execute("DELETE FROM jobs WHERE kind = 'bench.work'")
    if count != sizes.jobs:
        raise RuntimeError(f"the relay handed over {count} of {sizes.jobs} jobs")
    return count / took_s


async def _run(side: Side, role: str, count: int) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *side.argv,
        role,
        str(count),
        *side.stores,
        env=dict(side.environment),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{side.name} {role} ended with exit code {process.returncode}")
    return output


@asynccontextmanager
async def _worker(side: Side) -> AsyncGenerator[None]:
    process = await asyncio.create_subprocess_exec(
        *side.argv, "worker", "0", *side.stores, env=dict(side.environment)
    )
    try:
        yield
        if process.returncode is not None:
            raise RuntimeError(f"{side.name}'s worker ended by itself")
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(20):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _make_table(dsn: str) -> None:
    con = await asyncpg.connect(dsn)
    try:
        await con.execute(
            "CREATE TABLE IF NOT EXISTS bench_done"
            " (number int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
    finally:
        await con.close()


def _row(name: str, sample: Sample) -> list[str]:
    return [
        name,
        spread(sample.jobs_per_s),
        number(statistics.median(sample.ping_ms)),
        number(percentile(sample.ping_ms, 0.99)),
    ]


def _verdict(what: str, is_met: bool, reached: str, goal: str) -> str:  # noqa: FBT001
    return f"{what}: {reached} (goal: {goal}; {'met' if is_met else 'missed'})"
