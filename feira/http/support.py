"""Support in conversations over REST: asking for it, joining, leaving."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import ConversationId, UserId
from feira.services.messaging.conversations import MemberView
from feira.services.messaging.members import (
    SUPPORT_REQUESTS_MAX,
    AddMember,
    AskForSupport,
    SupportRequest,
    SupportRequests,
    add_member,
    ask_for_support,
    list_support_requests,
    remove_member,
)
from feira.sql.database import Tx


class SupportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=SUPPORT_REQUESTS_MAX)] = 30


@endpoint(
    "POST",
    "/v1/conversations/{conversation}/support-request",
    service="messaging",
    status=201,
    summary="Ask support to join.",
)
async def ask(call: Call, conversation: ConversationId, body: AskForSupport) -> SupportRequest:
    """For both sides. While nobody has come, asking again is answered with the first request."""
    principal = call.principal

    async def work(tx: Tx) -> SupportRequest:
        return await ask_for_support(tx, principal, conversation, body)

    return await call.transact(SupportRequest, work)


@endpoint(
    "GET",
    "/v1/admin/support-requests",
    service="messaging",
    summary="List conversations that wait for support.",
)
async def list_waiting(call: Call, query: SupportQuery) -> SupportRequests:
    """The longest waiting first; whoever joins one takes it off the list."""
    async with call.market.database.connection() as con:
        return await list_support_requests(con, call.principal, limit=query.limit)


@endpoint(
    "POST",
    "/v1/conversations/{conversation}/members",
    service="messaging",
    status=201,
    summary="Join a conversation for support, or bring in a colleague.",
)
async def add(call: Call, conversation: ConversationId, body: AddMember) -> MemberView:
    """All of the history can be read from then on, and everybody is told who joined."""
    principal = call.principal

    async def work(tx: Tx) -> MemberView:
        return await add_member(tx, principal, conversation, body)

    return await call.transact(MemberView, work)


@endpoint(
    "DELETE",
    "/v1/conversations/{conversation}/members/{member}",
    service="messaging",
    status=204,
    summary="Leave a conversation that one joined for support.",
)
async def remove(call: Call, conversation: ConversationId, member: UserId) -> None:
    """Or take a colleague out. Sockets that watch it are told `rights lost`."""
    principal = call.principal

    async def work(tx: Tx) -> None:
        await remove_member(tx, principal, conversation, member)

    await call.transact(type(None), work)


ENDPOINTS: Final = (ask, list_waiting, add, remove)
