"""Topic actors without stores: logs in memory, and watchers that check what they are given."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from feira.actors.frames import Encoding, Frame
from feira.actors.mail import Position, Subscribe, Subscription
from feira.actors.topic import TopicActor
from feira.platform.domain.errors import Unavailable
from feira.platform.domain.events import LoggedEvent, TopicBatch
from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import Topic
from feira.sql.topics import TopicHead

AT = datetime(2026, 1, 1, tzinfo=UTC)


class MemoryLog:
    """A `TopicReader` and `Ears` of one topic. Reading takes a turn of the loop, and fails while `is_away`."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.events: list[LoggedEvent] = []
        self.epoch = "a"
        self.is_away = False
        self.head_reads = 0
        self.event_reads = 0

    @property
    def head(self) -> TopicHead:
        return TopicHead(topic=str(self.topic), seq=len(self.events), epoch=self.epoch)

    def commit(self, count: int = 1) -> TopicBatch:
        """Append events whose bodies say where they are from."""
        first = len(self.events) + 1
        fresh = [
            LoggedEvent(
                seq=seq,
                at=AT,
                body=msgspec.Raw(msgspec.json.encode({"seq": seq, "epoch": self.epoch})),
            )
            for seq in range(first, first + count)
        ]
        self.events += fresh
        return TopicBatch(topic=self.topic, epoch=self.epoch, events=fresh)

    def restore(self, seq: int, epoch: str) -> None:
        """Go back to a backup."""
        del self.events[seq:]
        self.epoch = epoch

    async def read_head(self, topic: Topic) -> TopicHead:
        self.head_reads += 1
        await self._answer(topic)
        return self.head

    async def read_events(self, topic: Topic, *, after: int, limit: int) -> TopicBatch:
        self.event_reads += 1
        await self._answer(topic)
        return TopicBatch(topic=topic, epoch=self.epoch, events=self.events[after : after + limit])

    async def watch(self, topics: Sequence[str]) -> None:
        assert list(topics) == [str(self.topic)]
        await asyncio.sleep(0)

    async def _answer(self, topic: Topic) -> None:
        assert topic == self.topic
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("database.unavailable", "away", retry_after_s=1)


class NobodyKeeps:
    """A `Keeper` for actors on their own."""

    def woke(self, actor: TopicActor, /) -> None: ...

    def rested(self, actor: TopicActor, /) -> None: ...


@dataclass(eq=False)
class Reader:
    """A watcher with a client's memory, who insists on the next event whenever one comes."""

    number: int
    encoding: Encoding = "json"
    position: Position | None = None
    """What it has seen; None before its first subscription."""
    seen: list[int] = field(default_factory=list[int])
    """The numbers that came, replayed or pushed, since it last loaded everything."""
    ephemerals: list[Any] = field(default_factory=list[Any])
    is_watching: bool = False
    is_asking: bool = False
    early: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    broken: list[str] = field(default_factory=list[str])
    """Promises that were not kept. Raising would only be a crash to the actor, from which it recovers."""

    @property
    def user_id(self) -> UserId:
        return UserId(UUID(int=self.number))

    def push(self, frame: Frame) -> None:
        for line in frame.data.split(b"\n"):
            message = msgspec.json.decode(line)
            if "event" not in message:
                self.ephemerals.append(message)
            elif self.is_asking:
                # Pushes may overtake the answer.
                self.early.append(message["event"])
            else:
                self._take(message["event"]["seq"], message["event"]["body"])

    def resync(self, topic: Topic) -> None:
        del topic
        self.is_watching = False
        # It will start over from whatever it is answered.
        self.early.clear()

    def lose(self, topic: Topic) -> None:
        raise AssertionError(f"nobody takes {topic} from anybody")

    async def subscribe(self, actor: TopicActor) -> None:
        """Begin to watch, or go on, from where it stands.

        Raises:
            FeiraError: it does not watch.
        """
        assert not self.is_asking
        was_watching, self.is_asking = self in actor.watchers, True
        try:
            self._go_on_from(await actor.ask(partial(Subscribe, self, self.position)))
            # Unless it was sent away between the answer and its arrival.
            self.is_watching = self in actor.watchers
        finally:
            self.is_asking = False
            early, self.early = self.early, []
            for event in early:
                # What came over an older subscription is in the answer too.
                if not was_watching or self.position is None or event["seq"] > self.position.seq:
                    self._take(event["seq"], event["body"])

    def _go_on_from(self, subscription: Subscription) -> None:
        if self.position is not None and subscription.recovered:
            self._expect(subscription.epoch == self.position.epoch, "it went on in another epoch")
            for event in subscription.events:
                self._take(event.seq, msgspec.json.decode(event.body))
            self._expect(self.position.seq == subscription.seq, "an answer's events are not all")
        else:
            # Everything is loaded anew, through history.
            self._expect(subscription.events == [], "events came beside a reload")
            self.seen = []
        self.position = Position(seq=subscription.seq, epoch=subscription.epoch)

    def _take(self, seq: int, body: dict[str, Any]) -> None:
        if self.position is None:
            self._expect(kept=False, promise=f"{seq} came before the first answer")
            return
        self._expect(seq == self.position.seq + 1, f"{seq} came after {self.position.seq}")
        self._expect(body == {"seq": seq, "epoch": self.position.epoch}, f"{seq} was {body}")
        self.position = Position(seq=seq, epoch=self.position.epoch)
        self.seen.append(seq)

    def _expect(self, kept: bool, promise: str) -> None:  # noqa: FBT001
        if not kept:
            self.broken.append(promise)


class HurriedLoop(asyncio.SelectorEventLoop):
    """Nobody sleeps: when there is nothing to do until some moment, it is that moment."""

    def __init__(self) -> None:
        super().__init__(_HurriedSelector(self))
        self.ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


class _HurriedSelector(selectors.DefaultSelector):
    def __init__(self, loop: HurriedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            self._loop.ahead_s += timeout
            timeout = 0
        return super().select(timeout)
