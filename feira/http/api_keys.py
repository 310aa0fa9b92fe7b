"""Keys for a shop's programs."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.platform.domain.ids import ShopId
from feira.services.users.api_keys import (
    KeyList,
    KeyView,
    MadeKey,
    NewKey,
    list_keys,
    make_key,
    revoke_key,
)
from feira.sql.database import Tx


@endpoint(
    "GET", "/v1/shops/{shop}/api-keys", service="users", summary="List the own shop's API keys."
)
async def get_keys(call: Call, shop: ShopId) -> KeyList:
    async with call.market.database.connection() as con:
        return await list_keys(con, call.principal, shop)


@endpoint(
    "POST",
    "/v1/shops/{shop}/api-keys",
    service="users",
    status=201,
    summary="Make an API key for the own shop.",
)
async def post_key(call: Call, shop: ShopId, body: NewKey) -> MadeKey:
    """The key is shown this once. A request that is repeated under its `Idempotency-Key` gets `key` null: revoke it, make another."""
    keys: dict[UUID, str] = {}

    async def work(tx: Tx) -> KeyView:
        made, key = await make_key(tx, call.principal, shop, body)
        keys[made.id] = key
        return made

    # What is kept for a repeat is the view: no table ever holds the key.
    shown = await call.transact(KeyView, work)
    return MadeKey(shown=shown, key=keys.get(shown.id))


@endpoint(
    "DELETE", "/v1/shops/{shop}/api-keys/{key}", service="users", summary="Revoke an API key."
)
async def delete_key(call: Call, shop: ShopId, key: UUID) -> None:
    async def work(tx: Tx) -> None:
        await revoke_key(tx, call.principal, shop, key)

    await call.transact(type(None), work)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (get_keys, post_key, delete_key)
