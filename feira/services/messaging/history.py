"""What a conversation's members read over REST: history, single messages and search, each as it reads now.

A client that loads a page and then applies the events after the page's `seq` has what one has that followed from the start.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from feira.platform.domain.errors import InvalidInput
from feira.platform.domain.ids import ConversationId, UserId
from feira.services.messaging.messages import not_a_conversation, not_a_message
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("history")

HISTORY_LIMIT_MAX: Final = 100
# A search looks at so many messages at a time (10 us each), so that none takes the database for long.
SEARCHED_MAX: Final = 5_000
_PAST_ALL: Final = 2**62


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """An emoji and who reacts with it, in the order in which they came. Emoji stand in the order of their code points."""

    emoji: str
    users: list[UserId]


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of the message that is replied to, as it reads now; no text when there is none, or it was deleted."""

    seq: int
    sender: UserId
    text: str | None
    deleted: bool


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it reads now, or who came or went: `body` as sockets get it, and what stands beside it."""

    seq: int
    at: datetime
    body: msgspec.Raw
    reactions: list[Reaction]
    reply: Quote | None


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Ascending. `next_before` leads to the older page, null when there is none.

    All of the log up to `seq` is in it; what the page has of later changes, their events only say again.
    """

    items: list[HistoryEntry]
    next_before: int | None
    seq: int


class SearchPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. `next_before` goes on looking, also when a page has few or no items; null at the beginning of it all."""

    items: list[HistoryEntry]
    next_before: int | None


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    at: datetime
    body: msgspec.Raw
    reactions: msgspec.Raw
    reply: msgspec.Raw

    @property
    def entry(self) -> HistoryEntry:
        return HistoryEntry(
            seq=self.seq,
            at=self.at,
            body=self.body,
            reactions=msgspec.json.decode(self.reactions, type=list[Reaction]),
            reply=msgspec.json.decode(self.reply, type=Quote | None),
        )


async def read_history(
    con: Connection, user: UserId, conversation: ConversationId, *, before: int | None, limit: int
) -> HistoryPage:
    """Return up to `limit` entries before a sequence number, the newest when None.

    Raises:
        NotFound: `conversation.not_found`.
    """
    head = await _require_head(con, user, conversation)
    rows = await fetch_all(
        con,
        SQL["read_history"],
        _Row,
        conversation,
        before or _PAST_ALL,
        min(limit, HISTORY_LIMIT_MAX) + 1,
    )
    items = [row.entry for row in reversed(rows[:limit])]
    return HistoryPage(
        items=items, next_before=items[0].seq if len(rows) > limit else None, seq=head
    )


async def read_message(
    con: Connection, user: UserId, conversation: ConversationId, message: int
) -> HistoryEntry:
    """Return one message.

    Raises:
        NotFound: `conversation.not_found`, `message.not_found`.
    """
    await _require_head(con, user, conversation)
    row = await fetch_one(con, SQL["read_message"], _Row, conversation, message)
    if row is None:
        raise not_a_message(message)
    return row.entry


async def require_message(
    con: Connection, user: UserId, conversation: ConversationId, message: int
) -> None:
    """Pass when a member may reply to this. What is there stays there, if only as a tombstone.

    Raises:
        NotFound: `conversation.not_found`, `message.not_found`.
    """
    if await con.fetchval(SQL["has_message"], conversation, message, user):
        return
    await _require_head(con, user, conversation)
    raise not_a_message(message, field="$.reply_to")


async def search(
    con: Connection,
    user: UserId,
    conversation: ConversationId,
    *,
    words: str,
    before: int | None,
    limit: int,
) -> SearchPage:
    """Return messages that hold all the words, or words that begin so, whatever their accents and case.

    Raises:
        InvalidInput: `search.no_words`.
        NotFound: `conversation.not_found`.
    """
    await _require_head(con, user, conversation)
    wanted = await con.fetchval(SQL["fold_query"], words)
    if wanted is None:
        raise InvalidInput("search.no_words", "Give a word or two to look for.", field="$.q")
    before = before or _PAST_ALL
    floor = await con.fetchval(SQL["find_search_floor"], conversation, before, SEARCHED_MAX)
    rows = await fetch_all(
        con, SQL["search_messages"], _Row, conversation, before, floor or 0, wanted, limit
    )
    items = [row.entry for row in rows]
    return SearchPage(items=items, next_before=items[-1].seq if len(items) == limit else floor)


async def _require_head(con: Connection, user: UserId, conversation: ConversationId) -> int:
    head = await con.fetchval(SQL["read_member_head"], conversation, user)
    if head is None:
        raise not_a_conversation()
    return int(head)
