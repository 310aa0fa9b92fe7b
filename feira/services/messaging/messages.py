"""The message log of a conversation: append once per client id, read, move cursors."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import asyncpg
import msgspec

from feira.platform.domain.attachments import ATTACHMENTS_MAX, AttachedFile
from feira.platform.domain.contact_details import warnings_of
from feira.platform.domain.errors import Conflict, NotFound
from feira.platform.domain.events import LoggedEvent
from feira.platform.domain.ids import AttachmentId, ConversationId, UserId
from feira.platform.domain.jobs import NotifyUnreadMessages
from feira.platform.domain.messages import MessageSeq, MessageText
from feira.platform.domain.messaging_events import MessagePosted
from feira.sql.loader import Connection, fetch_all, load_queries

SQL = load_queries("messaging")

# A message still unread after this long is mailed, once per unread streak.
UNREAD_REMINDER_DELAY_S: Final = 120.0
COLLISIONS_MAX: Final = 5
REMINDER_KIND: Final = "notifications.unread_messages"
_REMINDER: Final = (REMINDER_KIND, UNREAD_REMINDER_DELAY_S, NotifyUnreadMessages.attempts_max)


class NewMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device asks to be said: a text, files, or both. `client_id` is made once per message by the device, a UUID.

    `reply_to` is the `seq` of the message that this one answers.
    """

    client_id: UUID
    text: MessageText | None = None
    attachments: Annotated[tuple[AttachmentId, ...], msgspec.Meta(max_length=ATTACHMENTS_MAX)] = ()
    reply_to: MessageSeq | None = None

    def __post_init__(self) -> None:
        if self.text is None and not self.attachments:
            raise ValueError("A message has a text or attachments")
        if len(set(self.attachments)) < len(self.attachments):
            raise ValueError("The same file stands twice in `attachments`")


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message with its sender, on the way into a conversation's log."""

    conversation: ConversationId
    sender: UserId
    message: NewMessage
    files: tuple[AttachedFile, ...] = ()
    """What its attachments are, once they were claimed."""


class PostedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Where the message stands in its conversation, committed. A resend gets the first answer again."""

    seq: int
    at: datetime


class PostedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a conversation's messages: a place by (sender, client id), and the events that are new."""

    places: dict[tuple[UserId, UUID], PostedMessage]
    epoch: str
    events: list[LoggedEvent]


class MemberCursor(msgspec.Struct, frozen=True, kw_only=True):
    """A member's cursors, and the conversation's last seq and what is unread at that moment."""

    user_id: UserId
    read_seq: int
    delivered_seq: int
    head_seq: int
    unread: int


class UnreadCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages of a conversation up to `head_seq` a member has not read."""

    conversation_id: ConversationId
    user_id: UserId
    head_seq: int
    unread: int


class WantedCursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a member says to have read or received."""

    user_id: UserId
    read_seq: int = 0
    delivered_seq: int = 0


class _PostedRow(msgspec.Struct, frozen=True, kw_only=True):
    conversation_id: ConversationId
    seq: int
    sender_id: UserId
    client_id: UUID
    at: datetime
    fresh: bool
    epoch: str


async def post_messages(
    con: Connection, batch: list[Outgoing]
) -> dict[ConversationId, PostedBatch]:
    """Append messages to their conversations in one statement: in autocommit that is one commit for all of them.

    Senders who are not members are missing from `places`. A message whose client id is known (from before,
    or from another node this very moment) gets the place it had.

    Raises:
        Conflict: `database.contended`.
    """
    bodies = {
        (outgoing.conversation, outgoing.sender, outgoing.message.client_id): _body(outgoing)
        # The first of two with one client id is the one that counts.
        for outgoing in reversed(batch)
    }
    if len(bodies) == 1:
        # The usual case on a quiet node, at two thirds of the cost.
        ((key, body),) = bodies.items()
        if (alone := await _append_one(con, *key, body)) is not None:
            return {key[0]: alone}
    posted: dict[ConversationId, PostedBatch] = {}
    for row in await _append(con, batch, bodies):
        place = posted.get(row.conversation_id)
        if place is None:
            place = posted[row.conversation_id] = PostedBatch(places={}, epoch=row.epoch, events=[])
        place.places[row.sender_id, row.client_id] = PostedMessage(seq=row.seq, at=row.at)
        if row.fresh:
            body = bodies[row.conversation_id, row.sender_id, row.client_id]
            place.events.append(LoggedEvent(seq=row.seq, at=row.at, body=body))
    return posted


async def _append_one(
    con: Connection,
    conversation: ConversationId,
    sender: UserId,
    client_id: UUID,
    body: msgspec.Raw,
) -> PostedBatch | None:
    """None for what is not new, or not to be said: `_append` tells which."""
    try:
        row = await con.fetchrow(
            SQL["post_message"], conversation, sender, client_id, body, *_REMINDER
        )
    except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
        return None
    if row is None:
        return None
    seq, at, epoch = row
    place = PostedMessage(seq=seq, at=at)
    event = LoggedEvent(seq=seq, at=at, body=body)
    return PostedBatch(places={(sender, client_id): place}, epoch=epoch, events=[event])


async def _append(
    con: Connection,
    batch: list[Outgoing],
    bodies: dict[tuple[ConversationId, UserId, UUID], msgspec.Raw],
) -> list[_PostedRow]:
    for _ in range(COLLISIONS_MAX):
        try:
            return await fetch_all(
                con,
                SQL["post_messages"],
                _PostedRow,
                [outgoing.conversation for outgoing in batch],
                [outgoing.sender for outgoing in batch],
                [outgoing.message.client_id for outgoing in batch],
                [
                    bodies[outgoing.conversation, outgoing.sender, outgoing.message.client_id]
                    for outgoing in batch
                ],
                *_REMINDER,
            )
        except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            # Another node committed one of these client ids after this statement's snapshot: now it is known.
            continue
    raise Conflict("database.contended", "Too many changes at once; please try again.")


def _body(outgoing: Outgoing) -> msgspec.Raw:
    message = outgoing.message
    posted = MessagePosted(
        sender=outgoing.sender,
        client_id=message.client_id,
        text=message.text or "",
        warnings=warnings_of(message.text) if message.text else (),
        attachments=outgoing.files,
        reply_to=message.reply_to,
    )
    return msgspec.Raw(msgspec.json.encode(posted))


async def move_cursors(
    con: Connection, conversation: ConversationId, wanted: list[WantedCursor]
) -> list[MemberCursor]:
    """Move cursors forward only; what would move one back, or past the head, is cut to what is true."""
    return await fetch_all(
        con,
        SQL["move_cursors"],
        MemberCursor,
        conversation,
        [cursor.user_id for cursor in wanted],
        [cursor.read_seq for cursor in wanted],
        [cursor.delivered_seq for cursor in wanted],
    )


async def read_unread(con: Connection, conversations: list[ConversationId]) -> list[UnreadCount]:
    """Return how much of each conversation each of its members has not read."""
    return await fetch_all(con, SQL["read_unread"], UnreadCount, conversations)


def not_a_conversation() -> NotFound:
    """The same answer for a conversation that is not there and for somebody else's."""
    return NotFound("conversation.not_found", "There is no such conversation among yours.")


def not_a_message(message: int, *, field: str = "$.message") -> NotFound:
    """Other entries of the log are no messages."""
    return NotFound(
        "message.not_found", f"There is no message {message} in this conversation.", field=field
    )
