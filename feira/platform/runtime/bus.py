"""The bus: Redis pub/sub between nodes. A doorbell, never the truth.

A message may be lost, doubled or late; whoever listens checks sequence numbers and reads Postgres for what is
missing. Publishing never blocks and never fails: while Redis is away messages wait in bounded queues, and once a
topic is listened to again after a gap, `missed` names it.

On a cluster topics are spread over 256 partitions of its slots and travel as sharded messages, which stay within the
node that owns the slot; elsewhere one server carries them all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from feira.platform.runtime.bus_owners import Owners
from feira.platform.runtime.bus_publisher import Message, Publisher
from feira.platform.runtime.bus_subscriber import Missed, Receive, Subscriber
from feira.platform.runtime.redis_topology import topology_of
from feira.platform.runtime.tasks import TaskOwner

CLOSE_WITHIN_S: Final = 0.5
ASK_EVERY_S: Final = 2.0


class Bus:
    """One connection each way to every server that carries topics."""

    def __init__(
        self, redis_url: str, installation: str, *, ask_every_s: float = ASK_EVERY_S
    ) -> None:
        """Connect to nothing yet. `ask_every_s` bounds how long a silent failover goes unnoticed.

        Raises:
            RedisUrlError: the URL is wrong.
        """
        # Pub/sub knows no databases: two markets on one Redis are told apart by name.
        self._prefix = f"{installation}:topic:"
        self._owners = Owners(topology_of(redis_url), ask_every_s=ask_every_s)
        self._publisher = Publisher(self._owners)
        self._subscriber: Subscriber | None = None
        self._tasks = TaskOwner()

    @property
    def is_connected(self) -> bool:
        """Whether all that is watched can be heard."""
        return self._subscriber is not None and self._subscriber.is_connected

    @property
    def waiting(self) -> int:
        """How many messages were not sent yet."""
        return len(self._publisher)

    def start_publishing(self) -> None:
        """Begin to send what `publish` queues. A process that only publishes needs no more."""
        if not self._tasks:
            self._tasks.start(self._owners.follow_for_ever(), name="bus-owners")

    def start_receiving(self, receive: Receive, missed: Missed) -> None:
        """Begin to hand over what arrives on watched topics: `receive(topic, payload)` must not block.

        `missed(topics)` names those that may have said something while nobody could hear it.
        """
        assert self._subscriber is None, "one receiver a bus"
        self._subscriber = Subscriber(self._owners, self._prefix, receive, missed)
        self.start_publishing()

    async def close(self) -> None:
        """Give queued messages a moment to leave, and disconnect."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                # A last look now and then; whoever fills the box is ending too.
                while self.waiting:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await self._tasks.close()
        await self._publisher.close()
        if self._subscriber is not None:
            await self._subscriber.close()

    def publish(self, topic: str, payload: bytes) -> None:
        """Queue a message for every node that watches the topic."""
        self._publisher.put(Message(*self._owners.locate(self._prefix, topic), payload))

    async def watch(self, topics: Sequence[str]) -> None:
        """Return once Redis confirmed that topics are listened to from now on.

        While Redis is away this returns without; they are `missed` as soon as it is back. Many calls at once share
        their commands and round trips.
        """
        assert self._subscriber is not None, "nobody receives"
        await self._subscriber.watch(topics)

    def unwatch(self, topics: Sequence[str]) -> None:
        """Stop listening to topics."""
        if self._subscriber is not None:
            self._subscriber.unwatch(topics)
