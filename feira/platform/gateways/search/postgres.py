"""The embedded search engine: full text in Postgres, with trigrams where nothing matches as it was written.

Titles count most, then categories, then descriptions; the last word may be unfinished. When no product has all
the words, titles that look alike are found instead ("keramik vaze"). A search remembers in its cursor which of
the two it was.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated, Final, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from feira.platform.domain.errors import InvalidInput
from feira.platform.gateways.search.port import SearchDocument, SearchPage, SearchQuery, Sort
from feira.platform.gateways.search.statements import (
    PAGES,
    PARSE,
    REMOVE,
    SET_SIMILARITY,
    UPSERT,
)

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    # Generic for type checkers only.
    Connection = asyncpg.Connection

Connect = Callable[[], AbstractAsyncContextManager[Connection]]

TEXT_CHARS_MAX: Final = 200
LIMIT_MAX: Final = 100
# Share of a query's trigrams that a title has to have to be looked at; "Ceramic vase" has a third of "keramik vaze".
# How alike each single word has to be stands in search_matches.
_SIMILARITY_MIN: Final = "0.3"
# Microseconds up to the year 9999; prices and scores are smaller. Beyond, Postgres could not compare it.
_Key = Annotated[int, Meta(ge=0, le=253_402_300_799_999_999)]
_Mode = Literal["exact", "similar"]


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a page ended: its last hit's place in the order."""

    mode: _Mode
    sort: Sort
    key: _Key
    product_id: UUID


class _Match(msgspec.Struct, frozen=True, kw_only=True):
    """What a text asks for; both are None where everything matches."""

    wanted: str | None
    words: str | None


class PostgresSearch:
    """A `SearchEngine` over the table search_documents.

    `connect` lends a connection and says `Unavailable` when there is none, as `Database.connection` does.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def upsert(self, document: SearchDocument) -> None:
        async with self._connect() as con:
            await con.execute(
                UPSERT,
                document.product_id,
                document.version,
                document.shop_id,
                document.category_slugs,
                msgspec.json.encode(document).decode(),
                document.price_min_minor,
                document.in_stock,
                document.published_at,
                document.title,
                document.description,
            )

    async def remove(self, product_id: UUID, version: int) -> None:
        async with self._connect() as con:
            await con.execute(REMOVE, product_id, version)

    async def search(self, query: SearchQuery) -> SearchPage:
        """Return a page of matches.

        Raises:
            InvalidInput: `search.query_too_long`, `search.bad_limit`, `search.bad_cursor`.
        """
        _check(query)
        cursor = None if query.cursor is None else _decode_cursor(query.cursor, query.sort)
        async with self._connect() as con, con.transaction(readonly=True):
            parsed = await con.fetchrow(PARSE, query.text)
            assert parsed is not None, "parsing gives one row"
            words: str = parsed["words"]
            if not words:
                if query.text.strip():
                    # Signs without a letter or a digit: no product has such a word.
                    return SearchPage(hits=[], next_cursor=None)
                return await _page(con, query, "exact", _Match(wanted=None, words=None), cursor)
            if cursor is None or cursor.mode == "exact":
                match = _Match(wanted=parsed["wanted"], words=None)
                page = await _page(con, query, "exact", match, cursor)
                if page.hits or cursor is not None:
                    return page
            await con.execute(SET_SIMILARITY, _SIMILARITY_MIN)
            return await _page(con, query, "similar", _Match(wanted=None, words=words), cursor)

    async def close(self) -> None:
        """Nothing to close: connections are lent."""


async def _page(
    con: Connection, query: SearchQuery, mode: _Mode, match: _Match, cursor: _Cursor | None
) -> SearchPage:
    sort = query.sort
    if sort == "relevance" and match.wanted is None and match.words is None:
        # Nothing to be relevant to.
        sort = "newest"
    records = await con.fetch(
        PAGES[sort],
        match.wanted,
        match.words,
        query.category,
        query.shop_id,
        query.price_min_minor,
        query.price_max_minor,
        query.in_stock,
        None if cursor is None else cursor.key,
        None if cursor is None else cursor.product_id,
        query.limit + 1,
    )
    shown = records[: query.limit]
    hits = [msgspec.json.decode(record["document"], type=SearchDocument) for record in shown]
    following = None
    if len(records) > query.limit:
        last = shown[-1]
        following = _encode_cursor(_Cursor(mode, query.sort, last["key"], last["product_id"]))
    return SearchPage(hits=hits, next_cursor=following)


def _check(query: SearchQuery) -> None:
    if len(query.text) > TEXT_CHARS_MAX:
        raise InvalidInput(
            "search.query_too_long",
            f"A search has up to {TEXT_CHARS_MAX} characters.",
            field="$.q",
        )
    if "\0" in query.text:
        raise InvalidInput(
            "search.query_unprintable", "A search is text, without NUL characters.", field="$.q"
        )
    if not 1 <= query.limit <= LIMIT_MAX:
        raise InvalidInput(
            "search.bad_limit", f"A page has 1 to {LIMIT_MAX} hits.", field="$.limit"
        )


def _encode_cursor(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def _decode_cursor(text: str, sort: Sort) -> _Cursor:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
        cursor = msgspec.msgpack.decode(raw, type=_Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise _bad_cursor() from None
    if cursor.sort != sort:
        raise _bad_cursor()
    return cursor


def _bad_cursor() -> InvalidInput:
    return InvalidInput(
        "search.bad_cursor",
        "The cursor is not one of this search; pass next_cursor back as it was, with the same sort.",
        field="$.cursor",
    )
