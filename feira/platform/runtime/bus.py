"""The bus: Redis pub/sub between nodes. A doorbell, never the truth.

A message may be lost, doubled or late; whoever listens checks sequence numbers and reads Postgres for what is
missing. Publishing never blocks and never fails: while Redis is away messages wait in a bounded queue, and
once the subscriber is connected again `on_connected` has every watched topic checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import structlog

from feira.platform.runtime.resp import RespConnection

log = structlog.get_logger("feira.bus")

# What waits to be published while Redis is away; the oldest go first, since the top check heals any loss.
OUTBOX_MAX: Final = 20_000
PIPELINE_MAX: Final = 512
PUBLISH_AFTER_S: Final = 0.001
PUBLISH_EVERY_S: Final = 0.005
PUBLISH_TIMEOUT_S: Final = 2.0
CONFIRM_TIMEOUT_S: Final = 0.5
# A half-open connection shows itself by not answering this.
PING_EVERY_S: Final = 5.0
BACKOFF_MIN_S: Final = 0.05
BACKOFF_MAX_S: Final = 1.0

Receive = Callable[[str, bytes], None]


class Bus:
    """One publishing and one subscribing connection, both opened again whenever they break."""

    def __init__(self, redis_url: str, installation: str) -> None:
        self._url = redis_url
        # Pub/sub knows no databases: two markets on one Redis are told apart by name.
        self._prefix = f"{installation}:topic:"
        self._outbox: deque[tuple[str, bytes]] = deque(maxlen=OUTBOX_MAX)
        self._outbox_filled = asyncio.Event()
        self._watched: set[str] = set()
        self._confirmations: dict[str, asyncio.Future[None]] = {}
        self._subscriber: RespConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._published_at = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether the subscription stands."""
        return self._subscriber is not None

    def start_publishing(self) -> None:
        """Begin to send what `publish` queues. A process that only publishes needs no more."""
        self._tasks.append(asyncio.create_task(self._publish_for_ever(), name="bus-publisher"))

    def start_receiving(self, receive: Receive, on_connected: Callable[[], None]) -> None:
        """Begin to hand over what arrives on watched topics; `receive(topic, payload)` must not block."""
        self._tasks.append(
            asyncio.create_task(
                self._receive_for_ever(receive, on_connected), name="bus-subscriber"
            )
        )

    async def close(self) -> None:
        """Give queued messages a moment to leave, and disconnect."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                # A last look now and then; whoever fills the box is ending too.
                while self._outbox:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def publish(self, topic: str, payload: bytes) -> None:
        """Queue a message for every node that watches the topic."""
        self._outbox.append((self._prefix + topic, payload))
        self._outbox_filled.set()

    async def watch(self, topics: list[str]) -> None:
        """Return once Redis confirmed that topics are listened to from now on.

        While Redis is away this returns without: the next connection subscribes to everything watched.
        """
        fresh = [topic for topic in topics if topic not in self._watched]
        if not fresh:
            return
        self._watched.update(fresh)
        confirmed = self._confirmations[fresh[-1]] = asyncio.get_running_loop().create_future()
        await self._tell("SUBSCRIBE", fresh)
        if self._subscriber is not None:
            await asyncio.wait([confirmed], timeout=CONFIRM_TIMEOUT_S)
        self._confirmations.pop(fresh[-1], None)

    async def unwatch(self, topics: list[str]) -> None:
        """Stop listening to topics."""
        known = [topic for topic in topics if topic in self._watched]
        self._watched.difference_update(known)
        await self._tell("UNSUBSCRIBE", known)

    async def _tell(self, verb: str, topics: list[str]) -> None:
        subscriber = self._subscriber
        if subscriber is None or not topics:
            return
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                await subscriber.send([(verb, *(self._prefix + topic for topic in topics))])
        except OSError as error:
            # The reader sees the same broken connection and starts over with everything watched.
            log.warning("bus_change_failed", error=type(error).__name__)

    async def _publish_for_ever(self) -> None:
        backoff_s = BACKOFF_MIN_S
        while True:
            connection: RespConnection | None = None
            try:
                connection = await RespConnection.open(self._url)
                backoff_s = BACKOFF_MIN_S
                while True:
                    await self._outbox_filled.wait()
                    await asyncio.sleep(self._pause_s())
                    await self._publish_queued(connection)
            except OSError as error:
                log.warning(
                    "bus_publisher_lost", error=type(error).__name__, queued=len(self._outbox)
                )
            finally:
                if connection is not None:
                    await connection.close()
            await asyncio.sleep(random.uniform(backoff_s / 2, backoff_s))  # noqa: S311
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    def _pause_s(self) -> float:
        """How long a message waits for others to leave with, at a fraction of the cost.

        The first of a while lets this node's own answers go first, which are written right now.
        """
        since_s = time.monotonic() - self._published_at
        return max(PUBLISH_AFTER_S, PUBLISH_EVERY_S - since_s)

    async def _publish_queued(self, connection: RespConnection) -> None:
        while self._outbox:
            batch = [self._outbox.popleft() for _ in range(min(PIPELINE_MAX, len(self._outbox)))]
            try:
                async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                    await connection.send(
                        [("PUBLISH", channel, payload) for channel, payload in batch]
                    )
                    answered = 0
                    while answered < len(batch):
                        answered += len(await connection.receive())
            except OSError:
                # Doubling is harmless (sequence numbers), losing costs a read: these go first next time.
                self._outbox.extendleft(reversed(batch))
                raise
        self._outbox_filled.clear()
        self._published_at = time.monotonic()

    async def _receive_for_ever(self, receive: Receive, on_connected: Callable[[], None]) -> None:
        backoff_s = BACKOFF_MIN_S
        while True:
            connection: RespConnection | None = None
            try:
                connection = await RespConnection.open(self._url)
                # The bare prefix is nobody's topic: it keeps the connection in subscriber mode from the start.
                # From here on `watch` speaks on this connection itself, so no topic falls in between.
                self._subscriber = connection
                await connection.send(
                    [("SUBSCRIBE", self._prefix, *(self._prefix + t for t in self._watched))]
                )
                backoff_s = BACKOFF_MIN_S
                on_connected()
                await self._hand_over(connection, receive)
            except OSError as error:
                log.warning("bus_subscriber_lost", error=type(error).__name__)
            finally:
                self._subscriber = None
                if connection is not None:
                    await connection.close()
            await asyncio.sleep(random.uniform(backoff_s / 2, backoff_s))  # noqa: S311
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def _hand_over(self, connection: RespConnection, receive: Receive) -> None:
        prefix = len(self._prefix)
        asked = False
        while True:
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    replies = await connection.receive()
            except TimeoutError:
                if asked:
                    raise
                asked = True
                await connection.send([("PING",)])
                continue
            asked = False
            for kind, channel, *payload in cast("list[list[bytes]]", replies):
                topic = channel.decode()[prefix:]
                if kind == b"message":
                    receive(topic, payload[0])
                elif (
                    confirmed := self._confirmations.get(topic)
                ) is not None and not confirmed.done():
                    confirmed.set_result(None)
