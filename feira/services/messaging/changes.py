"""Changes in a conversation's log: what happened to messages and members, beside what was said.

A change takes the conversation's next number, as a message does, so that everybody hears of both in one order; nobody has
to read it, so it counts nowhere as unread. Lock order: message, conversation, topics.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from feira.platform.domain.errors import Conflict, TooMany
from feira.platform.domain.events import Event, LoggedEvent, TopicBatch
from feira.platform.domain.ids import ConversationId, UserId
from feira.platform.domain.messages import CHANGES_MAX, CHANGES_WITHIN_S, MessageState
from feira.platform.domain.messaging_events import MessagePosted
from feira.platform.domain.topics import conversation_topic
from feira.services.messaging.messages import not_a_message
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one, load_queries

SQL = load_queries("message_changes")

# How far back one looks for an actor's changes, past those of others.
_LOOKED_AT_MAX: Final = 10 * CHANGES_MAX


class LoggedChange(msgspec.Struct, frozen=True, kw_only=True):
    """Where a change stands in the conversation's log, committed. A repeat gets the first answer again."""

    seq: int
    at: datetime


class LockedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it reads now; nobody else changes it before this transaction ends."""

    sender: UserId
    said_at: datetime
    body: msgspec.Raw
    deleted_seq: int | None

    @property
    def state(self) -> MessageState:
        kind = msgspec.json.decode(self.body, type=_Kind).kind
        return MessageState(
            sender=self.sender,
            said_at=self.said_at,
            is_text=kind == "message",
            is_deleted=self.deleted_seq is not None,
        )

    @property
    def posted(self) -> MessagePosted:
        """The entry as a message, once `state` says that it is text."""
        return msgspec.json.decode(self.body, type=MessagePosted)


class _Kind(msgspec.Struct):
    kind: str


class _Appended(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    at: datetime
    epoch: str


async def lock_message(tx: Tx, conversation: ConversationId, message: int) -> LockedMessage:
    """Take a message of a conversation that the caller may know of.

    Raises:
        NotFound: `message.not_found`.
    """
    found = await fetch_one(tx.con, SQL["lock_message"], LockedMessage, conversation, message)
    if found is None:
        raise not_a_message(message)
    return found


async def find_change(
    con: Connection, conversation: ConversationId, actor: UserId, client_id: UUID
) -> LoggedChange | None:
    """Return where a change stands that came before under this client id."""
    return await fetch_one(con, SQL["find_change"], LoggedChange, conversation, actor, client_id)


async def require_calm(con: Connection, conversation: ConversationId, actor: UserId) -> None:
    """Pass while the actor has not just changed a lot.

    Raises:
        TooMany: `message.too_many_changes`.
    """
    recent = await con.fetchval(
        SQL["count_recent_changes"], conversation, actor, float(CHANGES_WITHIN_S), _LOOKED_AT_MAX
    )
    if recent >= CHANGES_MAX:
        raise TooMany(
            "message.too_many_changes",
            f"{CHANGES_MAX} changes in {CHANGES_WITHIN_S} s are the most; wait a moment.",
            retry_after_s=CHANGES_WITHIN_S,
        )


async def append_change(
    tx: Tx,
    conversation: ConversationId,
    event: Event,
    *,
    actor: UserId,
    client_id: UUID | None = None,
    edited: int | None = None,
    shown: bool = False,
) -> LoggedChange:
    """Append a change and return where it stands; watchers are told after the commit.

    `edited` is the message whose text the event carries, so that a deletion finds it; `shown` changes stand between the
    messages of the history. Locks the conversation.

    Raises:
        Conflict: `database.contended`: the same client id came for another message this very moment.
    """
    body = msgspec.Raw(msgspec.json.encode(event))
    appended = await fetch_one(
        tx.con,
        SQL["append_change"],
        _Appended,
        conversation,
        actor,
        client_id,
        edited,
        shown,
        body,
        tx.now,
    )
    if appended is None:
        raise Conflict("database.contended", "Too many changes at once; please try again.")
    entry = LoggedEvent(seq=appended.seq, at=appended.at, body=body)
    topic = conversation_topic(conversation)
    tx.appended(TopicBatch(topic=topic, epoch=appended.epoch, events=[entry]))
    return LoggedChange(seq=appended.seq, at=appended.at)
