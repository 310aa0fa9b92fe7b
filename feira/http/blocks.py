"""Whom the caller does not want to hear from."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import UserId
from feira.services.messaging.blocks import BlockView, block, list_blocks, unblock

NOTHING: Final = type(None)


class BlockQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    cursor: UserId | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class BlockPage(msgspec.Struct, frozen=True, kw_only=True):
    """`next_cursor` is null on the last page."""

    items: list[BlockView]
    next_cursor: str | None


@endpoint("GET", "/v1/me/blocks", service="messaging", summary="List whom one has blocked.")
async def get_blocks(call: Call, query: BlockQuery) -> BlockPage:
    async with call.market.database.connection() as con:
        rows = await list_blocks(
            con, call.principal.user_id, cursor=query.cursor, limit=query.limit + 1
        )
    items = rows[: query.limit]
    return BlockPage(
        items=items, next_cursor=str(items[-1].user_id) if len(rows) > len(items) else None
    )


@endpoint("PUT", "/v1/me/blocks/{user}", service="messaging", summary="Hear no more from somebody.")
async def put_block(call: Call, user: UserId) -> None:
    """They say nothing new in conversations with you, and open none with you. They are told so when they try."""
    await call.transact(NOTHING, lambda tx: block(tx, call.principal, user))


@endpoint(
    "DELETE", "/v1/me/blocks/{user}", service="messaging", summary="Hear from somebody again."
)
async def delete_block(call: Call, user: UserId) -> None:
    await call.transact(NOTHING, lambda tx: unblock(tx, call.principal, user))


ENDPOINTS: Final = (get_blocks, put_block, delete_block)
