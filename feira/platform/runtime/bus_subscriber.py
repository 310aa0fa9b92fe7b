"""The bus's way in: the channels that are watched, on whichever server carries them.

A gap is a time during which a watched channel may have said something nobody heard: its server was away, it moved to
another one, or its subscription was not confirmed in time. Once it is listened to again, the topic is handed to
`missed`, and whoever watches it looks into Postgres.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import hiredis
import structlog

from feira.platform.runtime import bus_metrics
from feira.platform.runtime.bus_link import Link, Links
from feira.platform.runtime.bus_owners import Owners
from feira.platform.runtime.cluster_map import parse_redirect
from feira.platform.runtime.redis_url import Address
from feira.platform.runtime.resp import Command, RespConnection, refusal

log = structlog.get_logger("feira.bus")

CONFIRM_TIMEOUT_S: Final = 0.5
# A half-open connection shows itself by not answering this.
PING_EVERY_S: Final = 5.0

Receive = Callable[[str, bytes], None]
Missed = Callable[[Sequence[str]], None]


class Watched(NamedTuple):
    """What a channel stands for."""

    topic: str
    partition: int


class SubscribeLink(Link):
    """Subscribes in as few commands as there are partitions concerned, and reads what comes."""

    name = "subscriber"

    def __init__(self, subscriber: Subscriber, owners: Owners, address: Address) -> None:
        super().__init__(owners, address)
        self._subscriber = subscriber
        self._shard = "S" if owners.is_sharded else ""
        self._connection: RespConnection | None = None
        self._changes: dict[bytes, tuple[int, bool]] = {}
        """By channel: its partition, and whether to listen; told together at the end of the loop's turn."""

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def change(self, channels: Iterable[bytes], partition: int, *, listen: bool) -> None:
        """Begin or stop to listen. Without a connection this says nothing: the next one asks for everything."""
        if self._connection is None:
            return
        if not self._changes:
            asyncio.get_running_loop().call_soon(self._tell)
        self._changes.update(dict.fromkeys(channels, (partition, listen)))

    async def serve(self, connection: RespConnection) -> None:
        self._connection = connection
        self._changes.clear()
        try:
            for partition in self._owners.partitions_of(self.address):
                self._subscriber.regain(self, partition)
            await self._hand_over(connection)
        finally:
            self._connection = None

    def _tell(self) -> None:
        grouped: dict[tuple[int, bool], list[bytes]] = defaultdict(list)
        for channel, change in self._changes.items():
            grouped[change].append(channel)
        self._changes.clear()
        if self._connection is not None and grouped:
            verbs = {True: f"{self._shard}SUBSCRIBE", False: f"{self._shard}UNSUBSCRIBE"}
            self._connection.write(
                [(verbs[listen], *channels) for (_, listen), channels in grouped.items()]
            )

    async def _hand_over(self, connection: RespConnection) -> None:
        asked = False
        while True:
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    replies = await connection.receive()
            except TimeoutError:
                if asked:
                    raise
                asked = True
                ping: Command = ("PING",)
                await connection.send([ping])
                continue
            asked = False
            self._subscriber.hear(self, replies)


