"""Conversations over REST: opening, listing, members and cursors."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import ConversationId
from feira.services.messaging.conversations import (
    ConversationPage,
    ConversationView,
    MemberView,
    OpenConversation,
    is_member,
    list_conversations,
    open_conversation,
    read_conversation,
    read_members,
)
from feira.services.messaging.messages import WantedCursor, not_a_conversation
from feira.sql.database import Tx
from feira.sql.loader import Connection

Seq = Annotated[int, Meta(ge=0, le=2**53)]


class ConversationQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    cursor: ConversationId | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 30


class OpenedView(msgspec.Struct, frozen=True, kw_only=True):
    id: ConversationId


class ReadUpTo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the caller has read and received; a cursor never moves back."""

    read_seq: Seq = 0
    delivered_seq: Seq = 0


class MembersView(msgspec.Struct, frozen=True, kw_only=True):
    items: list[MemberView]


@endpoint(
    "GET",
    "/v1/conversations",
    service="messaging",
    summary="List own conversations with unread counts.",
)
async def list_own(call: Call, query: ConversationQuery) -> ConversationPage:
    async with call.market.database.connection() as con:
        return await list_conversations(
            con, call.principal.user_id, cursor=query.cursor, limit=query.limit
        )


@endpoint(
    "POST",
    "/v1/conversations",
    service="messaging",
    status=201,
    summary="Open a conversation with a shop.",
)
async def open_with_shop(call: Call, body: OpenConversation) -> ConversationView:
    """Opening the one that is there already, about the same thing, gives that one."""

    async def work(tx: Tx) -> OpenedView:
        return OpenedView(id=await open_conversation(tx, call.principal, body))

    opened = await call.transact(OpenedView, work)
    return await _own(call, opened.id)


@endpoint(
    "GET", "/v1/conversations/{conversation}", service="messaging", summary="Read one conversation."
)
async def read_one(call: Call, conversation: ConversationId) -> ConversationView:
    return await _own(call, conversation)


@endpoint(
    "GET",
    "/v1/conversations/{conversation}/members",
    service="messaging",
    summary="List members and their cursors.",
)
async def list_members(call: Call, conversation: ConversationId) -> MembersView:
    async with call.market.database.connection() as con:
        await _require_member(con, call, conversation)
        return MembersView(items=await read_members(con, conversation))


@endpoint(
    "PUT",
    "/v1/conversations/{conversation}/cursor",
    service="messaging",
    summary="Move own read and delivered cursors.",
)
async def move_cursor(call: Call, conversation: ConversationId, body: ReadUpTo) -> None:
    async with call.market.database.connection() as con:
        await _require_member(con, call, conversation)
    wanted = WantedCursor(
        user_id=call.principal.user_id, read_seq=body.read_seq, delivered_seq=body.delivered_seq
    )
    await call.actors.move_cursor(conversation, wanted)


async def _own(call: Call, conversation: ConversationId) -> ConversationView:
    async with call.market.database.connection() as con:
        return await read_conversation(con, call.principal.user_id, conversation)


async def _require_member(con: Connection, call: Call, conversation: ConversationId) -> None:
    if not await is_member(con, conversation, call.principal.user_id):
        raise not_a_conversation()


ENDPOINTS: Final = (
    list_own,
    open_with_shop,
    read_one,
    list_members,
    move_cursor,
)
