"""Keys for a shop's programs."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.platform.domain.ids import ShopId
from feira.services.users.api_keys import KeyList, MadeKey, NewKey, list_keys, make_key, revoke_key
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
    """The key is shown this once, also where the request is repeated: an `Idempotency-Key` does nothing here."""

    async def work(tx: Tx) -> MadeKey:
        return await make_key(tx, call.principal, shop, body)

    # Not through `call.transact`, which would keep the answer, and the key with it, for the next time.
    return await call.market.database.transact(work)


@endpoint(
    "DELETE", "/v1/shops/{shop}/api-keys/{key}", service="users", summary="Revoke an API key."
)
async def delete_key(call: Call, shop: ShopId, key: UUID) -> None:
    async def work(tx: Tx) -> None:
        await revoke_key(tx, call.principal, shop, key)

    await call.transact(type(None), work)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (get_keys, post_key, delete_key)
