"""What the server says on a socket: the types that the documentation is made from.

Answers are encoded from these. What is pushed to thousands, and bodies that were encoded when they were committed,
are encoded where they arise (`actors`); a test decodes all of it strictly into these.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from feira.platform.domain.ids import (
    AttachmentId,
    ConversationId,
    OfferId,
    OrderGroupId,
    OrderId,
    RefundId,
    ReturnId,
    SessionId,
    UserId,
)
from feira.platform.domain.offers import OfferStatus
from feira.platform.domain.order_state import OrderStatus
from feira.platform.domain.refunds import RefundState
from feira.platform.domain.return_state import ReturnStatus
from feira.services.messaging.conversations import MemberView
from feira.services.operations.job_views import JobKind
from feira.services.orders.live import OrderCount
from feira.services.products.live import LiveVariant
from feira.ws.events import AnyEvent


class _Out(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what the server sends."""


# Answers.


class Done(_Out, frozen=True, kw_only=True):
    """It is done; there is nothing to add."""


class Logged(_Out, frozen=True, kw_only=True):
    """It is committed, and stands there in the conversation's log."""

    seq: int
    at: datetime


class OrderMovedOn(_Out, frozen=True, kw_only=True):
    """The order after the command."""

    version: int
    status: OrderStatus


class OfferMovedOn(_Out, frozen=True, kw_only=True):
    """The offer after the command; the answer to a counter-offer names the new one.

    `order` and `group` (what the buyer pays) are there once it is accepted.
    """

    offer: OfferId
    status: OfferStatus
    order: OrderId | None
    group: OrderGroupId | None


class Refunded(_Out, frozen=True, kw_only=True):
    """The refund is promised; the order's log says when the buyer has it."""

    refund: RefundId
    amount_minor: int
    state: RefundState


class ReturnMovedOn(_Out, frozen=True, kw_only=True):
    """The return after the command."""

    returned: ReturnId
    status: ReturnStatus
    version: int
    replacement_order: OrderId | None


class Refreshed(_Out, frozen=True, kw_only=True):
    """The newer token counts from now on."""

    expires_at: datetime


class ErrorBody(_Out, frozen=True, kw_only=True, omit_defaults=True):
    """A command was not carried out. `code` is stable and for programs, `message` for people.

    `retryable`: the same may work later, after `retry_after` seconds where it is given. `field` is a JSON path.
    `details` may say how things stand now.
    """

    code: str
    message: str
    retryable: bool
    field: str | None = None
    retry_after: float | None = None
    details: dict[str, Any] = {}


class EventEntry(_Out, frozen=True, kw_only=True):
    """A committed event, in the order of its topic's log."""

    seq: int
    at: datetime
    body: AnyEvent


class TopicState(_Out, frozen=True, kw_only=True):
    """What is so now, beside the log. Of conversations `members` and who is `online` (of a crowd `online_count`).

    Of products `variants`, of shops `orders` under way, of `ops` `jobs`; of orders and inboxes nothing.
    """

    members: list[MemberView] | UnsetType = UNSET
    online: list[UserId] | UnsetType = UNSET
    online_count: int | UnsetType = UNSET
    variants: list[LiveVariant] | UnsetType = UNSET
    orders: list[OrderCount] | UnsetType = UNSET
    jobs: list[JobKind] | UnsetType = UNSET


class Subscribed(_Out, frozen=True, kw_only=True):
    """Where a topic stands, and what was missed. Not `recovered`: load the object over REST and go on from `seq`."""

    topic: str
    recovered: bool
    seq: int
    epoch: str
    events: list[EventEntry]
    state: TopicState


class Resumed(_Out, frozen=True, kw_only=True):
    """A topic of a `connect`: as in `subscribe`, or an `error` alone."""

    recovered: bool | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    epoch: str | UnsetType = UNSET
    events: list[EventEntry] | UnsetType = UNSET
    state: TopicState | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET


