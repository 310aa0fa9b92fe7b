"""What the bus costs a node: publishing, receiving and subscribing, each beside redis-py doing the same.

Every repetition does all of it in turn against one Valkey, and counts this process's CPU time, not the clock's: the
server and whatever else runs on the machine stay out of it. What is received is published by a script inside the
server, so that the receiver is all that works here. The figure is how many times less CPU a published and a received
message cost than redis-py's pipeline and pub/sub; the smaller of the two counts.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec
from redis.asyncio import Redis

from bench.report import Figure
from bench.samples import Line, line_of_results
from feira.platform.runtime.bus import Bus
from feira.platform.runtime.embedded.folder import DataFolder
from feira.platform.runtime.embedded.ports import PortBook
from feira.platform.runtime.embedded.valkey import ValkeyServer

RATIO_GOAL: Final = 2.0
PAYLOAD: Final = b"x" * 300
PIPELINE: Final = 512
INSTALLATION: Final = "bench"
# As the bus names its channels: the script publishes on them.
PREFIX: Final = f"{INSTALLATION}:topic:"
_WITHIN_S: Final = 120.0
_SAY: Final = "for n = 1, ARGV[1] do redis.call('PUBLISH', ARGV[2] .. n % ARGV[3], ARGV[4]) end"


class BusSizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    repetitions: int = 5
    messages: int = 60_000
    topics: int = 5_000


SMALL: Final = BusSizes(repetitions=2, messages=500, topics=50)


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """One repetition: microseconds of CPU for each message or topic."""

    publish: float
    publish_pipelined: float
    publish_awaited: float
    receive: float
    receive_pubsub: float
    subscribe: float
    subscribe_pubsub: float


async def measure(sizes: BusSizes) -> Figure:
    """Open a Valkey and measure on it."""
    with tempfile.TemporaryDirectory(prefix="feira-bench-") as folder:
        data = DataFolder(Path(folder))
        valkey = ValkeyServer(data, PortBook(Path(folder) / "ports.json"))
        await valkey.start()
        try:
            return await measure_on(valkey.url, sizes)
        finally:
            await valkey.stop()


async def measure_on(redis_url: str, sizes: BusSizes) -> Figure:
    costs = [await _repeat(redis_url, sizes) for _ in range(sizes.repetitions)]
    publishing = line_of_results(
        "publish: redis-py / bus", "x", [cost.publish_pipelined / cost.publish for cost in costs]
    )
    receiving = line_of_results(
        "receive: redis-py / bus", "x", [cost.receive_pubsub / cost.receive for cost in costs]
    )
    reached = min(publishing.median, receiving.median)
    return Figure(
        name="bus",
        what="CPU time of a node for the bus, against redis-py's pipeline and pub/sub on the same Valkey.",
        goal=f"at least {RATIO_GOAL:g} times cheaper, both ways",
        reached=f"{publishing.median:.1f} times cheaper to publish, {receiving.median:.1f} to receive",
        is_met=reached >= RATIO_GOAL,
        lines=[*_lines(costs), publishing, receiving],
        remarks=[
            f"{sizes.messages:,} messages of {len(PAYLOAD)} bytes, {sizes.topics:,} topics",
            f"redis-py pipelines {PIPELINE} at a time, the bus decides for itself; hiredis parses for both",
        ],
    )


def _lines(costs: Sequence[Costs]) -> list[Line]:
    names = {
        "publish": "publish: bus",
        "publish_pipelined": "publish: redis-py, pipeline",
        "publish_awaited": "publish: redis-py, one by one",
        "receive": "receive: bus",
        "receive_pubsub": "receive: redis-py, pub/sub",
        "subscribe": "subscribe: bus, topic by topic, all at once",
        "subscribe_pubsub": "subscribe: redis-py, all in one command",
    }
    return [
        line_of_results(name, "us", [cast("float", getattr(cost, field)) for cost in costs])
        for field, name in names.items()
    ]


async def _repeat(redis_url: str, sizes: BusSizes) -> Costs:
    async with asyncio.timeout(_WITHIN_S):
        subscribe, receive = await _hear_by_bus(redis_url, sizes)
        subscribe_pubsub, receive_pubsub = await _hear_by_redis_py(redis_url, sizes)
        return Costs(
            publish=await _publish_by_bus(redis_url, sizes),
            publish_pipelined=await _publish_pipelined(redis_url, sizes),
            publish_awaited=await _publish_awaited(redis_url, sizes),
            receive=receive,
            receive_pubsub=receive_pubsub,
            subscribe=subscribe,
            subscribe_pubsub=subscribe_pubsub,
        )


async def _publish_by_bus(redis_url: str, sizes: BusSizes) -> float:
    bus = Bus(redis_url, INSTALLATION)
    bus.start_publishing()
    try:
        await _until_sent(bus, 1)
        began = time.process_time()
        for start in range(0, sizes.messages, 10_000):
            await _until_sent(bus, min(10_000, sizes.messages - start))
        return _each(began, sizes.messages)
    finally:
        await bus.close()


async def _until_sent(bus: Bus, count: int) -> None:
    for number in range(count):
        bus.publish(str(number), PAYLOAD)
    while bus.waiting:  # noqa: ASYNC110 - the bus tells nobody, and need not
        await asyncio.sleep(0.001)


async def _publish_pipelined(redis_url: str, sizes: BusSizes) -> float:
    async with _client(redis_url) as client:
        began = time.process_time()
        for start in range(0, sizes.messages, PIPELINE):
            pipeline = client.pipeline(transaction=False)
            for number in range(start, min(start + PIPELINE, sizes.messages)):
                pipeline.publish(f"{PREFIX}{number}", PAYLOAD)
            await pipeline.execute()
        return _each(began, sizes.messages)


async def _publish_awaited(redis_url: str, sizes: BusSizes) -> float:
    count = max(1, sizes.messages // 20)
    async with _client(redis_url) as client:
        began = time.process_time()
        for number in range(count):
            await client.publish(f"{PREFIX}{number}", PAYLOAD)
        return _each(began, count)


async def _hear_by_bus(redis_url: str, sizes: BusSizes) -> tuple[float, float]:
    heard = 0
    everything = asyncio.Event()

    def receive(topic: str, payload: bytes) -> None:
        nonlocal heard
        del topic, payload
        heard += 1
        if heard == sizes.messages:
            everything.set()

    bus = Bus(redis_url, INSTALLATION)
    bus.start_receiving(receive, lambda _topics: None)
    try:
        while not bus.is_connected:  # noqa: ASYNC110 - a moment, once
            await asyncio.sleep(0.001)
        began = time.process_time()
        await asyncio.gather(*(bus.watch([str(number)]) for number in range(sizes.topics)))
        subscribe = _each(began, sizes.topics)
        async with _client(redis_url) as server:
            began = time.process_time()
            await _say(server, sizes)
            await everything.wait()
            return subscribe, _each(began, sizes.messages)
    finally:
        await bus.close()


async def _hear_by_redis_py(redis_url: str, sizes: BusSizes) -> tuple[float, float]:
    async with _client(redis_url) as client, client.pubsub() as pubsub:
        began = time.process_time()
        await pubsub.subscribe(*(f"{PREFIX}{number}" for number in range(sizes.topics)))
        for _ in range(sizes.topics):
            await pubsub.get_message(timeout=None)
        subscribe = _each(began, sizes.topics)
        async with _client(redis_url) as server:
            began = time.process_time()
            saying = asyncio.create_task(_say(server, sizes))
            for _ in range(sizes.messages):
                await pubsub.get_message(timeout=None)
            await saying
            return subscribe, _each(began, sizes.messages)


class _Scripting(Protocol):
    async def eval(self, script: str, numkeys: int, *arguments: str | bytes | int) -> None: ...


async def _say(server: Redis, sizes: BusSizes) -> None:
    """Have the server publish, on all topics in turn."""
    # In pieces: what a subscriber has not read yet may be 32 MiB at most.
    for start in range(0, sizes.messages, 10_000):
        count = min(10_000, sizes.messages - start)
        await cast("_Scripting", server).eval(_SAY, 0, count, PREFIX, sizes.topics, PAYLOAD)


@asynccontextmanager
async def _client(redis_url: str) -> AsyncGenerator[Redis]:
    client = Redis.from_url(redis_url)
    try:
        await client.ping()
        yield client
    finally:
        await client.aclose()


def _each(began: float, count: int) -> float:
    return (time.process_time() - began) / count * 1e6
