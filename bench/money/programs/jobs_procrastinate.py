"""procrastinate, which keeps its jobs in PostgreSQL too: python jobs_procrastinate.py worker|fill|ping N DSN REDIS_URL."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

import asyncpg
from procrastinate import App, PsycopgConnector

JOBS_AT_ONCE = 8
JOBS_PER_STATEMENT = 500

what, count, dsn = sys.argv[1], int(sys.argv[2]), sys.argv[3]
app = App(connector=PsycopgConnector(conninfo=dsn, min_size=2, max_size=JOBS_AT_ONCE + 2))
state: dict[str, asyncpg.Pool] = {}


@app.task(name="work")
async def work(number: int) -> None:
    await state["pool"].execute("INSERT INTO bench_done (number) VALUES ($1)", number)


async def main() -> None:
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        if what == "worker":
            state["pool"] = await asyncpg.create_pool(
                dsn, min_size=JOBS_AT_ONCE, max_size=JOBS_AT_ONCE
            )
            await app.run_worker_async(concurrency=JOBS_AT_ONCE)
        elif what == "fill":
            for first in range(0, count, JOBS_PER_STATEMENT):
                numbers = range(first, min(first + JOBS_PER_STATEMENT, count))
                await work.batch_defer_async(*({"number": number} for number in numbers))
        else:
            began: dict[int, float] = {}
            for number in range(count):
                await asyncio.sleep(random.uniform(0.1, 0.2))
                began[number] = time.time()
                await work.defer_async(number=number)
            await asyncio.sleep(1)
            print(json.dumps(began))


asyncio.run(main())