class Connected(_Out, frozen=True, kw_only=True):
    """Signed in. The server pings after `ping` seconds of silence."""

    session: SessionId
    user: UserId
    ping: float
    expires_at: datetime
    topics: dict[str, Resumed]


# Pushed.


class TopicEvent(EventEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A committed event of a watched topic. A topic's come once each, in order, without holes."""

    topic: str


class Cursor(_Out, frozen=True, kw_only=True):
    """How far a member has read and received a conversation."""

    topic: str
    user: UserId
    read_seq: int
    delivered_seq: int


class Unread(_Out, frozen=True, kw_only=True):
    """On the user's own inbox: how many messages of a conversation are unread, counted at `seq`."""

    conversation: ConversationId
    seq: int
    unread: int


class Presence(_Out, frozen=True, kw_only=True):
    """A member came or went."""

    topic: str
    user: UserId
    online: bool


class PresenceCount(_Out, frozen=True, kw_only=True):
    """How many members of a crowd are here; forget the names."""

    topic: str
    online: int


class Typing(_Out, frozen=True, kw_only=True):
    """A member is typing. Forget it after 6 s, or when a message of theirs comes."""

    topic: str
    user: UserId


class AttachmentNews(_Out, frozen=True, kw_only=True):
    """An image can be shown from now on, or never."""

    topic: str
    id: AttachmentId
    state: Literal["ready", "refused"]
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class Traffic(_Out, frozen=True, kw_only=True):
    """On `ops`: how busy a server is; the next one of the same `node` replaces it."""

    topic: str
    node: str
    actors: int
    watchers: int
    mailbox_depth: int


class Unsubscribed(_Out, frozen=True, kw_only=True):
    """Nothing more comes of a topic. After `resync` subscribe again with the last `seq`; `rights lost` is final."""

    topic: str
    reason: Literal["resync", "rights lost"]


class Disconnect(_Out, frozen=True, kw_only=True):
    """Last words before a close. Come back after a random time within `retry_ms`, if it is given; see the codes."""

    code: int
    reason: str
    retry_ms: Annotated[tuple[int, ...], Meta(min_length=2, max_length=2)] | UnsetType = UNSET


class StreamOpened(_Out, frozen=True, kw_only=True):
    """First words of a fallback stream: its id, for posts of commands."""

    id: UUID


class Push(_Out, frozen=True, kw_only=True):
    """A message of the server that answers nothing; exactly one field is set."""

    event: TopicEvent | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    unread: Unread | UnsetType = UNSET
    presence: Presence | UnsetType = UNSET
    presence_count: PresenceCount | UnsetType = UNSET
    typing: Typing | UnsetType = UNSET
    attachment: AttachmentNews | UnsetType = UNSET
    traffic: Traffic | UnsetType = UNSET
    unsubscribed: Unsubscribed | UnsetType = UNSET
    stream: StreamOpened | UnsetType = UNSET
    disconnect: Disconnect | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET


ANSWERS: Final[dict[str, tuple[str, type[msgspec.Struct]] | None]] = {
    "connect": ("connect", Connected),
    "subscribe": ("subscribe", Subscribed),
    "unsubscribe": ("ok", Done),
    "send": ("ok", Logged),
    "edit": ("ok", Logged),
    "delete": ("ok", Logged),
    "react": ("ok", Logged),
    "read": ("ok", Done),
    "delivered": ("ok", Done),
    "typing": None,
    "order": ("ok", OrderMovedOn),
    "make_offer": ("ok", OfferMovedOn),
    "offer": ("ok", OfferMovedOn),
    "refund": ("ok", Refunded),
    "request_return": ("ok", ReturnMovedOn),
    "command_return": ("ok", ReturnMovedOn),
    "refresh": ("ok", Refreshed),
    "ping": ("ok", Done),
}
"""What answers each command that has an id and went well: the key and the type of its value."""
