"""The bus alone on a real cluster: what it hears, and of which topics it says that it may have missed something."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from feira.platform.runtime.bus import Bus
from feira.platform.runtime.cluster_map import PARTITION_SLOTS, partition_of
from tests.integration.live import eventually
from tests.valkeys import Valkey, ValkeyCluster, free_ports, open_cluster


class Ears:
    """A bus, and what it brought."""

    def __init__(self, url: str) -> None:
        # Longer than a test: what is followed here is followed because somebody said so.
        self.bus = Bus(url, "test", ask_every_s=300)
        self.heard: Counter[tuple[str, bytes]] = Counter()
        self.missed: set[str] = set()

    def receive(self, topic: str, payload: bytes) -> None:
        self.heard[topic, payload] += 1

    def miss(self, topics: Sequence[str]) -> None:
        self.missed.update(topics)


@asynccontextmanager
async def ears_soon(url: str) -> AsyncGenerator[Ears]:
    """Whether there is a server yet or not."""
    one = Ears(url)
    one.bus.start_receiving(one.receive, one.miss)
    try:
        yield one
    finally:
        await one.bus.close()


@asynccontextmanager
async def ears(url: str) -> AsyncGenerator[Ears]:
    async with ears_soon(url) as one:
        await eventually(lambda: one.bus.is_connected)
        yield one


def topics(count: int) -> list[str]:
    return [f"order:{uuid4()}" for _ in range(count)]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ValkeyCluster]:
    async with open_cluster(tmp_path) as running:
        yield running


async def test_a_bus_follows_slots_and_servers_and_names_what_it_may_have_missed(
    cluster: ValkeyCluster,
) -> None:
    async with ears(cluster.url) as one, ears(cluster.url) as other:
        # A wave of reconnects: every socket's actor asks for its own topic, all in the same moment.
        watched = topics(400)
        await asyncio.gather(*(one.bus.watch([topic]) for topic in watched))
        commands = [
            int(stats["cmdstat_ssubscribe"].split(",")[0].removeprefix("calls="))
            for node in cluster.nodes[:3]
            if "cmdstat_ssubscribe" in (stats := await node.info("commandstats"))
        ]
        assert len(commands) == 3, "topics lie on every node"
        assert sum(commands) <= len({partition_of(topic) for topic in watched})

        await require_heard(other, one, watched, b"calm")

        by_slots = partition_of(watched[0]), partition_of(watched[1])
        moves = (cluster.move_slot, cluster.move_slot_atomically)
        for partition, move in zip(by_slots, moves, strict=True):
            slot = PARTITION_SLOTS[partition]
            owner = await cluster.owner(slot)
            target = next(node for node in cluster.nodes[:3] if node is not owner)
            one.missed.clear()
            await move(slot, target)
            moved = {topic for topic in watched if partition_of(topic) == partition}
            await eventually(lambda moved=moved: one.missed >= moved)
            assert one.missed == moved
            await require_heard(other, one, watched, f"moved {partition}".encode())

        one.missed.clear()
        lost = await topics_of(cluster, cluster.nodes[0], watched)
        await cluster.nodes[0].kill()
        for topic in watched:
            other.bus.publish(topic, b"while it was away")
        await eventually(lambda: one.missed >= lost, within_s=20)
        await require_heard(other, one, watched, b"afterwards")


async def topics_of(cluster: ValkeyCluster, node: Valkey, watched: list[str]) -> set[str]:
    slot_map = await cluster.slot_map()
    return {
        topic
        for topic in watched
        if slot_map.owner(PARTITION_SLOTS[partition_of(topic)]) == node.address
    }


async def require_heard(speaker: Ears, hearer: Ears, watched: list[str], payload: bytes) -> None:
    """Published once, heard once: a server that is there loses and doubles nothing."""
    for topic in watched:
        speaker.bus.publish(topic, payload)
    await eventually(lambda: all(hearer.heard[topic, payload] for topic in watched))
    await asyncio.sleep(0.05)
    assert all(hearer.heard[topic, payload] == 1 for topic in watched)


async def test_what_is_published_before_a_server_is_there_waits_for_it(tmp_path: Path) -> None:
    [port] = free_ports(1)
    valkey = Valkey(tmp_path, [], port)
    url = f"redis://{valkey.address}"
    async with ears_soon(url) as one, ears_soon(url) as other:
        await one.bus.watch(["ops"])
        other.bus.publish("ops", b"early")
        assert other.bus.waiting == 1
        await valkey.start()
        try:
            await eventually(lambda: one.missed == {"ops"})
            await eventually(lambda: not other.bus.waiting)
            other.bus.publish("ops", b"later")
            await eventually(lambda: one.heard["ops", b"later"] == 1)
        finally:
            await valkey.kill()
