"""The actor of one watched topic on this node: replay, order, gaps, fan-out.

It is a cache of the topic's position. Whatever reaches it (a commit of this node, a message from the bus, a
top check) only ever says "there is something up to seq N"; what is missing is read from the log, what is
known is dropped, and watchers get every event once and in order.
"""

from __future__ import annotations

import time
from typing import Final

import structlog

from feira.actors.frames import EventFrames, PushFrames
from feira.actors.mail import (
    CheckHead,
    Committed,
    Ephemeral,
    Position,
    Subscribe,
    Subscription,
    TopicMail,
    Watcher,
)
from feira.actors.mailbox import Actor, as_answer
from feira.actors.surroundings import Surroundings
from feira.platform.domain.errors import Conflict, FeiraError, Unavailable
from feira.platform.domain.events import LoggedEvent, TopicBatch
from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import REPLAY_EVENTS_MAX, Topic
from feira.sql.topics import TopicHead

log = structlog.get_logger("feira.actors")

# Whoever misses more than this is better off reloading.
GAP_EVENTS_MAX: Final = 1_000


class TopicActor(Actor[object]):
    """Mail is `TopicMail`, plus what a subclass adds through `handle_commands`."""

    __slots__ = ("_around", "_epoch", "_must_look", "_seq", "topic", "watchers")

    def __init__(self, topic: Topic, around: Surroundings) -> None:
        super().__init__(topic.kind, around.tasks)
        self.topic: Final = topic
        self.watchers: set[Watcher] = set()
        self._around = around
        self._seq: int | None = None
        """The last event handed to watchers; None while unknown (nobody watched, or after a crash)."""
        self._epoch = ""
        self._must_look = False
        """Mail about the log did not fit into the box."""

    def is_behind(self, head: TopicHead) -> bool:
        """Whether the log holds something that the watchers were not given."""
        return self._seq is None or head.seq > self._seq or head.epoch != self._epoch

    def unsubscribe(self, watcher: Watcher) -> None:
        """Stop pushing to a watcher, at once."""
        if watcher in self.watchers:
            self.watchers.discard(watcher)
            self.metrics.watchers.dec()
            self.watcher_left(watcher)
            if not self.watchers and self.is_idle:
                self.rested()

    def woke(self) -> None:
        self._around.keeper.woke(self)

    def rested(self) -> None:
        self._around.keeper.rested(self)

    def hear(self, mail: Committed | CheckHead | Ephemeral) -> None:
        """Pass on what follows the watchers' position at once; all else, and all behind waiting mail, is mail.

        Never raises: what a full box does not take is passing, or read from the log after the mail that fills it.
        """
        if self.is_idle and self.watchers:
            try:
                if self._pass_on(mail):
                    self._count(1, time.monotonic())
                    return
            except Exception as error:
                log.exception("actor_crashed", kind=self.kind, crashes=self.crashes + 1)
                self.crash([], error)
                return
        if isinstance(mail, Ephemeral):
            self.offer(mail)
            return
        try:
            self.tell(mail)
        except Unavailable:
            self._must_look = True

    def _pass_on(self, mail: Committed | CheckHead | Ephemeral) -> bool:
        if isinstance(mail, Ephemeral):
            self.push_ephemeral(mail.frames, mail.origin)
            return True
        if isinstance(mail, Committed) and self._follows(mail.batch):
            self._deliver(mail.batch.events)
            return True
        return False

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

    async def snapshot(self) -> dict[str, object]:
        """State that is not in the log and that new watchers need (cursors, presence)."""
        return {}

    def refuse(self, users: set[UserId], state: dict[str, object]) -> dict[UserId, FeiraError]:  # noqa: ARG002 - subclasses look at them
        """Those who may not watch after all, as is known only now, from the snapshot."""
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
        arrivals: list[Subscribe] = []
        for mail in batch:
            if isinstance(mail, Subscribe):
                arrivals.append(mail)
                continue
            # In their order: whoever came before an event gets it pushed.
            await self._welcome(arrivals)
            arrivals = []
            if isinstance(mail, Ephemeral):
                self.push_ephemeral(mail.frames, mail.origin)
            elif isinstance(mail, Committed | CheckHead):
                await self._move(mail)
        await self._welcome(arrivals)
        if self._must_look:
            self._must_look = False
            await self._move(CheckHead(None))

    def reset(self, batch: list[object], error: Exception) -> None:
        for mail in batch:
            if isinstance(mail, Subscribe):
                if not mail.answer.done():
                    mail.answer.set_exception(as_answer(error))
            elif not isinstance(mail, TopicMail):
                self.reject_command(mail, as_answer(error))
        self._resync_all()

    async def _welcome(self, arrivals: list[Subscribe]) -> None:
        """Many who come at once (a server was restarted) are one reading."""
        arrivals = [mail for mail in arrivals if not mail.answer.done()]
        if not arrivals:
            return
        try:
            # Listening starts before reading: what commits in between arrives as mail behind this one.
            await self._around.ears.watch([str(self.topic)])
            head = await self._around.reader.read_head(self.topic)
            await self._advance_to(head.seq, head.epoch)
            state = await self.snapshot()
            subscriptions = await self._catch_up({mail.position for mail in arrivals}, state)
            refused = self.refuse({mail.watcher.user_id for mail in arrivals}, state)
        except FeiraError as error:
            for mail in arrivals:
                if not mail.answer.done():
                    mail.answer.set_exception(error)
            return
        for mail in arrivals:
            # Nobody would ever unsubscribe one that nobody waits for any more.
            if mail.answer.done():
                continue
            if error := refused.get(mail.watcher.user_id):
                mail.answer.set_exception(error)
                continue
            if mail.watcher not in self.watchers:
                self.watchers.add(mail.watcher)
                self.metrics.watchers.inc()
                self.watcher_joined(mail.watcher)
            mail.answer.set_result(subscriptions[mail.position])

    async def _catch_up(
        self, positions: set[Position | None], state: dict[str, object]
    ) -> dict[Position | None, Subscription]:
        """What each position has missed up to the watchers' position, to which nothing is added meanwhile."""
        assert self._seq is not None, "it was just read"
        seq, epoch = self._seq, self._epoch
        subscriptions: dict[Position | None, Subscription] = {}
        for position in positions:
            events: list[LoggedEvent] = []
            recovered = position is None or (position.epoch == epoch and position.seq <= seq)
            if position is not None and recovered and position.seq < seq:
                recovered = seq - position.seq <= REPLAY_EVENTS_MAX
                if recovered:
                    events = await self._read(position.seq, seq)
                    # The beginning of a log may have been put away.
                    recovered = bool(events)
            subscriptions[position] = Subscription(
                recovered=recovered, seq=seq, epoch=epoch, events=events, state=state
            )
        return subscriptions

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
        elif self._seq is None:
            await self._check(None)
        elif self._follows(batch):
            self._deliver(batch.events)
        else:
            # Known, or something before it is missing, or it is of another epoch.
            await self._advance_to(batch.events[-1].seq, batch.epoch)

    async def _check(self, head: TopicHead | None) -> None:
        if self.watchers:
            head = head or await self._around.reader.read_head(self.topic)
            await self._advance_to(head.seq, head.epoch)

    async def _advance_to(self, seq: int, epoch: str) -> None:
        """Give the present watchers everything up to `seq`, reading what is missing."""
        if self.watchers and (
            self._seq is None or epoch != self._epoch or seq - self._seq > GAP_EVENTS_MAX
        ):
            # What they have is unknown or void, or too much is missing.
            self._resync_all()
        if not self.watchers:
            self._seq, self._epoch = seq, epoch
            return
        assert self._seq is not None, "who watches has a position"
        if self._seq < seq:
            self.metrics.gap_refetches.inc()
            if events := await self._read(self._seq, seq):
                self._deliver(events)
            else:
                self._resync_all()

    async def _read(self, after: int, seq: int) -> list[LoggedEvent]:
        """All events after one number up to another; none if some are not there, or not of this epoch."""
        batch = await self._around.reader.read_events(self.topic, after=after, limit=seq - after)
        seqs = [event.seq for event in batch.events]
        if batch.epoch == self._epoch and seqs == list(range(after + 1, seq + 1)):
            return batch.events
        log.warning("topic_has_a_hole", topic=str(self.topic), after=after, seq=seq)
        return []

    def _deliver(self, events: list[LoggedEvent]) -> None:
        frames = EventFrames(self.topic, events)
        for watcher in list(self.watchers):
            watcher.push(frames.encoded(watcher.encoding))
        self._seq = events[-1].seq
        self.metrics.events_delivered.inc(len(events) * len(self.watchers))
        self.events_delivered(events)

    def push_ephemeral(self, frames: PushFrames, origin: UserId | None) -> None:
        """Push to every watcher, except those of the user it comes from."""
        for watcher in list(self.watchers):
            if watcher.user_id != origin:
                watcher.push(frames.encoded(watcher.encoding))

    def _resync_all(self) -> None:
        for watcher in list(self.watchers):
            self.unsubscribe(watcher)
            watcher.resync(self.topic)
        self._seq, self._epoch = None, ""
