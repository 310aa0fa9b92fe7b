"""Redis moves under two talking nodes: slots to other owners, a cluster's node to its replica, a master to another."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from feira.actors import presence_store
from feira.app import RunningNode, open_node
from feira.commands.doctor import examine
from feira.jobs import queue
from feira.platform.domain.topics import conversation_topic
from feira.platform.runtime.cluster_map import PARTITION_SLOTS, partition_of, slot_of
from feira.platform.runtime.config import Config
from tests.chaos.crowd import gather_crowd
from tests.integration.conftest import free_port
from tests.integration.jobs_room import Mark, Room, holds, open_room
from tests.integration.live import Talk, Watching, eventually
from tests.valkeys import open_cluster, open_watched_master, until

# Of what is not spread over the cluster.
HOMES: Final = (presence_store.HOME, queue.HOME)


@asynccontextmanager
async def two_nodes(config: Config) -> AsyncGenerator[list[RunningNode]]:
    async with AsyncExitStack() as stack:
        nodes: list[RunningNode] = []
        for name in ("first", "second"):
            port = free_port()
            settings = msgspec.structs.replace(
                config, node_name=name, port=port, public_url=f"http://127.0.0.1:{port}"
            )
            running = await stack.enter_async_context(open_node(settings))
            nodes.append(running)
            await eventually(lambda running=running: running.node.bus.is_connected)
        yield nodes


async def told_of_redis(config: Config) -> str:
    """What the doctor says."""
    [finding] = [found for found in await examine(config) if found.name == "redis"]
    assert not finding.remedy, finding
    return finding.told


async def require_done(room: Room, name: str) -> None:
    """A job that is added now is done soon."""
    await room.add(Mark(name=name), dedup=name)
    await until(
        lambda: holds(room.value("SELECT state::text FROM jobs WHERE dedup = $1", name), "done")
    )


async def require_presence(nodes: list[RunningNode], talk: Talk) -> None:
    """Who comes on one node is seen from the other."""
    topic = conversation_topic(talk.conversation)
    await nodes[0].node.subscribe(topic, Watching(talk.buyer.user_id), None)

    async def is_seen() -> bool:
        seen = await nodes[1].node.presence.snapshot(topic)
        return str(talk.buyer.user_id) in str(seen["online"])

    await until(is_seen)


async def test_slots_and_a_node_move_under_a_chat_and_jobs_on_a_cluster(
    config: Config, fresh_database_dsn: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(open_cluster(tmp_path))
        settings = msgspec.structs.replace(
            config, postgres_dsn=fresh_database_dsn, redis_url=cluster.url
        )
        nodes = await stack.enter_async_context(two_nodes(settings))
        room = await stack.enter_async_context(open_room(settings))
        await stack.enter_async_context(room.worker())
        crowd = await gather_crowd([node.node for node in nodes], nodes[0].market.database, talks=8)
        first = cluster.nodes[0]
        assert "a cluster of 3" in await told_of_redis(settings)
        async with crowd.talking():
            await require_done(room, "before")
            # Half of the topics, and the homes of presence and the queue, come to the first node.
            moved = [PARTITION_SLOTS[partition_of(str(topic))] for topic in crowd.topics[:4]]
            for number, slot in enumerate(dict.fromkeys([*moved, *map(slot_of, HOMES)])):
                if await cluster.owner(slot) is first:
                    continue
                if number % 2 == 0 and slot in moved:
                    await cluster.move_slot(slot, first)
                else:
                    await cluster.move_slot_atomically(slot, first)
            await require_done(room, "after the slots moved")
            await first.kill()
            await require_done(room, "after the node was killed")
            await require_presence(nodes, crowd.talks[0])
        await crowd.require_all_heard()
        assert await room.value("SELECT count(*) FROM marks") == 3


async def test_a_new_master_is_followed_while_the_old_one_hangs_and_when_it_is_back(
    config: Config, fresh_database_dsn: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        watched = await stack.enter_async_context(open_watched_master(tmp_path))
        settings = msgspec.structs.replace(
            config, postgres_dsn=fresh_database_dsn, redis_url=watched.url
        )
        nodes = await stack.enter_async_context(two_nodes(settings))
        room = await stack.enter_async_context(open_room(settings))
        await stack.enter_async_context(room.worker())
        crowd = await gather_crowd([node.node for node in nodes], nodes[0].market.database, talks=4)
        assert "Valkey" in await told_of_redis(settings)
        async with crowd.talking():
            await require_done(room, "before")
            watched.master.freeze()
            try:
                await until(watched.is_promoted)
                await require_done(room, "while the old master hangs")
                await require_presence(nodes, crowd.talks[0])
            finally:
                watched.master.thaw()
            # For eight seconds the sentinels let it believe to be a master.
            await require_done(room, "when the old master is back")
        await crowd.require_all_heard()
        assert await room.value("SELECT count(*) FROM marks") == 3
