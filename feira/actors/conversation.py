"""The actor of one conversation on this node: cursors, typing, presence. Messages go through `group_commit`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import msgspec

from feira.actors.frames import PushFrames
from feira.actors.mail import Watcher
from feira.actors.topic import TopicActor
from feira.platform.domain.errors import FeiraError
from feira.platform.domain.events import LoggedEvent
from feira.platform.domain.ids import ConversationId, UserId
from feira.platform.domain.topics import conversation_topic
from feira.services.messaging.conversations import MemberView, read_members
from feira.services.messaging.messages import (
    MemberCursor,
    WantedCursor,
    move_cursors,
    not_a_conversation,
)

if TYPE_CHECKING:
    from feira.actors.node import Node


@dataclass(frozen=True, slots=True)
class MoveCursor:
    """Mail: a member has read or received up to there."""

    wanted: WantedCursor
    answer: asyncio.Future[None]


class ConversationActor(TopicActor):
    """Commands are `MoveCursor`."""

    __slots__ = ("_hiding", "_unseen", "conversation", "node")

    def __init__(self, conversation: ConversationId, *, node: Node) -> None:
        super().__init__(conversation_topic(conversation), node.around)
        self.conversation = conversation
        self.node = node
        self._unseen: set[Watcher] = set()
        self._hiding: set[UserId] = set()
        """Members who do not want to be seen, as of the last reading."""

    async def handle_commands(self, commands: list[object]) -> None:
        await self._move_cursors([mail for mail in commands if isinstance(mail, MoveCursor)])

    def reject_command(self, command: object, error: Exception) -> None:
        assert isinstance(command, MoveCursor)
        if not command.answer.done():
            command.answer.set_exception(error)

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
            async with self.node.database.connection() as con:
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
            cursor.user_id, self.conversation, seq=cursor.head_seq, unread=cursor.unread
        )

    def typing(self, user: UserId) -> None:
        """Tell the other watchers, here and elsewhere, that a member is typing."""
        message = {"typing": {"topic": str(self.topic), "user": user}}
        self.push_ephemeral(PushFrames(message), user)
        self.node.announce_ephemeral(self.topic, message, origin=user)

    def _deliver(self, events: list[LoggedEvent]) -> None:
        # Whoever was removed hears that, and nothing of what follows, also where it comes in one batch.
        delivered = 0
        for number, event in enumerate(events, start=1):
            removed = _removed_by(event)
            if removed is not None:
                super()._deliver(events[delivered:number])
                delivered = number
                self._remove(removed)
        if delivered < len(events):
            super()._deliver(events[delivered:])

    def _remove(self, user: UserId) -> None:
        for watcher in list(self.watchers):
            if watcher.user_id == user:
                self.unsubscribe(watcher)
                watcher.lose(self.topic)

    # Presence: a member is here while one of their sockets, on any node, watches the conversation.
    # Whoever does not want to be seen is counted nowhere.

    def watcher_joined(self, watcher: Watcher) -> None:
        if watcher.user_id in self._hiding:
            self._unseen.add(watcher)
        else:
            self.node.presence.joined(self.topic, watcher.user_id)

    def watcher_left(self, watcher: Watcher) -> None:
        if watcher in self._unseen:
            self._unseen.discard(watcher)
        else:
            self.node.presence.left(self.topic, watcher.user_id)

    def show_presence(self, user: UserId, *, visible: bool) -> None:
        """A member wants to be seen, or not any more."""
        (self._hiding.discard if visible else self._hiding.add)(user)
        for watcher in self.watchers:
            if watcher.user_id != user or visible == (watcher not in self._unseen):
                continue
            if visible:
                self._unseen.discard(watcher)
                self.node.presence.joined(self.topic, user)
            else:
                self._unseen.add(watcher)
                self.node.presence.left(self.topic, user)

    async def snapshot(self) -> dict[str, object]:
        async with self.node.database.connection() as con:
            members = await read_members(con, self.conversation)
        self._hiding = {member.user_id for member in members if not member.last_seen_visible}
        return {"members": members} | await self.node.presence.snapshot(self.topic)

    def refuse(self, users: set[UserId], state: dict[str, object]) -> dict[UserId, FeiraError]:
        # Rights were asked before: who was removed in between is noticed here, who is removed later by the event.
        members = {member.user_id for member in cast("list[MemberView]", state["members"])}
        return {user: not_a_conversation() for user in users - members}


class _MaybeRemoved(msgspec.Struct):
    kind: str
    user: UserId | None = None


def _removed_by(event: LoggedEvent) -> UserId | None:
    # Nearly all events are messages, so nearly none are decoded.
    if b"member.removed" not in bytes(event.body):
        return None
    entry = msgspec.json.decode(event.body, type=_MaybeRemoved)
    return entry.user if entry.kind == "member.removed" else None
