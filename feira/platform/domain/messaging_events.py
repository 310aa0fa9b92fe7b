"""What is said on conversations, and what inboxes hear of them."""

from __future__ import annotations

from uuid import UUID

from feira.platform.domain.contact_details import MessageWarning
from feira.platform.domain.events import Event
from feira.platform.domain.ids import ConversationId, ShopId, UserId


class MessagePosted(Event, frozen=True, kw_only=True, tag="message", omit_defaults=True):
    """A message in a conversation's log. Its `seq` and time stand on the logged event.

    `warnings`: what pages should warn of beside it, as the server sees it.
    """

    sender: UserId
    client_id: UUID
    text: str
    warnings: tuple[MessageWarning, ...] = ()


class ConversationOpened(Event, frozen=True, kw_only=True, tag="conversation.opened"):
    """On every member's inbox: there is a new conversation."""

    conversation: ConversationId
    shop: ShopId
    buyer: UserId
