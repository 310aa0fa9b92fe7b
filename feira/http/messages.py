"""Messages over REST: what a client loads before, beside and instead of the socket."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import ConversationId
from feira.platform.domain.messages import MessageSeq
from feira.services.messaging.changes import LoggedChange
from feira.services.messaging.edits import EditMessage, delete_message, edit_message
from feira.services.messaging.history import (
    HISTORY_LIMIT_MAX,
    HistoryEntry,
    HistoryPage,
    SearchPage,
    read_history,
    read_message,
    require_message,
    search,
)
from feira.services.messaging.messages import NewMessage, PostedMessage
from feira.services.messaging.reactions import React, react
from feira.sql.database import Tx


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries with a `seq` below `before`; the newest without it."""

    before: MessageSeq | None = None
    limit: Annotated[int, Meta(ge=1, le=HISTORY_LIMIT_MAX)] = 50


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages with all the words of `q`, each with any ending; `before` comes from the page before."""

    q: Annotated[str, Meta(min_length=1, max_length=200)]
    before: MessageSeq | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 20


@endpoint(
    "GET",
    "/v1/conversations/{conversation}/messages",
    service="messaging",
    summary="Read history, newest page first.",
)
async def read_page(call: Call, conversation: ConversationId, query: HistoryQuery) -> HistoryPage:
    """Messages as they read now, and who came and went. Then apply the socket's events after the page's `seq`."""
    async with call.market.database.connection() as con:
        return await read_history(
            con,
            call.principal.user_id,
            conversation,
            before=query.before,
            limit=query.limit,
        )


@endpoint(
    "POST",
    "/v1/conversations/{conversation}/messages",
    service="messaging",
    status=201,
    summary="Say something.",
)
async def post(call: Call, conversation: ConversationId, body: NewMessage) -> PostedMessage:
    """`client_id` makes a repeat safe: it is answered with the place that the message has already."""
    principal = call.principal
    if body.reply_to is not None:
        async with call.market.database.connection() as con:
            await require_message(con, principal.user_id, conversation, body.reply_to)
    return await call.actors.post_message(principal, conversation, body)


@endpoint(
    "GET",
    "/v1/conversations/{conversation}/messages/{message}",
    service="messaging",
    summary="Read one message.",
)
async def read_one(call: Call, conversation: ConversationId, message: MessageSeq) -> HistoryEntry:
    """As it reads now: a deleted one has `deleted_at` and no text."""
    async with call.market.database.connection() as con:
        return await read_message(con, call.principal.user_id, conversation, message)


@endpoint(
    "PATCH",
    "/v1/conversations/{conversation}/messages/{message}",
    service="messaging",
    summary="Edit one's own message.",
)
async def edit(
    call: Call, conversation: ConversationId, message: MessageSeq, body: EditMessage
) -> LoggedChange:
    """For 15 minutes. `client_id` makes a repeat safe: it changes nothing again and gets the first answer."""
    principal = call.principal

    async def work(tx: Tx) -> LoggedChange:
        return await edit_message(tx, principal, conversation, message, body)

    return await call.transact(LoggedChange, work)


@endpoint(
    "DELETE",
    "/v1/conversations/{conversation}/messages/{message}",
    service="messaging",
    summary="Delete a message.",
)
async def delete(call: Call, conversation: ConversationId, message: MessageSeq) -> LoggedChange:
    """One's own, or anybody's as a moderator. A tombstone stays; what was said is gone from the log too."""
    principal = call.principal

    async def work(tx: Tx) -> LoggedChange:
        return await delete_message(tx, principal, conversation, message)

    return await call.transact(LoggedChange, work)


@endpoint(
    "POST",
    "/v1/conversations/{conversation}/messages/{message}/reactions",
    service="messaging",
    summary="React to a message, or take it back.",
)
async def add_or_remove_reaction(
    call: Call, conversation: ConversationId, message: MessageSeq, body: React
) -> LoggedChange:
    """`client_id` makes a repeat safe, also after the next tap said otherwise."""
    principal = call.principal

    async def work(tx: Tx) -> LoggedChange:
        return await react(tx, principal, conversation, message, body)

    return await call.transact(LoggedChange, work)


@endpoint(
    "GET",
    "/v1/conversations/{conversation}/search",
    service="messaging",
    summary="Search within a conversation.",
)
async def search_messages(
    call: Call, conversation: ConversationId, query: SearchQuery
) -> SearchPage:
    """Newest first, by the texts as they read now; accents and case do not matter. Go on while there is a `next_before`."""
    async with call.market.database.connection() as con:
        return await search(
            con,
            call.principal.user_id,
            conversation,
            words=query.q,
            before=query.before,
            limit=query.limit,
        )


ENDPOINTS: Final = (
    read_page,
    post,
    read_one,
    edit,
    delete,
    add_or_remove_reaction,
    search_messages,
)
