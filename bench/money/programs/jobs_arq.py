"""Plain arq with the settings that Feira gives it: python jobs_arq.py worker|fill|ping N DSN REDIS_URL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from typing import Any

import asyncpg
import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

QUEUE = "bench:plain-arq"
JOBS_AT_ONCE = 8


async def work(ctx: dict[str, Any], number: int) -> None:
    await ctx["pool"].execute("INSERT INTO bench_done (number) VALUES ($1)", number)


async def main(what: str, count: int, dsn: str, redis_url: str) -> None:
    settings = RedisSettings.from_dsn(redis_url)
    if what == "worker":
        pool = await asyncpg.create_pool(dsn, min_size=JOBS_AT_ONCE, max_size=JOBS_AT_ONCE)
        worker = Worker(
            [func(work, name="work")],
            queue_name=QUEUE,
            redis_settings=settings,
            ctx={"pool": pool},
            max_jobs=JOBS_AT_ONCE,
            keep_result=0,
            poll_delay=0.05,
        )
        with contextlib.suppress(asyncio.CancelledError):
            # As arq's own command does: it ends by a cancellation at SIGTERM.
            await worker.async_run()
        await worker.close()
        return
    redis = await create_pool(settings, default_queue_name=QUEUE)
    began: dict[int, float] = {}
    for number in range(count):
        if what == "ping":
            await asyncio.sleep(random.uniform(0.1, 0.2))
        began[number] = time.time()
        await redis.enqueue_job("work", number)
    if what == "ping":
        await asyncio.sleep(1)
        print(json.dumps(began))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
