"""The actor of one watched topic on this node: replay, order, gaps, fan-out.

It is a cache of the topic's position. Whatever reaches it (a commit of this node, a message from the bus, a
top check) only ever says "there is something up to seq N"; what is missing is read from Postgres, what is
known is dropped, and watchers get every event once and in order.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import structlog

from feira.actors import metrics
from feira.actors.frames import Encoding, EventFrames, Frame, PushFrames
from feira.actors.mailbox import Actor
from feira.platform.domain.errors import Conflict, FeiraError, Unavailable
from feira.platform.domain.events import LoggedEvent, TopicBatch
from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import REPLAY_EVENTS_MAX, Topic
from feira.platform.runtime.bus import Bus
from feira.platform.runtime.tasks import TaskOwner
from feira.sql.database import Database
from feira.sql.topics import TopicHead, read_events, read_head

log = structlog.get_logger("feira.actors")

GAP_READ_MAX: Final = 1_000


class Watcher(Protocol):
    """Somebody who watches topics from this node: a socket's session."""

    @property
    def encoding(self) -> Encoding: ...

    @property
    def user_id(self) -> UserId: ...

    def push(self, frame: Frame) -> None:
        """Queue encoded messages; never blocks, never raises."""
        ...

    def resync(self, topic: Topic) -> None:
        """The topic's log was rebuilt, or too much is missing: subscribe anew and reload."""
        ...

    def lose(self, topic: Topic) -> None:
        """The right to watch the topic is gone."""
        ...


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far a client has seen a topic."""

    seq: int
    epoch: str


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What a new watcher starts from. Not `recovered`: too much was missed, reload through history."""

    recovered: bool
    seq: int
    epoch: str
    events: list[LoggedEvent]
    state: dict[str, object]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Mail: begin to watch from a position (or from now) and say what was missed."""

    watcher: Watcher
    position: Position | None
    answer: asyncio.Future[Subscription]


@dataclass(frozen=True, slots=True)
class Committed:
    """Mail: consecutive events that are in the log."""

    batch: TopicBatch


@dataclass(frozen=True, slots=True)
class CheckHead:
    """Mail: the log's last position as Postgres has it; None asks the actor to look itself."""

    head: TopicHead | None


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """Mail: something that passes by and is never stored."""

    frames: PushFrames
    origin: UserId | None


TopicMail = Subscribe | Committed | CheckHead | Ephemeral


