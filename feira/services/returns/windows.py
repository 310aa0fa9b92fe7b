"""How long after delivery a shop takes things back. Orders freeze it when they are placed."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import ShopId
from feira.platform.domain.permissions import Principal, require
from feira.services.returns.rows import SQL
from feira.services.users.shops import shop_roles
from feira.sql.database import Tx
from feira.sql.loader import Connection

WINDOW_S_MAX: Final = 365 * 24 * 3600


class SetReturnWindow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Null is the market's usual time, 14 days."""

    return_window_s: Annotated[int, Meta(ge=0, le=WINDOW_S_MAX)] | None


class ReturnWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds after the last parcel of an order arrived."""

    return_window_s: int


async def read_window(con: Connection, shop_id: ShopId) -> ReturnWindow:
    """What holds for orders that are placed now.

    Raises:
        NotFound: `shop.not_found`.
    """
    window_s: int | None = await con.fetchval(SQL["read_shop_window"], shop_id)
    if window_s is None:
        raise NotFound("shop.not_found", "There is no such shop.")
    return ReturnWindow(return_window_s=window_s)


async def set_window(
    tx: Tx, principal: Principal, shop_id: ShopId, wanted: SetReturnWindow
) -> ReturnWindow:
    """Change it for orders that are placed from now on.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
        NotAllowed: `auth.not_allowed`, for its staff.
    """
    relations = await shop_roles(tx.con, shop_id, principal)
    if not relations:
        raise NotFound("shop.not_found", "There is no such shop.")
    require("shop.update", principal, relations)
    await tx.con.execute(SQL["set_shop_window"], shop_id, wanted.return_window_s)
    return await read_window(tx.con, shop_id)
