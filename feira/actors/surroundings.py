"""What topic actors have around them: the logs, ears for other nodes' commits, and somebody who keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from feira.platform.domain.events import TopicBatch
from feira.platform.domain.topics import Topic
from feira.platform.runtime.tasks import TaskOwner
from feira.sql import topics
from feira.sql.database import Database
from feira.sql.topics import TopicHead

if TYPE_CHECKING:
    from feira.actors.topic import TopicActor


class TopicReader(Protocol):
    """Reads committed entries of topics' logs. Raises `Unavailable` or `Conflict` while the log cannot be read."""

    async def read_head(self, topic: Topic) -> TopicHead: ...

    async def read_events(self, topic: Topic, *, after: int, limit: int) -> TopicBatch:
        """Up to `limit` events with `seq > after`, in order, and the epoch that they are of."""
        ...


class Ears(Protocol):
    """Hears of other nodes' commits: `platform.runtime.bus.Bus`."""

    async def watch(self, topics: Sequence[str]) -> None:
        """Return once whatever is said from now on will be heard, or made up for."""
        ...


class Keeper(Protocol):
    """Keeps the actors in memory: `registry.Registry`."""

    def woke(self, actor: TopicActor, /) -> None:
        """It has something to do."""
        ...

    def rested(self, actor: TopicActor, /) -> None:
        """It has nothing to do any more."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """All actors of a node share them."""

    tasks: TaskOwner
    keeper: Keeper
    reader: TopicReader
    ears: Ears


class PostgresTopics:
    """The logs as they are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_head(self, topic: Topic) -> TopicHead:
        async with self._database.connection() as con:
            return await topics.read_head(con, topic)

    async def read_events(self, topic: Topic, *, after: int, limit: int) -> TopicBatch:
        async with self._database.connection() as con:
            events = await topics.read_events(con, topic, after=after, limit=limit)
            # Read after the events: had the log been restored in between, it would be another.
            epoch = (await topics.read_head(con, topic)).epoch
        return TopicBatch(topic=topic, epoch=epoch, events=events)
