"""The registry: actors are made once, and the least recently used make room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from feira.actors.frames import PushFrames
from feira.actors.mail import Committed, Ephemeral
from feira.actors.registry import Registry
from feira.actors.surroundings import Surroundings
from feira.actors.topic import TopicActor
from feira.platform.domain.errors import Unavailable
from feira.platform.domain.topics import Topic
from feira.platform.runtime.tasks import TaskOwner
from tests.unit.actors.memory import MemoryLog, Reader

MAX = 4


class House:
    """A registry whose actors have a log each."""

    def __init__(self) -> None:
        self.tasks = TaskOwner()
        self.made: list[Topic] = []
        self.gone: list[Topic] = []
        self.logs: dict[Topic, MemoryLog] = {}
        self.registry = Registry(self._make, put_away=self.gone.extend, actors_max=MAX)

    def _make(self, topic: Topic) -> TopicActor:
        self.made.append(topic)
        log = self.logs.setdefault(topic, MemoryLog(topic))
        return TopicActor(
            topic, Surroundings(tasks=self.tasks, keeper=self.registry, reader=log, ears=log)
        )

    async def use(self, topic: Topic) -> TopicActor:
        actor = self.registry.activate(topic)
        actor.tell(Ephemeral(PushFrames({}), None))
        while not actor.is_idle:
            await asyncio.sleep(0)
        return actor


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.tasks.close()


def shop(number: int) -> Topic:
    return Topic("shop", UUID(int=number))


async def test_an_actor_is_made_once(house: House) -> None:
    assert house.registry.activate(shop(1)) is house.registry.activate(shop(1))
    assert house.made == [shop(1)]


async def test_the_least_recently_used_makes_room(house: House) -> None:
    for number in range(MAX):
        await house.use(shop(number))
    await house.use(shop(0))
    house.registry.activate(shop(MAX))
    assert house.gone == [shop(1)]
    assert house.registry.get(shop(1)) is None
    assert len(house.registry) == MAX


async def test_watched_and_busy_actors_stay_and_when_all_are_a_new_one_is_refused(
    house: House,
) -> None:
    readers = [Reader(number) for number in range(MAX - 1)]
    for reader in readers:
        await reader.subscribe(house.registry.activate(shop(reader.number)))
    busy = house.registry.activate(shop(MAX))
    busy.tell(Ephemeral(PushFrames({}), None))
    with pytest.raises(Unavailable) as refused:
        house.registry.activate(shop(9))
    assert refused.value.code == "node.full"
    while not busy.is_idle:
        await asyncio.sleep(0)
    house.registry.activate(shop(9))
    assert house.gone == [shop(MAX)]
    await house.use(shop(9))
    house.registry.activate(shop(0)).unsubscribe(readers[0])
    await house.use(shop(9))
    house.registry.activate(shop(10))
    assert house.gone == [shop(MAX), shop(0)]


async def test_idle_ones_are_put_away_after_a_while_and_only_they(house: House) -> None:
    reader = Reader(1)
    await reader.subscribe(house.registry.activate(shop(1)))
    await house.use(shop(2))
    house.registry.passivate(older_than_s=60)
    assert house.gone == []
    house.registry.passivate(older_than_s=0)
    assert house.gone == [shop(2)]
    house.registry.activate(shop(1)).unsubscribe(reader)
    house.registry.passivate(older_than_s=0)
    assert house.gone == [shop(2), shop(1)]
    assert len(house.registry) == 0


async def test_one_that_was_put_away_comes_back_and_misses_nothing(house: House) -> None:
    reader = Reader(1)
    await reader.subscribe(house.registry.activate(shop(1)))
    house.registry.activate(shop(1)).unsubscribe(reader)
    house.registry.passivate(older_than_s=0)
    house.logs[shop(1)].commit(5)
    await reader.subscribe(house.registry.activate(shop(1)))
    assert reader.seen == [1, 2, 3, 4, 5]
    assert reader.broken == []


async def test_mail_that_waits_is_counted(house: House) -> None:
    actor = house.registry.activate(shop(1))
    for _ in range(3):
        actor.tell(Ephemeral(PushFrames({}), None))
    assert house.registry.mailbox_depth == 3
    await house.use(shop(1))
    assert house.registry.mailbox_depth == 0


async def test_many_who_come_at_once_are_one_reading(house: House) -> None:
    log = house.logs[shop(1)] = MemoryLog(shop(1))
    log.commit(3)
    actor = house.registry.activate(shop(1))
    first = Reader(0)
    await first.subscribe(actor)
    log.commit(4)
    log.head_reads = log.event_reads = 0
    crowd = [Reader(number, position=first.position) for number in range(1, 200)]
    await asyncio.gather(*(reader.subscribe(actor) for reader in crowd))
    # The gap of the one who was there, and the same seven events for all who come.
    assert (log.head_reads, log.event_reads) == (1, 2)
    assert all(reader.seen == [4, 5, 6, 7] for reader in [first, *crowd])


async def test_what_a_full_box_did_not_take_is_read_from_the_log(house: House) -> None:
    reader = Reader(1)
    actor = house.registry.activate(shop(1))
    await reader.subscribe(actor)
    log = house.logs[shop(1)]
    actor.tell(Ephemeral(PushFrames({}), None))
    for _ in range(1_200):
        actor.hear(Committed(log.commit()))
    while not actor.is_idle:
        await asyncio.sleep(0)
    assert reader.seen == list(range(1, 1_201))
    assert reader.broken == []


async def test_a_crash_in_the_fan_out_stays_inside(house: House) -> None:
    class Sick(Reader):
        def push(self, frame: object) -> None:
            raise RuntimeError("this session has a bug")

    actor = house.registry.activate(shop(1))
    sick, well = Sick(1), Reader(2)
    for reader in (sick, well):
        await reader.subscribe(actor)
    actor.hear(Committed(house.logs[shop(1)].commit()))
    assert not actor.watchers
    assert (sick.is_watching, well.is_watching) == (False, False)
    assert actor.crashes == 1
    await well.subscribe(actor)
    assert well.seen == [1]
    assert well.broken == []
