"""The actor of one conversation on this node: group commit of messages, cursors, typing, presence."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from feira.actors.frames import PushFrames
from feira.actors.topic import Committed, TopicActor, Watcher
from feira.platform.domain.errors import FeiraError
from feira.platform.domain.events import TopicBatch
from feira.platform.domain.ids import ConversationId, UserId
from feira.platform.domain.topics import conversation_topic
from feira.services.messaging.conversations import read_members
from feira.services.messaging.messages import (
    MemberCursor,
    NewMessage,
    Outgoing,
    PostedBatch,
    PostedMessage,
    WantedCursor,
    move_cursors,
    not_a_conversation,
    post_messages,
)

if TYPE_CHECKING:
    from feira.actors.node import Node

log = structlog.get_logger("feira.actors")


@dataclass(frozen=True, slots=True)
class Post:
    """Mail: say something. Answered after the commit."""

    sender: UserId
    message: NewMessage
    answer: asyncio.Future[PostedMessage]


@dataclass(frozen=True, slots=True)
class MoveCursor:
    """Mail: a member has read or received up to there."""

    wanted: WantedCursor
    answer: asyncio.Future[None]


class ConversationActor(TopicActor):
    """Commands are `Post` and `MoveCursor`."""

    def __init__(self, conversation: ConversationId, *, node: Node) -> None:
        super().__init__(
            conversation_topic(conversation), database=node.database, bus=node.bus, tasks=node.tasks
        )
        self.conversation = conversation
        self.node = node

    async def handle_commands(self, commands: list[object]) -> None:
        posts = [mail for mail in commands if isinstance(mail, Post)]
        moves = [mail for mail in commands if isinstance(mail, MoveCursor)]
        if posts:
            await self._post(posts)
        if moves:
            await self._move_cursors(moves)

    def reject_command(self, command: object, error: Exception) -> None:
        assert isinstance(command, Post | MoveCursor)
        if not command.answer.done():
            command.answer.set_exception(error)

    async def _post(self, posts: list[Post]) -> None:
        try:
            async with self.database.connection() as con:
                posted = await post_messages(
                    con,
                    self.conversation,
                    [Outgoing(sender=mail.sender, message=mail.message) for mail in posts],
                )
                # Committed: the answers leave while the connection goes back to the pool.
                _answer(posts, posted)
        except FeiraError as error:
            # Also when the connection broke around the commit: the resend with the same client id finds out.
            for mail in posts:
                self.reject_command(mail, error)
            return
        if posted.events:
            batch = TopicBatch(topic=self.topic, epoch=posted.epoch, events=posted.events)
            self.node.announce(batch)
            await self.handle([Committed(batch)])
            self.node.unread.tell_soon(self.conversation)

    async def _move_cursors(self, moves: list[MoveCursor]) -> None:
        wanted: dict[UserId, WantedCursor] = {}
        for mail in moves:
            before = wanted.get(mail.wanted.user_id, mail.wanted)
            wanted[mail.wanted.user_id] = WantedCursor(
                user_id=mail.wanted.user_id,
                read_seq=max(before.read_seq, mail.wanted.read_seq),
                delivered_seq=max(before.delivered_seq, mail.wanted.delivered_seq),
            )
        try:
            async with self.database.connection() as con:
                moved = await move_cursors(con, self.conversation, list(wanted.values()))
        except FeiraError as error:
            for mail in moves:
                self.reject_command(mail, error)
            return
        for cursor in moved:
            self._push_cursor(cursor)
        for mail in moves:
            if not mail.answer.done():
                mail.answer.set_result(None)

    def _push_cursor(self, cursor: MemberCursor) -> None:
        message = {
            "cursor": {
                "topic": str(self.topic),
                "user": cursor.user_id,
                "read_seq": cursor.read_seq,
                "delivered_seq": cursor.delivered_seq,
            }
        }
        self.push_ephemeral(PushFrames(message), None)
        self.node.announce_ephemeral(self.topic, message)
        self.node.unread.push(
            cursor.user_id,
            self.conversation,
            seq=cursor.head_seq,
            unread=cursor.head_seq - cursor.read_seq,
        )

    def typing(self, user: UserId) -> None:
        """Tell the other watchers, here and elsewhere, that a member is typing."""
        message = {"typing": {"topic": str(self.topic), "user": user}}
        self.push_ephemeral(PushFrames(message), user)
        self.node.announce_ephemeral(self.topic, message, origin=user)

    # Presence: a member is here while one of their sockets, on any node, watches the conversation.

    def watcher_joined(self, watcher: Watcher) -> None:
        self.node.presence.joined(self.topic, watcher.user_id)

    def watcher_left(self, watcher: Watcher) -> None:
        if all(other.user_id != watcher.user_id for other in self.watchers):
            self.node.presence.left(self.topic, watcher.user_id)

    async def snapshot(self) -> dict[str, object]:
        async with self.database.connection() as con:
            members = await read_members(con, self.conversation)
        return {"members": members, "online": sorted(await self.node.presence.online(self.topic))}


def _answer(posts: list[Post], posted: PostedBatch) -> None:
    for mail in posts:
        if mail.answer.done():
            continue
        place = posted.places.get((mail.sender, mail.message.client_id))
        if place is None:
            mail.answer.set_exception(not_a_conversation())
        else:
            mail.answer.set_result(place)
