"""Presence over several nodes on a real Valkey: crowds, dead nodes, and a Valkey that forgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis.asyncio as redis

from feira.actors.presence import CROWD_NEWS_EVERY_S, Presence
from feira.actors.presence_store import BEAT_EVERY_S, HOME, NODE_TTL_S, PresenceStore
from feira.platform.domain.ids import ConversationId, UserId
from feira.platform.domain.topics import Topic, conversation_topic
from feira.platform.runtime.embedded.folder import DataFolder
from feira.platform.runtime.embedded.ports import PortBook
from feira.platform.runtime.embedded.valkey import ValkeyServer
from feira.platform.runtime.tasks import TaskOwner
from tests.integration.live import eventually

BEAT_S = 0.2


@dataclass(eq=False)
class House:
    """A node's presence, and what it pushed to its watchers."""

    presence: Presence
    tasks: TaskOwner
    pushes: list[list[dict[str, Any]]] = field(default_factory=list[list[dict[str, Any]]])

    @property
    def online(self) -> set[UserId]:
        """Who is here by what was pushed."""
        here: set[UserId] = set()
        for messages in self.pushes:
            for message in messages:
                user = message["presence"]["user"]
                (here.add if message["presence"]["online"] else here.discard)(user)
        return here

    async def die(self) -> None:
        """As by kill -9: nothing is said or renewed any more."""
        await self.tasks.close()


Open = Callable[[], House]


@asynccontextmanager
async def street(url: str) -> AsyncGenerator[Open]:
    """Houses that ring at each other's doors."""
    client = redis.Redis.from_url(url, socket_timeout=2)
    houses: list[House] = []

    def open_house() -> House:
        tasks = TaskOwner()

        def ring(topic: Topic) -> None:
            for other in houses:
                if other is not house:
                    asyncio.get_running_loop().call_soon(other.presence.look_again, topic)

        house = House(
            Presence(
                PresenceStore(
                    client, node_name=f"house-{uuid4()}", beat_every_s=BEAT_S, node_ttl_s=1.5
                ),
                tasks=tasks,
                push=lambda _topic, messages: house.pushes.append(messages),
                ring=ring,
            ),
            tasks,
        )
        house.presence.start()
        houses.append(house)
        return house

    try:
        yield open_house
    finally:
        for house in houses:
            await house.die()
        await client.aclose()


@pytest.fixture
async def open_house(redis_url: str) -> AsyncIterator[Open]:
    async with street(redis_url) as opener:
        yield opener


@pytest.fixture
def topic() -> Topic:
    return conversation_topic(ConversationId(uuid4()))


def make_user() -> UserId:
    return UserId(uuid4())


async def test_users_of_a_killed_node_are_gone_in_bounded_time_and_watchers_are_told(
    open_house: Open, topic: Topic
) -> None:
    here, doomed = open_house(), open_house()
    ana, rui, eva = make_user(), make_user(), make_user()
    here.presence.joined(topic, ana)
    for user in (ana, rui, eva):
        doomed.presence.joined(topic, user)
    await eventually(lambda: here.online == {ana, rui, eva})
    await doomed.die()
    await eventually(lambda: here.online == {ana})
    newcomer = open_house()
    assert await newcomer.presence.snapshot(topic) == {"online": [ana]}


def test_the_bound_is_what_the_documentation_says() -> None:
    assert NODE_TTL_S + BEAT_EVERY_S <= 16


async def test_a_node_that_leaves_in_order_is_gone_with_its_users(
    open_house: Open, topic: Topic
) -> None:
    here, leaving = open_house(), open_house()
    ana, rui = make_user(), make_user()
    here.presence.joined(topic, ana)
    leaving.presence.joined(topic, rui)
    await eventually(lambda: here.online == {ana, rui})
    await leaving.die()
    await leaving.presence.close()
    assert await open_house().presence.snapshot(topic) == {"online": [ana]}


async def test_a_crowd_that_comes_at_once_is_a_handful_of_pushes(
    open_house: Open, topic: Topic
) -> None:
    near, far = open_house(), open_house()
    far.presence.joined(topic, make_user())
    await eventually(lambda: len(far.pushes) == 1)
    users = [make_user() for _ in range(1_000)]
    for number, user in enumerate(users):
        near.presence.joined(topic, user)
        if number % 50 == 0:
            await asyncio.sleep(0.005)

    def count(house: House) -> int:
        last = house.pushes[-1][-1] if house.pushes else {}
        return last.get("presence_count", {}).get("online", 0)

    await eventually(lambda: count(near) == count(far) == 1_001)
    assert await far.presence.snapshot(topic) == {"online_count": 1_001}
    # Ten times fewer than news would take if there was one for each hundred.
    assert len(near.pushes) + len(far.pushes) < 100
    assert sum(map(len, far.pushes)) < 400


async def test_a_crowd_hears_news_at_a_walking_pace(open_house: Open, topic: Topic) -> None:
    house = open_house()
    for _ in range(201):
        house.presence.joined(topic, make_user())
    await eventually(lambda: len(house.pushes) == 1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    house.presence.joined(topic, make_user())
    await eventually(lambda: len(house.pushes) == 2)
    assert loop.time() - began > CROWD_NEWS_EVERY_S / 2


async def test_a_valkey_that_forgets_everything_is_told_anew_and_nobody_seems_to_leave(
    tmp_path: Path, topic: Topic
) -> None:
    valkey = ValkeyServer(DataFolder(tmp_path), PortBook(tmp_path / "ports.json"))
    await valkey.start()
    try:
        async with street(valkey.url) as open_house, redis.Redis.from_url(valkey.url) as client:
            here, there = open_house(), open_house()
            ana, rui = make_user(), make_user()
            here.presence.joined(topic, ana)
            there.presence.joined(topic, rui)
            await eventually(lambda: here.online == there.online == {ana, rui})
            before = len(here.pushes)
            await client.flushall()
            eva = make_user()
            there.presence.joined(topic, eva)
            await eventually(lambda: here.online == {ana, rui, eva})
            assert await here.presence.snapshot(topic) == {"online": sorted([ana, rui, eva])}
            went = [
                message
                for messages in here.pushes[before:]
                for message in messages
                if not message["presence"]["online"]
            ]
            assert went == []

            async with asyncio.timeout(10):
                while await client.scard(f"{HOME}:{topic}") < 3:  # type: ignore[misc]
                    await asyncio.sleep(0.05)
    finally:
        valkey.kill()
        await valkey.stop()


async def test_without_redis_a_node_knows_its_own(topic: Topic) -> None:
    async with street("redis://127.0.0.1:1/0") as open_house:
        house, ana = open_house(), make_user()
        house.presence.joined(topic, ana)
        await eventually(lambda: house.online == {ana})
        assert await house.presence.snapshot(topic) == {"online": [ana]}
        house.presence.left(topic, ana)
        assert await house.presence.snapshot(topic) == {"online": []}
