"""Valkey is killed, or freezes, under a chat between two nodes: what is said is committed, heard here at once and there soon."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal, get_args

import msgspec
import pytest
import structlog
from aiohttp import ClientSession

from feira.actors.top_check import EVERY_S as TOP_CHECK_EVERY_S
from feira.app import RunningNode, open_node
from feira.platform.runtime.config import Config
from feira.platform.runtime.embedded.valkey import ValkeyServer
from tests.chaos.talkers import Talker, require_each_once
from tests.integration.cast import Cast, Part, assemble
from tests.integration.conftest import free_port
from tests.integration.jobs_room import Mark, holds, open_room, until
from tests.integration.sockets import opened

# A push on the bus takes milliseconds; this leaves room for a busy machine and stays below a top check.
AT_ONCE_S: Final = 1.5
SOON_S: Final = TOP_CHECK_EVERY_S + 3


How = Literal["killed", "frozen"]
HOW: Final = pytest.mark.parametrize("how", get_args(How))


@asynccontextmanager
async def away(how: How, valkey: ValkeyServer) -> AsyncGenerator[None]:
    if how == "killed":
        valkey.kill()
        await valkey.stop()
        yield
        await valkey.start()
        return
    pid = valkey.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@dataclass(frozen=True)
class Scene:
    """The buyer and the shop's staff are on the first node, its owner on the second."""

    nodes: list[RunningNode]
    cast: Cast
    buyer: Talker
    staff: Talker
    owner: Talker

    @property
    def talkers(self) -> tuple[Talker, Talker, Talker]:
        return self.buyer, self.staff, self.owner


@pytest.fixture
async def scene(
    config: Config, fresh_database_dsn: str, valkey: ValkeyServer
) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        nodes: list[RunningNode] = []
        for name in ("first", "second"):
            port = free_port()
            settings = msgspec.structs.replace(
                config,
                node_name=name,
                postgres_dsn=fresh_database_dsn,
                redis_url=valkey.url,
                port=port,
                public_url=f"http://127.0.0.1:{port}",
            )
            nodes.append(await stack.enter_async_context(open_node(settings)))
        cast = await assemble(nodes[0].market)
        topic = f"conversation:{cast.ids['conversation']}"

        async def enter(part: Part, node: RunningNode) -> Talker:
            client = await stack.enter_async_context(opened(node))
            await client.ask(connect={"token": cast.people[part].token})
            await client.ask(subscribe={"topic": topic})
            return Talker(client=client, topic=topic, name=part)

        yield Scene(
            nodes=nodes,
            cast=cast,
            buyer=await enter("buyer", nodes[0]),
            staff=await enter("staff", nodes[0]),
            owner=await enter("owner", nodes[1]),
        )


@HOW
async def test_nothing_is_lost_or_doubled_and_pushes_are_late_at_most(
    scene: Scene, valkey: ValkeyServer, how: How
) -> None:
    said: set[str] = set()

    async def say(talker: Talker, times: int = 10) -> int:
        for _ in range(times):
            said.add(await talker.say())
        return max(talker.acknowledged.values())

    with structlog.testing.capture_logs() as logs:
        last = await say(scene.buyer)
        await scene.owner.hear(last, within_s=AT_ONCE_S)

        async with away(how, valkey):
            for talker in (scene.buyer, scene.owner, scene.buyer):
                last = await say(talker)
                here = scene.staff if talker is scene.buyer else scene.owner
                await here.hear(last, within_s=AT_ONCE_S)
                for listener in scene.talkers:
                    await listener.hear(last, within_s=SOON_S)
            async with ClientSession(f"http://127.0.0.1:{scene.nodes[0].port}") as http:
                answer = await http.get("/readyz")
                assert (answer.status, (await answer.json())["status"]) == (200, "degraded")

        await until_heard_at_once(scene, said)
        last = max(seq for talker in scene.talkers for seq in talker.acknowledged.values())
        for talker in scene.talkers:
            require_each_once(await talker.hear(last), said)
    assert not any(talker.refused for talker in scene.talkers)
    assert max(talker.slowest_s for talker in scene.talkers) < 3
    async with scene.nodes[0].market.database.connection() as con:
        stored = "SELECT count(*) FROM messages WHERE client_id = ANY ($1::uuid[])"
        assert await con.fetchval(stored, list(said)) == len(said)
    assert [line for line in logs if line["log_level"] == "error"] == []


async def until_heard_at_once(scene: Scene, said: set[str]) -> None:
    """The bus is back once pushes need no top check: several in a row arrive faster than any could."""
    deadline = time.monotonic() + 10
    in_a_row = 0
    while in_a_row < 5:
        assert time.monotonic() < deadline, "the bus never came back"
        client_id = await scene.buyer.say()
        said.add(client_id)
        started = time.monotonic()
        await scene.owner.hear(scene.buyer.acknowledged[client_id])
        in_a_row = in_a_row + 1 if time.monotonic() - started < 0.3 else 0


@HOW
async def test_who_joins_without_valkey_gets_everything_and_is_heard(
    scene: Scene, valkey: ValkeyServer, how: How
) -> None:
    async with opened(scene.nodes[1]) as client:
        async with away(how, valkey):
            said = {await scene.buyer.say() for _ in range(3)}
            started = time.monotonic()
            await client.ask(connect={"token": scene.cast.people["staff"].token})
            answer = await client.ask(
                subscribe={"topic": scene.buyer.topic, "seq": 0, "epoch": "?"}
            )
            assert "subscribe" in answer
            # Presence asks Valkey, and must not keep anybody waiting for it.
            assert time.monotonic() - started < 3
            late = Talker(client=client, topic=scene.buyer.topic, name="late")
            said |= {await scene.buyer.say(), await late.say()}
        last = max(*scene.buyer.acknowledged.values(), *late.acknowledged.values())
        for talker in scene.talkers:
            require_each_once(await talker.hear(last, within_s=SOON_S), said)


async def test_jobs_are_done_again_once_valkey_is_back(
    config: Config, fresh_database_dsn: str, valkey: ValkeyServer
) -> None:
    settings = msgspec.structs.replace(
        config, postgres_dsn=fresh_database_dsn, redis_url=valkey.url
    )
    async with open_room(settings) as room, room.worker():
        names = [f"job {number}" for number in range(30)]
        for name in names[:10]:
            await room.add(Mark(name=name), dedup=name)
        valkey.kill()
        await valkey.stop()
        for name in names[10:20]:
            await room.add(Mark(name=name), dedup=name)
        await asyncio.sleep(1)
        await valkey.start()
        for name in names[20:]:
            await room.add(Mark(name=name), dedup=name)
        done = "SELECT count(*) FROM jobs WHERE state = 'done'"
        await until(lambda: holds(room.value(done), len(names)), deadline_s=40)
        assert await room.value("SELECT count(*) FROM marks") == len(names)
        assert await room.value("SELECT count(DISTINCT name) FROM marks") == len(names)
