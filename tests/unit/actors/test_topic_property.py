"""Whatever happens to commits, the bus, watchers and actors, in whatever order: each event once, in order, no gap."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from feira.actors.frames import PushFrames
from feira.actors.mail import CheckHead, Committed, Ephemeral
from feira.actors.registry import Registry
from feira.actors.surroundings import Surroundings
from feira.actors.topic import TopicActor
from feira.platform.domain.errors import FeiraError
from feira.platform.domain.events import TopicBatch
from feira.platform.domain.topics import Topic
from feira.platform.runtime.tasks import TaskOwner
from tests.unit.actors.memory import HurriedLoop, MemoryLog, Reader

TOPIC = Topic("shop", UUID(int=1))
NODES = 2
READERS = 4


@dataclass
class House:
    """A node: its registry, and what the bus has for it but did not deliver yet."""

    registry: Registry
    underway: list[TopicBatch] = field(default_factory=list[TopicBatch])

    @property
    def actor(self) -> TopicActor | None:
        return self.registry.get(TOPIC)


class World:
    """Two nodes, one log, a few readers who each watch from one node at a time."""

    def __init__(self) -> None:
        self.log = MemoryLog(TOPIC)
        self.tasks = TaskOwner()
        self.houses = [self._build() for _ in range(NODES)]
        self.readers = [Reader(number) for number in range(READERS)]
        self.homes: dict[int, House] = {}
        self.asking: dict[int, asyncio.Task[None]] = {}
        self.errors: list[BaseException] = []

    def _build(self) -> House:
        def make(topic: Topic) -> TopicActor:
            return TopicActor(topic, around)

        registry = Registry(make, put_away=lambda _topics: None)
        around = Surroundings(tasks=self.tasks, keeper=registry, reader=self.log, ears=self.log)
        return House(registry)

    # What may happen. `choice` picks among what there is.

    def commit(self, choice: int) -> None:
        """On one node, which hears of it at once; the others over the bus."""
        if self.log.is_away:
            return
        batch = self.log.commit(1 + choice // NODES % 3)
        for number, house in enumerate(self.houses):
            if number == choice % NODES:
                self._hear(house, Committed(batch))
            else:
                house.underway.append(batch)

    def deliver(self, choice: int) -> None:
        """In any order, late, after others were lost."""
        house = self.houses[choice % NODES]
        if house.underway:
            batch = house.underway.pop(choice // NODES % len(house.underway))
            self._hear(house, Committed(batch))

    def double(self, choice: int) -> None:
        house = self.houses[choice % NODES]
        if house.underway:
            self._hear(house, Committed(house.underway[choice // NODES % len(house.underway)]))

    def lose(self, choice: int) -> None:
        house = self.houses[choice % NODES]
        if house.underway:
            house.underway.pop(choice // NODES % len(house.underway))

    def subscribe(self, choice: int) -> None:
        """Also again, by one who watches already: a repair."""
        reader = self.readers[choice % READERS]
        if reader.number not in self.asking:
            house = self.homes.setdefault(reader.number, self.houses[choice // READERS % NODES])
            task = asyncio.create_task(self._subscribe(reader, house))
            self.asking[reader.number] = task

    async def _subscribe(self, reader: Reader, house: House) -> None:
        try:
            await reader.subscribe(house.registry.activate(TOPIC))
        except FeiraError:
            pass
        except AssertionError as error:
            self.errors.append(error)
        finally:
            del self.asking[reader.number]

    def leave(self, choice: int) -> None:
        """For another node, with the position it has."""
        reader = self.readers[choice % READERS]
        if (
            reader.number not in self.asking
            and (house := self.homes.pop(reader.number, None)) is not None
        ):
            reader.is_watching = False
            if house.actor is not None:
                house.actor.unsubscribe(reader)

    def crash(self, choice: int) -> None:
        house = self.houses[choice % NODES]
        if house.actor is not None:
            with contextlib.suppress(FeiraError):
                house.actor.tell("nobody knows this mail")

    def check(self, choice: int) -> None:
        house = self.houses[choice % NODES]
        if house.actor is not None and house.actor.is_behind(self.log.head):
            house.actor.hear(CheckHead(self.log.head))

    def say_in_passing(self, choice: int) -> None:
        self._hear(
            self.houses[choice % NODES],
            Ephemeral(PushFrames({"typing": {}}), self.readers[choice % READERS].user_id),
        )

    def passivate(self, choice: int) -> None:
        self.houses[choice % NODES].registry.passivate(older_than_s=0)

    def go_away(self, choice: int) -> None:
        """The log cannot be read for a while."""
        self.log.is_away = choice % 3 > 0

    def restore(self, choice: int) -> None:
        """From a backup: some events are gone, their numbers will be given again."""
        self.log.restore(max(0, len(self.log.events) - choice % 4), f"{self.log.epoch}+")

    def _hear(self, house: House, mail: Committed | Ephemeral) -> None:
        if house.actor is not None:
            house.actor.hear(mail)

    async def settle(self) -> None:
        """Everything comes back, a last top check is made, and who was sent away subscribes again."""
        self.log.is_away = False
        for _ in range(20):
            await self.rest()
            lost = [reader for reader in self.readers if not reader.is_watching]
            for reader in lost:
                self.subscribe(reader.number)
            for number in range(NODES):
                self.check(number)
            behind = [h for h in self.houses if h.actor and h.actor.is_behind(self.log.head)]
            if not lost and not any(house.actor and house.actor.watchers for house in behind):
                return
        raise AssertionError("it does not come to rest")

    async def rest(self) -> None:
        while self.asking or any(
            house.actor is not None and not house.actor.is_idle for house in self.houses
        ):
            await asyncio.sleep(0)


ACTIONS = [
    World.commit,
    World.deliver,
    World.double,
    World.lose,
    World.subscribe,
    World.leave,
    World.crash,
    World.check,
    World.say_in_passing,
    World.passivate,
    World.go_away,
    World.restore,
]
# Weighted: most of the time things go well.
LIKELY = [World.commit, World.deliver, World.subscribe] * 4

steps = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS + LIKELY),
        st.integers(min_value=0, max_value=63),
        st.integers(min_value=0, max_value=6),
    ),
    min_size=20,
    max_size=80,
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(steps)
@pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
def test_every_watcher_sees_each_event_once_and_in_order(
    steps: list[tuple[object, int, int]],
) -> None:
    async def live() -> None:
        world = World()
        for reader in world.readers[:2]:
            world.subscribe(reader.number)
        for action, choice, turns in steps:
            assert callable(action)
            action(world, choice)
            for _ in range(turns):
                await asyncio.sleep(0)
        await world.settle()
        # One event more, which everybody gets without being asked to look.
        for house in world.houses:
            house.underway.clear()
        world.commit(0)
        for number in range(NODES):
            world.deliver(number)
        await world.rest()
        assert world.errors == []
        for reader in world.readers:
            assert reader.is_watching
            assert reader.position is not None
            assert reader.broken == []
            assert (reader.position.seq, reader.position.epoch) == (
                len(world.log.events),
                world.log.epoch,
            )
        await world.tasks.close()

    # Rendering the traceback of every crash would take most of the time.
    with capture_logs(), asyncio.Runner(loop_factory=HurriedLoop, debug=False) as runner:
        runner.run(live())
