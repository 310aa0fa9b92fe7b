"""Keeps the worker's loops going: each falls alone, and is picked up again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from feira.jobs.metrics import LOOP_FAILURES
from feira.jobs.queue import REDIS_AWAY
from feira.platform.domain.errors import Conflict, Unavailable

PAUSE_MIN_S: Final = 0.1
PAUSE_MAX_S: Final = 5.0
# A loop that stood this long fell over something new.
STOOD_S: Final = 10.0
# Somebody else's outage: worth a line, not a traceback.
_OUTAGES: Final = (Unavailable, Conflict, *REDIS_AWAY)

log = structlog.get_logger(__name__)


async def keep_running(
    name: str, body: Callable[[asyncio.Event], Awaitable[None]], stop: asyncio.Event
) -> None:
    """Run `body(stop)` until `stop` is set, again after every fall, with growing pauses."""
    pause_s = PAUSE_MIN_S
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        started = loop.time()
        try:
            await body(stop)
        except _OUTAGES as error:
            LOOP_FAILURES.labels(name).inc()
            log.warning("job_loop_waits", loop=name, error=f"{type(error).__name__}: {error}")
        except Exception:
            LOOP_FAILURES.labels(name).inc()
            log.exception("job_loop_fell", loop=name)
        if loop.time() - started > STOOD_S:
            pause_s = PAUSE_MIN_S
        await pause(stop, pause_s)
        pause_s = min(pause_s * 2, PAUSE_MAX_S)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, unless or until the process stops."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await stop.wait()
    except TimeoutError:
        return
