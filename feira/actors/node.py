"""This node's actors: made on demand, put away when idle, woken by commits, the bus and the top check."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar, cast
from uuid import UUID

import msgspec
import redis.asyncio as redis
import structlog

from feira.actors import metrics
from feira.actors.conversation import ConversationActor, MoveCursor
from feira.actors.frames import PushFrames
from feira.actors.group_commit import GroupCommit, Post, Posted
from feira.actors.inbox import InboxActor
from feira.actors.order import CommandOrder, OrderActor
from feira.actors.presence import Presence
from feira.actors.presence_store import PresenceStore
from feira.actors.topic import (
    CheckHead,
    Committed,
    Ephemeral,
    Position,
    Subscribe,
    Subscription,
    TopicActor,
    Watcher,
)
from feira.actors.unread import UnreadCounts
from feira.platform.domain.errors import FeiraError, Unavailable
from feira.platform.domain.events import TopicBatch
from feira.platform.domain.ids import ConversationId, OrderId, UserId
from feira.platform.domain.orders import OrderCommand
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import (
    Topic,
    conversation_topic,
    inbox_topic,
    order_topic,
    parse_topic,
)
from feira.platform.runtime.announcer import (
    Announcer,
    EventsMessage,
    ForwardMessage,
    PresenceMessage,
    decode_bus_message,
)
from feira.platform.runtime.bus import Bus
from feira.platform.runtime.tasks import TaskOwner
from feira.services.messaging.messages import (
    NewMessage,
    Outgoing,
    PostedBatch,
    PostedMessage,
    WantedCursor,
)
from feira.services.orders.orders import OrderView
from feira.sql.database import Database
from feira.sql.topics import read_heads

log = structlog.get_logger("feira.actors")

T = TypeVar("T")

TOP_CHECK_EVERY_S: Final = 3.0
CHECK_AFTER_S: Final = 0.02
TOP_CHECK_TOPICS_MAX: Final = 5_000
PASSIVATE_EVERY_S: Final = 30.0
PASSIVATE_AFTER_S: Final = 120.0
ACTORS_MAX: Final = 100_000
COMMAND_TIMEOUT_S: Final = 10.0


class Node:
    """Implements `actors.Actors`, and what sockets need beyond it."""

    def __init__(
        self, *, database: Database, bus: Bus, announcer: Announcer, client: redis.Redis
    ) -> None:
        self.database = database
        self.bus = bus
        self.tasks = TaskOwner()
        self._announcer = announcer
        self._actors: dict[Topic, TopicActor] = {}
        self._doubted: set[Topic] = set()
        self.presence = Presence(
            PresenceStore(client, node_name=announcer.node_name),
            tasks=self.tasks,
            push=self._push_here,
            ring=announcer.ring_presence,
        )
        self.unread = UnreadCounts(database, tasks=self.tasks, push=self._push_everywhere)
        self._writer = GroupCommit(database, tasks=self.tasks, committed=self._posted)
        announcer.hear_locally(self._hear, lambda topic, message: self._push_here(topic, [message]))

    def start(self) -> None:
        """Begin to listen and to keep house."""
        self.bus.start_receiving(self._receive, self._check_soon)
        self._writer.start()
        self.tasks.start(self._top_check_for_ever(), name="top-check")
        self.tasks.start(self._passivate_for_ever(), name="passivation")
        self.presence.start()

    async def close(self) -> None:
        await self.tasks.close()
        await self.presence.close()

    # Commands (the `Actors` protocol).

    async def command_order(
        self, principal: Principal, order: OrderId, command: OrderCommand, *, idempotency_key: str
    ) -> OrderView:
        """Carry out a command on an order; see `orders.execute` for what it raises."""
        answer: asyncio.Future[OrderView] = asyncio.get_running_loop().create_future()
        self._actor(order_topic(order)).tell(
            CommandOrder(
                principal=principal, command=command, idempotency_key=idempotency_key, answer=answer
            )
        )
        return await _answered(answer)

    async def post_message(
        self, principal: Principal, conversation: ConversationId, message: NewMessage
    ) -> PostedMessage:
        """Say something in a conversation; returns after the commit.

        Raises:
            NotFound: `conversation.not_found`: also for conversations of others.
            Unavailable: not accepted, or the outcome is unknown; send the same `client_id` again.
        """
        answer: asyncio.Future[PostedMessage] = asyncio.get_running_loop().create_future()

        def answered(posted: Posted) -> None:
            if answer.done():
                return
            if isinstance(posted, FeiraError):
                answer.set_exception(posted)
            else:
                answer.set_result(posted)

        self.post_message_soon(principal, conversation, message, answered)
        return await _answered(answer)

    def post_message_soon(
        self,
        principal: Principal,
        conversation: ConversationId,
        message: NewMessage,
        answered: Callable[[Posted], None],
    ) -> None:
        """The same without waiting: messages posted one after the other keep their order."""
        outgoing = Outgoing(conversation=conversation, sender=principal.user_id, message=message)
        self._writer.post(Post(outgoing, answered))

    def _posted(self, conversation: ConversationId, posted: PostedBatch) -> None:
        topic = conversation_topic(conversation)
        self._announcer.announce(
            [TopicBatch(topic=topic, epoch=posted.epoch, events=posted.events)]
        )

    async def move_cursor(self, conversation: ConversationId, wanted: WantedCursor) -> None:
        """Record how far a member has read or received; others are told, a cursor never moves back."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._actor(conversation_topic(conversation)).tell(MoveCursor(wanted=wanted, answer=answer))
        await _answered(answer)

    def typing(self, principal: Principal, conversation: ConversationId) -> None:
        """Tell the other members; only members who watch the conversation may."""
        actor = self._actors.get(conversation_topic(conversation))
        if isinstance(actor, ConversationActor) and any(
            watcher.user_id == principal.user_id for watcher in actor.watchers
        ):
            actor.typing(principal.user_id)

    # Watching.

    async def subscribe(
        self, topic: Topic, watcher: Watcher, position: Position | None
    ) -> Subscription:
        """Have `watcher` pushed everything after what the returned subscription tells. Rights were checked before."""
        answer: asyncio.Future[Subscription] = asyncio.get_running_loop().create_future()
        actor = self._actor(topic)
        was_watching = watcher in actor.watchers
        actor.tell(Subscribe(watcher=watcher, position=position, answer=answer))
        try:
            return await _answered(answer)
        except BaseException:
            # Whoever does not learn of a subscription never ends it.
            if not was_watching:
                actor.unsubscribe(watcher)
            raise

    async def listen_to(self, topics: Sequence[Topic]) -> None:
        """Have the bus listen to many topics in one go, before each is subscribed to. Rights were checked before."""
        for topic in topics:
            # It is put away with its actor, should nobody subscribe.
            self._actor(topic)
        await self.bus.watch([str(topic) for topic in topics])

    def unsubscribe(self, topic: Topic, watcher: Watcher) -> None:
        actor = self._actors.get(topic)
        if actor is not None:
            actor.unsubscribe(watcher)

    # Telling.

    def forward(self, principal: Principal, stream: UUID, data: bytes) -> None:
        """Hand messages to a stream of the same session, on whatever node; lost when there is none."""
        message = ForwardMessage(stream, principal.session_id, data)
        topic = inbox_topic(principal.user_id)
        if not self._forward_here(topic, message):
            self._announcer.forward(topic, message)

    def _forward_here(self, topic: Topic, message: ForwardMessage) -> bool:
        actor = self._actors.get(topic)
        return isinstance(actor, InboxActor) and actor.forward(message)

    def announce_ephemeral(
        self, topic: Topic, message: object, *, origin: UserId | None = None
    ) -> None:
        self._announcer.announce_ephemeral(topic, message, origin=origin)

    def _push_here(self, topic: Topic, messages: Sequence[object]) -> None:
        self._tell_if_active(topic, Ephemeral(PushFrames(*messages), None))

    def _push_everywhere(self, topic: Topic, message: object, origin: UserId | None) -> None:
        self._tell_if_active(topic, Ephemeral(PushFrames(message), origin))
        self._announcer.announce_ephemeral(topic, message, origin=origin)

    # Actors.

    def _actor(self, topic: Topic) -> TopicActor:
        actor = self._actors.get(topic)
        if actor is None:
            if len(self._actors) >= ACTORS_MAX:
                raise Unavailable(
                    "node.full",
                    "This server has too much to do; please try again.",
                    retry_after_s=2,
                )
            actor = self._actors[topic] = self._make(topic)
            metrics.ACTIVATIONS.labels(topic.kind).inc()
            metrics.ACTIVE.labels(topic.kind).inc()
        return actor

    def _make(self, topic: Topic) -> TopicActor:
        match topic.kind:
            case "conversation":
                return ConversationActor(cast("ConversationId", topic.id), node=self)
            case "order":
                return OrderActor(cast("OrderId", topic.id), node=self)
            case "inbox":
                return InboxActor(cast("UserId", topic.id), node=self)
            case "shop" | "product" | "ops":
                return TopicActor(topic, database=self.database, bus=self.bus, tasks=self.tasks)

    def is_active(self, topic: Topic) -> bool:
        """Whether an actor of the topic is in memory."""
        return topic in self._actors

    def _tell_if_active(self, topic: Topic, mail: Committed | CheckHead | Ephemeral) -> None:
        actor = self._actors.get(topic)
        if actor is None:
            return
        try:
            actor.hear(mail)
        except Unavailable:
            # Nothing durable is lost: the next top check makes up for it.
            log.warning("actor_overloaded", topic=str(topic))

    def _hear(self, batch: TopicBatch) -> None:
        """What this process committed, whoever in it did."""
        if batch.topic.kind == "conversation":
            self.unread.tell_soon(cast("ConversationId", batch.topic.id))
        self._tell_if_active(batch.topic, Committed(batch))

    def _receive(self, topic_name: str, payload: bytes) -> None:
        if self._announcer.is_own(payload):
            return
        try:
            topic = parse_topic(topic_name)
            message = decode_bus_message(payload)
        except (FeiraError, msgspec.MsgspecError) as error:
            # Another version's message during a rolling deploy: the top check tells what it said.
            log.warning("bus_message_unknown", topic=topic_name[:80], error=str(error)[:200])
            return
        if isinstance(message, EventsMessage):
            self._tell_if_active(topic, Committed(message.batch(topic)))
        elif isinstance(message, PresenceMessage):
            self.presence.look_again(topic)
        elif isinstance(message, ForwardMessage):
            self._forward_here(topic, message)
        else:
            frames = PushFrames(msgspec.Raw(message.message))
            self._tell_if_active(
                topic, Ephemeral(frames, None if message.origin is None else UserId(message.origin))
            )

    # Housekeeping.

    def _check_soon(self, topic_names: Sequence[str]) -> None:
        """The bus could not hear these: whatever it would have said meanwhile is in the stores."""
        if not self._doubted:
            self.tasks.start(self._check_doubted(), name="top-check-now")
        for topic in map(parse_topic, topic_names):
            self._doubted.add(topic)
            self.presence.look_again(topic)

    async def _check_doubted(self) -> None:
        # They come in heaps, when a server is back.
        await asyncio.sleep(CHECK_AFTER_S)
        doubted, self._doubted = self._doubted, set()
        await self._check_heads(doubted)

    async def _top_check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TOP_CHECK_EVERY_S)
            await self._check_heads(self._actors)

    async def _check_heads(self, topics: Iterable[Topic]) -> None:
        """One query over all that are watched: catches a last message that the bus lost."""
        watched = [
            topic
            for topic in topics
            if (actor := self._actors.get(topic)) is not None and actor.watchers
        ]
        for start in range(0, len(watched), TOP_CHECK_TOPICS_MAX):
            chunk = watched[start : start + TOP_CHECK_TOPICS_MAX]
            try:
                async with self.database.connection() as con:
                    heads = await read_heads(con, chunk)
            except FeiraError as error:
                log.warning("top_check_failed", error=error.code)
                return
            for head in heads:
                topic = parse_topic(head.topic)
                actor = self._actors.get(topic)
                if actor is not None and actor.is_behind(head):
                    self._tell_if_active(topic, CheckHead(head))

    async def _passivate_for_ever(self) -> None:
        while True:
            await asyncio.sleep(PASSIVATE_EVERY_S)
            await self.passivate(older_than_s=PASSIVATE_AFTER_S)

    async def passivate(self, *, older_than_s: float) -> None:
        """Put away actors without watchers or mail that were not used for so long."""
        limit = time.monotonic() - older_than_s
        idle = [
            topic
            for topic, actor in self._actors.items()
            if actor.is_idle and not actor.watchers and actor.used_at <= limit
        ]
        for topic in idle:
            del self._actors[topic]
            metrics.PASSIVATIONS.labels(topic.kind).inc()
            metrics.ACTIVE.labels(topic.kind).dec()
        self.bus.unwatch([str(topic) for topic in idle])


async def _answered(answer: asyncio.Future[T]) -> T:
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            return await answer
    except TimeoutError:
        raise Unavailable(
            "actor.timeout",
            "This took too long and may still happen; repeat it with the same key.",
            retry_after_s=1,
        ) from None