class TopicActor(Actor[object]):
    """Mail is `TopicMail`, plus what a subclass adds through `handle_commands`."""

    def __init__(self, topic: Topic, *, database: Database, bus: Bus, tasks: TaskOwner) -> None:
        super().__init__(tasks)
        self.kind = topic.kind
        self.topic: Final = topic
        self.database = database
        self.bus = bus
        self.watchers: set[Watcher] = set()
        self._seq: int | None = None
        """The last event handed to watchers; None while unknown (nobody watched, or after a crash)."""
        self._epoch = ""

    def is_behind(self, head: TopicHead) -> bool:
        """Whether the log holds something that the watchers were not given."""
        return self._seq is None or head.seq > self._seq or head.epoch != self._epoch

    def unsubscribe(self, watcher: Watcher) -> None:
        """Stop pushing to a watcher, at once."""
        if watcher in self.watchers:
            self.watchers.discard(watcher)
            self.watcher_left(watcher)

    def hear(self, mail: Committed | CheckHead | Ephemeral) -> None:
        """Pass on what follows the watchers' position at once; all else, and all behind waiting mail, is mail.

        Raises:
            Unavailable: see `tell`.
        """
        if self.is_idle and self.watchers:
            if isinstance(mail, Ephemeral):
                self.push_ephemeral(mail.frames, mail.origin)
                return
            if isinstance(mail, Committed) and self._follows(mail.batch):
                self._deliver(mail.batch.events)
                return
        self.tell(mail)

    def _follows(self, batch: TopicBatch) -> bool:
        return (
            self._seq is not None
            and batch.epoch == self._epoch
            and bool(batch.events)
            and batch.events[0].seq == self._seq + 1
        )

    # What subclasses may add.

    async def handle_commands(self, commands: list[object]) -> None:
        """Carry out mail that is not about watching."""
        raise AssertionError(f"{self.kind} actors take no commands: {commands!r}")

    def reject_command(self, command: object, error: Exception) -> None:
        """Answer a command that crashed."""

    async def snapshot(self, watcher: Watcher) -> dict[str, object]:  # noqa: ARG002 - subclasses look at it
        """State that is not in the log and that a new watcher needs (cursors, presence).

        Raises:
            FeiraError: the watcher may not watch this, as is known only now.
        """
        return {}

    def watcher_joined(self, watcher: Watcher) -> None:
        """A watcher is in."""

    def watcher_left(self, watcher: Watcher) -> None:
        """A watcher is gone."""

    def events_delivered(self, events: list[LoggedEvent]) -> None:
        """Events went out to the watchers."""

    # Mail.

    async def handle(self, batch: list[object]) -> None:
        commands = [mail for mail in batch if not isinstance(mail, TopicMail)]
        if commands:
            await self.handle_commands(commands)
        for mail in batch:
            match mail:
                case Subscribe():
                    await self._subscribe(mail)
                case Committed() | CheckHead():
                    await self._move(mail)
                case Ephemeral():
                    self.push_ephemeral(mail.frames, mail.origin)
                case _:
                    pass

    def reset(self, batch: list[object], error: Exception) -> None:
        self._seq = None
        for mail in batch:
            if isinstance(mail, Subscribe):
                if not mail.answer.done():
                    mail.answer.set_exception(_as_answer(error))
            elif not isinstance(mail, TopicMail):
                self.reject_command(mail, _as_answer(error))
        for watcher in list(self.watchers):
            self.unsubscribe(watcher)
            watcher.resync(self.topic)

    async def _subscribe(self, mail: Subscribe) -> None:
        if mail.answer.cancelled():
            return
        try:
            # Listening starts before reading: what commits in between arrives as mail behind this one.
            await self.bus.watch([str(self.topic)])
            subscription = await self._catch_up_watcher(mail.watcher, mail.position)
        except FeiraError as error:
            mail.answer.set_exception(error)
            return
        if mail.answer.cancelled():
            # Nobody waits for it any more, so nobody would ever unsubscribe.
            return
        if mail.watcher not in self.watchers:
            self.watchers.add(mail.watcher)
            self.watcher_joined(mail.watcher)
        mail.answer.set_result(subscription)

    async def _catch_up_watcher(self, watcher: Watcher, position: Position | None) -> Subscription:
        async with self.database.connection() as con:
            head = await read_head(con, self.topic)
            wanted = position if position is not None and position.epoch == head.epoch else None
            missed: list[LoggedEvent] = []
            if wanted is not None and wanted.seq < head.seq:
                missed = await read_events(
                    con, self.topic, after=wanted.seq, limit=REPLAY_EVENTS_MAX + 1
                )
        recovered = position is None or (
            wanted is not None and wanted.seq <= head.seq and len(missed) <= REPLAY_EVENTS_MAX
        )
        seq = max(head.seq, missed[-1].seq) if recovered and missed else head.seq
        await self._advance_to(seq, head.epoch)
        # What the other watchers already have beyond this reading must not be missing for the new one.
        if self._seq is not None and self._seq > seq:
            async with self.database.connection() as con:
                missed += await read_events(con, self.topic, after=seq, limit=self._seq - seq)
            seq = self._seq
        return Subscription(
            recovered=recovered,
            seq=seq,
            epoch=head.epoch,
            events=missed if recovered and position is not None else [],
            state=await self.snapshot(watcher),
        )

    async def _move(self, mail: Committed | CheckHead) -> None:
        try:
            if isinstance(mail, Committed):
                await self._take(mail.batch)
            else:
                await self._check(mail.head)
        except (Unavailable, Conflict) as error:
            # Postgres is away: the position stays where it is, and the next top check reads what is missing.
            log.warning("topic_read_failed", topic=str(self.topic), error=error.code)

    async def _take(self, batch: TopicBatch) -> None:
        if not self.watchers or not batch.events:
            # Nobody to tell; the next subscriber reads the position anew.
            self._seq = None
            return None
        if self._seq is None:
            return await self._check(None)
        if self._epoch and batch.epoch != self._epoch:
            return self._resync_all()
        fresh = [event for event in batch.events if event.seq > self._seq]
        if not fresh:
            return None
        if fresh[0].seq != self._seq + 1:
            return await self._advance_to(fresh[-1].seq, batch.epoch)
        self._epoch = batch.epoch
        return self._deliver(fresh)

    async def _check(self, head: TopicHead | None) -> None:
        if not self.watchers:
            return
        if head is None:
            async with self.database.connection() as con:
                head = await read_head(con, self.topic)
        if self._epoch and head.epoch != self._epoch:
            self._resync_all()
        else:
            await self._advance_to(head.seq, head.epoch)

    async def _advance_to(self, seq: int, epoch: str) -> None:
        """Give the present watchers everything up to `seq`, reading what is missing."""
        if self._seq is None or not self.watchers:
            if self.watchers:
                # The position was lost (crash): what these watchers have is unknown.
                self._resync_all()
            self._seq, self._epoch = seq, epoch
            return
        self._epoch = epoch
        while self._seq < seq:
            metrics.GAP_REFETCHES.labels(self.kind).inc()
            async with self.database.connection() as con:
                events = await read_events(con, self.topic, after=self._seq, limit=GAP_READ_MAX)
            if not events or events[0].seq != self._seq + 1:
                self._resync_all()
                self._seq = seq
                return
            self._deliver(events)

    def _deliver(self, events: list[LoggedEvent]) -> None:
        frames = EventFrames(self.topic, events)
        for watcher in self.watchers:
            watcher.push(frames.encoded(watcher.encoding))
        self._seq = events[-1].seq
        metrics.EVENTS_DELIVERED.labels(self.kind).inc(len(events) * len(self.watchers))
        self.events_delivered(events)

    def push_ephemeral(self, frames: PushFrames, origin: UserId | None) -> None:
        """Push to every watcher, except those of the user it comes from."""
        for watcher in self.watchers:
            if watcher.user_id != origin:
                watcher.push(frames.encoded(watcher.encoding))

    def _resync_all(self) -> None:
        for watcher in list(self.watchers):
            self.unsubscribe(watcher)
            watcher.resync(self.topic)
        self._seq, self._epoch = None, ""


def _as_answer(error: Exception) -> FeiraError:
    if isinstance(error, FeiraError):
        return error
    return Unavailable(
        "actor.restarted", "Something went wrong here; it starts afresh, please try again."
    )
