"""Many conversations between two nodes at once, with watchers of each on both: what everybody must have seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from feira.actors.node import Node
from feira.platform.domain.topics import Topic, conversation_topic
from feira.sql.database import Database
from tests.integration.live import Talk, Watching, eventually, message, open_talk

SAY_EVERY_S = 0.02


@dataclass
class Crowd:
    """Every round, on every node in turn, somebody says something in every conversation."""

    nodes: Sequence[Node]
    talks: list[Talk]
    watchers: dict[Topic, list[Watching]] = field(default_factory=dict[Topic, list[Watching]])
    rounds: int = 0

    @property
    def topics(self) -> list[Topic]:
        return list(self.watchers)

    @asynccontextmanager
    async def talking(self) -> AsyncGenerator[None]:
        """Until the context ends, they talk."""
        stop = asyncio.Event()
        speaking = asyncio.create_task(self._speak(stop))
        try:
            yield
        finally:
            stop.set()
            await speaking

    async def say_once(self) -> None:
        node = self.nodes[self.rounds % len(self.nodes)]
        self.rounds += 1
        await asyncio.gather(
            *(
                node.post_message(talk.buyer, talk.conversation, message(f"{self.rounds}"))
                for talk in self.talks
            )
        )

    async def require_all_heard(self, *, within_s: float = 20.0) -> None:
        """Every watcher has every message once, and in order."""
        last = self.rounds
        everybody = [watcher for group in self.watchers.values() for watcher in group]
        await eventually(
            lambda: all(watcher.seqs[-1:] == [last] for watcher in everybody), within_s=within_s
        )
        assert all(watcher.seqs == list(range(1, last + 1)) for watcher in everybody)
        assert not any(watcher.resyncs for watcher in everybody)

    async def _speak(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.say_once()
            await asyncio.sleep(SAY_EVERY_S)


async def gather_crowd(nodes: Sequence[Node], database: Database, *, talks: int) -> Crowd:
    crowd = Crowd(nodes, [await open_talk(database) for _ in range(talks)])
    for talk in crowd.talks:
        topic = conversation_topic(talk.conversation)
        crowd.watchers[topic] = [Watching(talk.seller.user_id) for _ in nodes]
        for node, watcher in zip(nodes, crowd.watchers[topic], strict=True):
            await node.subscribe(topic, watcher, None)
    return crowd
