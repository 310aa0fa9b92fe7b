"""The bus may lose, double and reorder: the watchers of both nodes see each event once and in order."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from random import Random

from feira.platform.runtime.config import Config
from tests.chaos.crowd import gather_crowd
from tests.chaos.faulty_bus import FaultyBus
from tests.integration.live import live_node

SHARE = 0.05
ROUNDS = 60
TALKS = 4


async def test_what_the_bus_loses_doubles_and_reorders_is_seen_once_and_in_order(
    config: Config,
) -> None:
    seed = secrets.randbelow(2**32)
    print(f"seed {seed}")
    die = Random(seed)
    buses = [FaultyBus(config.redis_url, "faulty", die, SHARE) for _ in range(2)]
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(live_node(config, f"faulty-{number}", bus=bus))
            for number, bus in enumerate(buses)
        ]
        crowd = await gather_crowd([node.node for node in nodes], nodes[0].database, talks=TALKS)
        for _ in range(ROUNDS):
            await crowd.say_once()
        for faults in ("lost", "doubled", "delayed"):
            assert sum(getattr(bus, faults) for bus in buses) > 0, faults
        # A gap shows with the next message. After the last there is none: only the top check can tell.
        for bus in buses:
            bus.loses_everything = True
        await crowd.say_once()
        await crowd.require_all_heard()
