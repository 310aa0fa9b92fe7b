r"""This node's actors: made on demand, put away when idle for long or when room is needed.

    made --> idle --woke--> busy --rested--> idle --put away--> gone
                              \--rested, watched--> watched --last watcher left--> idle

Idle ones stand in the order in which they came to rest, so the least recently used is the first, and neither making
room nor putting away looks at any other.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from feira.actors.topic import TopicActor
from feira.platform.domain.errors import Unavailable
from feira.platform.domain.topics import Topic

ACTORS_MAX: Final = 100_000
PASSIVATE_EVERY_S: Final = 30.0
PASSIVATE_AFTER_S: Final = 120.0


class Registry:
    """`make(topic)` makes an actor that this registry keeps; `put_away(topics)` is told of those that are gone."""

    def __init__(
        self,
        make: Callable[[Topic], TopicActor],
        *,
        put_away: Callable[[list[Topic]], None],
        actors_max: int = ACTORS_MAX,
    ) -> None:
        self._make = make
        self._put_away = put_away
        self._actors_max = actors_max
        self._actors: dict[Topic, TopicActor] = {}
        self._idle: OrderedDict[Topic, TopicActor] = OrderedDict()
        self._busy: set[TopicActor] = set()

    def __len__(self) -> int:
        return len(self._actors)

    def __iter__(self) -> Iterator[TopicActor]:
        return iter(self._actors.values())

    @property
    def mailbox_depth(self) -> int:
        """How much mail waits in all boxes."""
        return sum(actor.mailbox_depth for actor in self._busy)

    def get(self, topic: Topic) -> TopicActor | None:
        """The topic's actor if it is in memory."""
        return self._actors.get(topic)

    def activate(self, topic: Topic) -> TopicActor:
        """The topic's actor, made if need be; an idle one makes room for it.

        Raises:
            Unavailable: `node.full`: every actor is busy or watched.
        """
        actor = self._actors.get(topic)
        if actor is None:
            if len(self._actors) >= self._actors_max:
                if not self._idle:
                    raise Unavailable(
                        "node.full",
                        "This server has too much to do; please try again.",
                        retry_after_s=2,
                    )
                self._remove([next(iter(self._idle.values()))])
            actor = self._actors[topic] = self._idle[topic] = self._make(topic)
            actor.metrics.activations.inc()
            actor.metrics.active.inc()
        return actor

    async def passivate_for_ever(self) -> None:
        """Put away what was not used for `PASSIVATE_AFTER_S`, until cancelled."""
        while True:
            await asyncio.sleep(PASSIVATE_EVERY_S)
            self.passivate(older_than_s=PASSIVATE_AFTER_S)

    def passivate(self, *, older_than_s: float) -> None:
        """Put away actors that were not used for so long and that nobody watches."""
        limit = time.monotonic() - older_than_s
        old: list[TopicActor] = []
        for actor in self._idle.values():
            if actor.used_at > limit:
                break
            old.append(actor)
        self._remove(old)

    # Said by the actors (`mailbox.Keeper`).

    def woke(self, actor: TopicActor) -> None:
        self._idle.pop(actor.topic, None)
        self._busy.add(actor)

    def rested(self, actor: TopicActor) -> None:
        self._busy.discard(actor)
        if not actor.watchers:
            actor.used_at = time.monotonic()
            self._idle[actor.topic] = actor
            self._idle.move_to_end(actor.topic)

    def _remove(self, actors: list[TopicActor]) -> None:
        for actor in actors:
            del self._actors[actor.topic], self._idle[actor.topic]
            actor.metrics.passivations.inc()
            actor.metrics.active.dec()
        if actors:
            self._put_away([actor.topic for actor in actors])
