"""This node's actors: made on demand, put away when idle, woken by commits, the bus and the top check."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar, cast
from uuid import UUID

import msgspec
import redis.asyncio as redis
import structlog

from feira.actors import metrics
from feira.actors.conversation import ConversationActor, MoveCursor
from feira.actors.frames import PushFrames
from feira.actors.group_commit import GroupCommit, Post, Posted
from feira.actors.inbox import InboxActor
from feira.actors.last_seen import LastSeen
from feira.actors.mail import (
    CheckHead,
    Committed,
    Ephemeral,
    Position,
    Subscribe,
    Subscription,
    Watcher,
)
from feira.actors.mailbox import answered as answered_in_time
from feira.actors.making import make_actor
from feira.actors.operations import tell_traffic_for_ever
from feira.actors.order import CommandOrder
from feira.actors.presence import Presence
from feira.actors.presence_store import PresenceStore
from feira.actors.registry import ACTORS_MAX, Registry
from feira.actors.report import NodeReport, report
from feira.actors.said_lately import SaidLately
from feira.actors.surroundings import PostgresTopics, Surroundings
from feira.actors.top_check import TopCheck
from feira.actors.unread import UnreadCounts
from feira.platform.domain.errors import FeiraError
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

log = structlog.get_logger("feira.actors")

T = TypeVar("T")


class Node:
    """Implements `actors.Actors`, and what sockets need beyond it."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        announcer: Announcer,
        client: redis.Redis,
        actors_max: int = ACTORS_MAX,
    ) -> None:
        self.database = database
        self.bus = bus
        self.tasks = TaskOwner()
        self._announcer = announcer
        self.actors = Registry(
            lambda topic: make_actor(topic, self), put_away=self._put_away, actors_max=actors_max
        )
        self.around = Surroundings(
            tasks=self.tasks, keeper=self.actors, reader=PostgresTopics(database), ears=bus
        )
        self._top_check = TopCheck(database, self.actors, self.tasks)
        self.presence = Presence(
            PresenceStore(client, node_name=announcer.node_name),
            tasks=self.tasks,
            push=self._push_here,
            ring=announcer.ring_presence,
        )
        self.unread = UnreadCounts(database, tasks=self.tasks, push=self._push_everywhere)
        self.last_seen = LastSeen(database, tasks=self.tasks)
        self._said = SaidLately(client, tasks=self.tasks)
        self._writer = GroupCommit(database, tasks=self.tasks, committed=self._posted)
        announcer.hear_locally(self._hear, lambda topic, message: self._push_here(topic, [message]))

    def start(self) -> None:
        """Begin to listen and to keep house."""
        self.bus.start_receiving(self._receive, self._missed)
        self._writer.start()
        self._top_check.start()
        self.tasks.start(self.actors.passivate_for_ever(), name="passivation")
        self.presence.start()
        self.tasks.start(
            tell_traffic_for_ever(
                self.actors, node=self._announcer.node_name, tell=self._announcer.tell
            ),
            name="traffic",
        )

    async def close(self) -> None:
        await self.tasks.close()
        await self.presence.close()
        await self.last_seen.close()

    # Commands (the `Actors` protocol).

    async def command_order(
        self, principal: Principal, order: OrderId, command: OrderCommand, *, idempotency_key: str
    ) -> OrderView:
        """Carry out a command on an order; see `orders.execute` for what it raises."""

        def mail(answer: asyncio.Future[OrderView]) -> CommandOrder:
            return CommandOrder(
                principal=principal, command=command, idempotency_key=idempotency_key, answer=answer
            )

        return await self.actors.activate(order_topic(order)).ask(mail)

    async def post_message(
        self, principal: Principal, conversation: ConversationId, message: NewMessage
    ) -> PostedMessage:
        """Say something in a conversation; returns after the commit.

        Raises:
            NotFound: `conversation.not_found`: also for conversations of others.
            Rejected: `message.too_many_links`, `conversation.blocked`, `posting.limited`.
            TooMany: `message.too_fast`, `message.same_text`.
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
        return await answered_in_time(answer)

    def post_message_soon(
        self,
        principal: Principal,
        conversation: ConversationId,
        message: NewMessage,
        answered: Callable[[Posted], None],
    ) -> None:
        """The same without waiting: messages posted one after the other keep their order."""
        user = principal.user_id
        self._said.require_sane(user, message.text)

        def counted(posted: Posted) -> None:
            answered(posted)
            if isinstance(posted, PostedMessage):
                self._said.said(user, conversation, message.text)

        outgoing = Outgoing(conversation=conversation, sender=user, message=message)
        self._writer.post(Post(outgoing, counted))

    def _posted(self, conversation: ConversationId, posted: PostedBatch) -> None:
        topic = conversation_topic(conversation)
        self._announcer.announce(
            [TopicBatch(topic=topic, epoch=posted.epoch, events=posted.events)]
        )

    async def move_cursor(self, conversation: ConversationId, wanted: WantedCursor) -> None:
        """Record how far a member has read or received; others are told, a cursor never moves back."""
        actor = self.actors.activate(conversation_topic(conversation))
        await actor.ask(partial(MoveCursor, wanted))

    def typing(self, principal: Principal, conversation: ConversationId) -> None:
        """Tell the other members; only members who watch the conversation may."""
        actor = self.actors.get(conversation_topic(conversation))
        if isinstance(actor, ConversationActor) and any(
            watcher.user_id == principal.user_id for watcher in actor.watchers
        ):
            actor.typing(principal.user_id)

    def show_presence(self, user: UserId, *, visible: bool) -> None:
        """The user wants to be seen in conversations, or not any more. Rare, so that looking at all actors is fine."""
        for actor in self.actors:
            if isinstance(actor, ConversationActor):
                actor.show_presence(user, visible=visible)

    # Watching.

    async def subscribe(
        self, topic: Topic, watcher: Watcher, position: Position | None
    ) -> Subscription:
        """Have `watcher` pushed everything after what the returned subscription tells. Rights were checked before."""
        actor = self.actors.activate(topic)
        was_watching = watcher in actor.watchers
        try:
            return await actor.ask(partial(Subscribe, watcher, position))
        except BaseException:
            # Whoever does not learn of a subscription never ends it.
            if not was_watching:
                actor.unsubscribe(watcher)
            raise

    async def listen_to(self, topics: Sequence[Topic]) -> None:
        """Have the bus listen to many topics in one go, before each is subscribed to. Rights were checked before."""
        for topic in topics:
            # It is put away with its actor, should nobody subscribe.
            self.actors.activate(topic)
        await self.bus.watch([str(topic) for topic in topics])

    def unsubscribe(self, topic: Topic, watcher: Watcher) -> None:
        actor = self.actors.get(topic)
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
        actor = self.actors.get(topic)
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

    def _put_away(self, topics: list[Topic]) -> None:
        self.bus.unwatch([str(topic) for topic in topics])

    def report(self, *, limit: int) -> NodeReport:
        """This node's busiest actors."""
        return report(self.actors, node=self._announcer.node_name, limit=limit)

    def is_active(self, topic: Topic) -> bool:
        """Whether an actor of the topic is in memory."""
        return self.actors.get(topic) is not None

    def _tell_if_active(self, topic: Topic, mail: Committed | CheckHead | Ephemeral) -> None:
        actor = self.actors.get(topic)
        if actor is not None:
            actor.hear(mail)

    def _hear(self, batch: TopicBatch) -> None:
        """What this process committed, whoever in it did."""
        if batch.topic.kind == "conversation":
            self.unread.tell_soon(cast("ConversationId", batch.topic.id))
        self._tell_if_active(batch.topic, Committed(batch))

    def _receive(self, topic_name: str, payload: bytes) -> None:
        if (age_s := self._announcer.own_age_s(payload)) is not None:
            metrics.BUS_ECHO.observe(age_s)
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

    def _missed(self, topic_names: Sequence[str]) -> None:
        """The bus could not hear these: whatever it would have said meanwhile is in the stores."""
        topics = [parse_topic(name) for name in topic_names]
        self._top_check.check_soon(topics)
        for topic in topics:
            self.presence.look_again(topic)

    def passivate(self, *, older_than_s: float) -> None:
        """Put away actors without watchers or mail that were not used for so long."""
        self.actors.passivate(older_than_s=older_than_s)
