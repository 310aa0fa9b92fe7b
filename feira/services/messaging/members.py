"""Who belongs to a conversation: support is asked for, joins, brings in a colleague, and leaves.

    buyer and shop: for good          support: asked for --> joined --> left

Nobody of the market reads along unseen: to read one joins, and the log says so to everybody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import NotAllowed, NotFound, Rejected
from feira.platform.domain.ids import ConversationId, ShopId, UserId
from feira.platform.domain.messaging_events import (
    ConversationLeft,
    ConversationOpened,
    MemberAdded,
    MemberRemoved,
    SupportRequested,
    SupportWanted,
)
from feira.platform.domain.permissions import Principal, is_allowed, require
from feira.platform.domain.topics import OPS, inbox_topic
from feira.services.audit.recording import record
from feira.services.messaging.changes import append_change
from feira.services.messaging.conversations import MemberView
from feira.services.messaging.messages import not_a_conversation
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("conversation_members")

SUPPORT_REQUESTS_MAX: Final = 100


class AskForSupport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What support should help with, for them and for the other side to read."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class AddMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who joins: a colleague in support, or the caller."""

    user: UserId | None = None


class SupportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that waits for support."""

    conversation_id: ConversationId
    requested_by: UserId
    reason: str
    requested_at: datetime
    shop_id: ShopId
    shop_name: str
    buyer_id: UserId
    buyer_name: str
    subject_kind: Literal["product", "order"] | None
    subject_id: UUID | None


class SupportRequests(msgspec.Struct, frozen=True, kw_only=True):
    """Those that wait longest, the oldest first."""

    items: list[SupportRequest]


class _Parties(msgspec.Struct, frozen=True, kw_only=True):
    shop_id: ShopId
    buyer_id: UserId


async def ask_for_support(
    tx: Tx, principal: Principal, conversation: ConversationId, ask: AskForSupport
) -> SupportRequest:
    """Call support into a conversation. Asking again, whoever does, is answered with the first request.

    Raises:
        NotFound: `conversation.not_found`.
        Rejected: `conversation.support_is_here`.
    """
    await _lock(tx, conversation)
    if await _member(tx.con, conversation, principal.user_id) is None:
        raise not_a_conversation()
    if await tx.con.fetchval(SQL["has_support"], conversation):
        raise Rejected(
            "conversation.support_is_here", "Support is in this conversation already: ask here."
        )
    await _request(tx, conversation, principal.user_id, ask.reason)
    request = await fetch_one(tx.con, SQL["read_support_request"], SupportRequest, conversation)
    assert request is not None, "it was written or found"
    return request


async def call_support(tx: Tx, conversation: ConversationId, user: UserId, reason: str) -> None:
    """Have support come to a conversation on a member's behalf, unless it is there or asked for."""
    await _lock(tx, conversation)
    if not await tx.con.fetchval(SQL["has_support"], conversation):
        await _request(tx, conversation, user, reason)


async def list_support_requests(
    con: Connection, principal: Principal, *, limit: int
) -> SupportRequests:
    """Return the conversations that wait for support."""
    require("conversation.join", principal)
    return SupportRequests(
        items=await fetch_all(con, SQL["list_support_requests"], SupportRequest, limit)
    )


async def add_member(
    tx: Tx, principal: Principal, conversation: ConversationId, wanted: AddMember
) -> MemberView:
    """Join a conversation for support, or bring in a colleague. Who is in already stays in.

    Raises:
        NotFound: `conversation.not_found`.
        Rejected: `conversation.not_support`, `conversation.is_party`.
        NotAllowed: see `permissions.require`.
    """
    require("conversation.join", principal)
    member, is_new = await let_in(tx, principal, conversation, wanted)
    if is_new:
        await record(
            tx,
            principal,
            "conversation.add_support",
            "conversation",
            conversation,
            after={"member": member.user_id},
        )
    return member


async def let_in(
    tx: Tx, principal: Principal, conversation: ConversationId, wanted: AddMember
) -> tuple[MemberView, bool]:
    """Add somebody of support, for whoever was asked whether they may; and say whether they are new here.

    Raises:
        NotFound: `conversation.not_found`.
        Rejected: `conversation.not_support`, `conversation.is_party`.
    """
    parties = await _lock(tx, conversation)
    user = wanted.user or principal.user_id
    display_name = await tx.con.fetchval(SQL["read_helper"], user)
    if display_name is None:
        raise Rejected(
            "conversation.not_support", "Only people of support can be added.", field="$.user"
        )
    member = await _member(tx.con, conversation, user)
    if member is not None:
        if member.role != "support":
            raise Rejected(
                "conversation.is_party",
                "They are on one of the two sides here; somebody else has to help.",
                field="$.user",
            )
        return member, False
    joined = MemberAdded(user=user, display_name=display_name, role="support", by=principal.user_id)
    await append_change(tx, conversation, joined, actor=principal.user_id, shown=True)
    await tx.con.execute(SQL["add_helper"], conversation, user)
    await tx.con.execute(SQL["delete_support_request"], conversation)
    opened = ConversationOpened(
        conversation=conversation, shop=parties.shop_id, buyer=parties.buyer_id
    )
    tx.emit(inbox_topic(user), opened)
    member = await _member(tx.con, conversation, user)
    assert member is not None, "just added"
    return member, True


async def remove_member(
    tx: Tx, principal: Principal, conversation: ConversationId, user: UserId
) -> None:
    """Leave a conversation that one joined for support, or take a colleague out. Their sockets stop hearing of it.

    Raises:
        NotFound: `conversation.not_found`, `member.not_found`.
        Rejected: `conversation.party_stays`.
        NotAllowed: `auth.not_allowed`: buyer and shop do not send support away.
    """
    await _lock(tx, conversation)
    is_support = is_allowed("conversation.join", principal)
    if not is_support and await _member(tx.con, conversation, principal.user_id) is None:
        raise not_a_conversation()
    member = await _member(tx.con, conversation, user)
    if member is None:
        raise NotFound("member.not_found", "They do not belong to this conversation.")
    if member.role != "support":
        raise Rejected(
            "conversation.party_stays", "Buyer and shop stay: the conversation is theirs."
        )
    if not is_support and user != principal.user_id:
        raise NotAllowed("auth.not_allowed", "Only support decides who of them is needed here.")
    await tx.con.execute(SQL["remove_member"], conversation, user)
    left = MemberRemoved(
        user=user, display_name=member.display_name, role=member.role, by=principal.user_id
    )
    await append_change(tx, conversation, left, actor=principal.user_id, shown=True)
    tx.emit(inbox_topic(user), ConversationLeft(conversation=conversation))
    if is_support:
        await record(
            tx,
            principal,
            "conversation.remove_support",
            "conversation",
            conversation,
            before={"member": user},
        )


async def _request(tx: Tx, conversation: ConversationId, user: UserId, reason: str) -> None:
    is_new = await tx.con.fetchval(
        SQL["insert_support_request"], conversation, user, reason, tx.now
    )
    if is_new:
        asked = SupportRequested(by=user, reason=reason)
        await append_change(tx, conversation, asked, actor=user, shown=True)
        tx.emit(OPS, SupportWanted(conversation=conversation, by=user, reason=reason))


async def _lock(tx: Tx, conversation: ConversationId) -> _Parties:
    parties = await fetch_one(tx.con, SQL["lock_conversation"], _Parties, conversation)
    if parties is None:
        raise not_a_conversation()
    return parties


async def _member(con: Connection, conversation: ConversationId, user: UserId) -> MemberView | None:
    return await fetch_one(con, SQL["read_member"], MemberView, conversation, user)
