"""The bus's way out: messages wait for their server in a bounded queue and leave in batches."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final, NamedTuple

import hiredis
import structlog

from feira.platform.runtime import bus_metrics
from feira.platform.runtime.bus_link import Link, Links
from feira.platform.runtime.bus_owners import Owners
from feira.platform.runtime.cluster_map import parse_redirect
from feira.platform.runtime.redis_url import Address
from feira.platform.runtime.resp import RespConnection, refusal

log = structlog.get_logger("feira.bus")

# What waits for one server while it is away; the oldest go first, since the top check heals any loss.
OUTBOX_MAX: Final = 20_000
PIPELINE_MAX: Final = 512
PUBLISH_AFTER_S: Final = 0.001
PUBLISH_EVERY_S: Final = 0.005
PUBLISH_TIMEOUT_S: Final = 2.0


class Message(NamedTuple):
    """One publication."""

    partition: int
    channel: str
    payload: bytes


class PublishLink(Link):
    """Sends what is in its outbox. What was sent and not answered is sent again."""

    name = "publisher"

    def __init__(self, publisher: Publisher, owners: Owners, address: Address) -> None:
        super().__init__(owners, address)
        self._publisher = publisher
        self._verb = "SPUBLISH" if owners.is_sharded else "PUBLISH"
        self._outbox: Final[deque[Message]] = deque(maxlen=OUTBOX_MAX)
        self._in_flight: Final[deque[Message]] = deque()
        self._filled = asyncio.Event()
        self._published_at = 0.0

    def put(self, message: Message) -> None:
        if len(self._outbox) == OUTBOX_MAX:
            bus_metrics.MESSAGES_DROPPED.inc()
        self._outbox.append(message)
        if len(self._outbox) == 1:
            self._filled.set()

    def __len__(self) -> int:
        return len(self._in_flight) + len(self._outbox)

    @property
    def unanswered(self) -> list[Message]:
        """All that no server has taken yet, as far as is known."""
        return [*self._in_flight, *self._outbox]

    async def serve(self, connection: RespConnection) -> None:
        while True:
            await self._filled.wait()
            await asyncio.sleep(self._pause_s())
            while self._in_flight or self._outbox:
                await self._publish(connection)
            self._filled.clear()
            self._published_at = time.monotonic()

    def _pause_s(self) -> float:
        """How long a message waits for others to leave with, at a fraction of the cost.

        The first of a while lets this node's own answers go first, which are written right now.
        """
        since_s = time.monotonic() - self._published_at
        return max(PUBLISH_AFTER_S, PUBLISH_EVERY_S - since_s)

    async def _publish(self, connection: RespConnection) -> None:
        # After a broken connection what was in flight goes again: doubling is harmless (sequence numbers),
        # losing costs a read.
        while self._outbox and len(self._in_flight) < PIPELINE_MAX:
            self._in_flight.append(self._outbox.popleft())
        async with asyncio.timeout(PUBLISH_TIMEOUT_S):
            await connection.send([(self._verb, m.channel, m.payload) for m in self._in_flight])
            while self._in_flight:
                for reply in await connection.receive():
                    if isinstance(reply, hiredis.ReplyError):
                        self._refused(self._in_flight[0], reply)
                    self._in_flight.popleft()

    def _refused(self, message: Message, reply: hiredis.ReplyError) -> None:
        redirect = parse_redirect(str(reply), self.address)
        if redirect is None:
            raise refusal(reply)
        self._owners.correct(redirect)
        self._publisher.put(message)


class Publisher:
    """Hands each message to the link of its partition's owner."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._links = Links(owners, lambda address: PublishLink(self, owners, address))
        self._routes: list[PublishLink | None] = [None] * owners.partitions
        self._ownerless: deque[Message] = deque(maxlen=OUTBOX_MAX)
        owners.listen(self._moved)

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._ownerless) + sum(map(len, self._links))

    def put(self, message: Message) -> None:
        link = self._routes[message.partition]
        if link is None:
            self._ownerless.append(message)
        else:
            link.put(message)

    async def close(self) -> None:
        await self._links.close()

    def _moved(self, partitions: list[int]) -> None:
        closed = self._links.match()
        for partition in partitions:
            # What waits at the former owner comes back with MOVED.
            self._routes[partition] = self._links.to(partition)
        waiting = [*self._ownerless, *(message for link in closed for message in link.unanswered)]
        self._ownerless.clear()
        for message in waiting:
            self.put(message)