class Subscriber:
    """Knows what is watched. `receive` must not block."""

    def __init__(self, owners: Owners, prefix: str, receive: Receive, missed: Missed) -> None:
        self._owners = owners
        self._prefix = prefix
        self._receive = receive
        self._missed = missed
        self._links = Links(owners, lambda address: SubscribeLink(self, owners, address))
        self._channels: dict[bytes, Watched] = {}
        self._by_partition: dict[int, set[bytes]] = defaultdict(set)
        self._confirmations: dict[bytes, list[asyncio.Future[None]]] = {}
        self._gaps: set[bytes] = set()
        shard = b"s" if owners.is_sharded else b""
        self._message: Final = shard + b"message"
        self._subscribed: Final = shard + b"subscribe"
        self._unsubscribed: Final = shard + b"unsubscribe"
        owners.listen(self._moved)
        self._links.match()

    @property
    def is_connected(self) -> bool:
        """Whether every partition's owner is connected to."""
        return self._owners.is_known and all(link.is_connected for link in self._links)

    async def watch(self, topics: Iterable[str]) -> None:
        """Return once the servers confirmed to be listened to, or after half a second: then it is a gap."""
        loop = asyncio.get_running_loop()
        waiting: dict[bytes, asyncio.Future[None]] = {}
        for topic in topics:
            partition, name = self._owners.locate(self._prefix, topic)
            channel = name.encode()
            if channel not in self._channels:
                self._channels[channel] = Watched(topic, partition)
                self._by_partition[partition].add(channel)
                link = self._links.to(partition)
                if link is None or not link.is_connected:
                    continue
                link.change([channel], partition, listen=True)
                self._confirmations[channel] = []
            if channel in self._confirmations:
                waiting[channel] = loop.create_future()
                self._confirmations[channel].append(waiting[channel])
        if not waiting:
            return
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                for confirmed in waiting.values():
                    await confirmed
        except TimeoutError:
            self._gaps |= waiting.keys() & self._confirmations.keys()

    def unwatch(self, topics: Iterable[str]) -> None:
        for topic in topics:
            partition, name = self._owners.locate(self._prefix, topic)
            channel = name.encode()
            if self._channels.pop(channel, None) is None:
                continue
            self._by_partition[partition].discard(channel)
            self._confirmations.pop(channel, None)
            self._gaps.discard(channel)
            if (link := self._links.to(partition)) is not None:
                link.change([channel], partition, listen=False)

    async def close(self) -> None:
        await self._links.close()

    # What links call.

    def regain(self, link: SubscribeLink, partition: int) -> None:
        """Listen to all of a partition that its owner does not know of yet."""
        channels = self._by_partition.get(partition)
        if channels:
            self._gaps |= channels
            link.change(channels, partition, listen=True)

    def hear(self, link: SubscribeLink, replies: list[Any]) -> None:
        """Take in what a link read.

        Raises:
            RespError: the server refuses something that nobody can do anything about.
        """
        closed: list[str] = []
        # Every message of every watched topic comes through here: nothing is done twice.
        message, channels, receive = self._message, self._channels, self._receive
        for reply in replies:
            if not isinstance(reply, list):
                self._answered(link, reply)
                continue
            pushed: list[bytes] = reply  # pyright: ignore[reportUnknownVariableType]
            kind, channel = pushed[0], pushed[1]
            watched = channels.get(channel)
            if watched is None:
                continue
            if kind == message:
                receive(watched.topic, pushed[2])
            elif kind == self._subscribed:
                if self._links.to(watched.partition) is link and self._confirmed(channel):
                    closed.append(watched.topic)
            elif kind == self._unsubscribed:
                # The slot moved on. (Or it is the late answer to an unwatching: asking again does no harm.)
                self._gaps.add(channel)
                self._owners.doubt()
                link.change([channel], watched.partition, listen=True)
        if closed:
            bus_metrics.GAPS_CLOSED.inc(len(closed))
            log.info("bus_gap_closed", topics=len(closed), server=str(link.address))
            self._missed(closed)

    def _confirmed(self, channel: bytes) -> bool:
        """Whether this ends a gap."""
        for waiting in self._confirmations.pop(channel, ()):
            if not waiting.done():
                waiting.set_result(None)
        if channel not in self._gaps:
            return False
        self._gaps.discard(channel)
        return True

    def _answered(self, link: SubscribeLink, reply: object) -> None:
        """The answer to a PING while nothing is subscribed to, or an error."""
        if isinstance(reply, hiredis.ReplyError):
            redirect = parse_redirect(str(reply), link.address)
            if redirect is None:
                raise refusal(reply)
            self._owners.correct(redirect)

    def _moved(self, partitions: list[int]) -> None:
        self._links.match()
        for partition in partitions:
            link = self._links.to(partition)
            if link is not None and link.is_connected:
                self.regain(link, partition)
