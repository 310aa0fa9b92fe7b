"""What conversations' logs carry, and what inboxes and operators hear of conversations.

A log's entries are messages, which people have to read, and changes of messages or members. A change says the whole of
what is so now, so that hearing it twice changes nothing; a change of a deleted message changes nothing at all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from feira.platform.domain.attachments import AttachedFile
from feira.platform.domain.contact_details import MessageWarning
from feira.platform.domain.events import Event
from feira.platform.domain.ids import ConversationId, ShopId, UserId

MemberRole = Literal["buyer", "shop", "support"]


class MessagePosted(Event, frozen=True, kw_only=True, tag="message", omit_defaults=True):
    """A message. Its `seq` and time stand on the logged event; `reply_to` is the `seq` of the one that it answers.

    As it reads now, it may have `edited_at`; a deleted one has `deleted_at` and nothing of what was said.
    `warnings`: what pages should warn of beside it, as the server sees it.
    """

    sender: UserId
    client_id: UUID
    text: str | None = None
    warnings: tuple[MessageWarning, ...] = ()
    attachments: tuple[AttachedFile, ...] = ()
    reply_to: int | None = None
    edited_at: datetime | None = None
    deleted_at: datetime | None = None


class MessageEdited(Event, frozen=True, kw_only=True, tag="message.edited", omit_defaults=True):
    """The message with that `seq` has a new text; none once the message is deleted."""

    message: int
    by: UserId
    client_id: UUID
    text: str | None = None
    warnings: tuple[MessageWarning, ...] = ()


class MessageDeleted(Event, frozen=True, kw_only=True, tag="message.deleted"):
    """The message is a tombstone, for good. `by` is its author or a moderator."""

    message: int
    by: UserId


class ReactionAdded(Event, frozen=True, kw_only=True, tag="reaction.added"):
    """`by` reacts to a message with an emoji, once however often they say so."""

    message: int
    by: UserId
    client_id: UUID
    emoji: str


class ReactionRemoved(Event, frozen=True, kw_only=True, tag="reaction.removed"):
    """`by` no longer reacts to a message with an emoji."""

    message: int
    by: UserId
    client_id: UUID
    emoji: str


class SupportRequested(Event, frozen=True, kw_only=True, tag="support.requested"):
    """A member asks for somebody of the market to join."""

    by: UserId
    reason: str


class MemberAdded(Event, frozen=True, kw_only=True, tag="member.added"):
    """Somebody joined, or was brought in by somebody else."""

    user: UserId
    display_name: str
    role: MemberRole
    by: UserId


class MemberRemoved(Event, frozen=True, kw_only=True, tag="member.removed"):
    """Somebody left, or was asked to: from here on they see and say nothing."""

    user: UserId
    display_name: str
    role: MemberRole
    by: UserId


class BlockChanged(Event, frozen=True, kw_only=True, tag="block.changed"):
    """On the blocker's inbox: they hear no more from somebody, or hear from them again."""

    user: UserId
    blocked: bool


class ConversationOpened(Event, frozen=True, kw_only=True, tag="conversation.opened"):
    """On a member's inbox: there is a conversation that they belong to from now on."""

    conversation: ConversationId
    shop: ShopId
    buyer: UserId


class ConversationLeft(Event, frozen=True, kw_only=True, tag="conversation.left"):
    """On an inbox: its user does not belong to a conversation any more."""

    conversation: ConversationId


class SupportWanted(Event, frozen=True, kw_only=True, tag="conversation.support_wanted"):
    """For operators: a conversation waits for support."""

    conversation: ConversationId
    by: UserId
    reason: str
