"""Who somebody is to a product: of its shop's team, of the platform's staff, or anyone."""

from __future__ import annotations

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import ShopId
from feira.platform.domain.permissions import Action, Principal, Role, is_allowed, require
from feira.services.products.rows import SQL, ShopFacts, found
from feira.services.users.shops import shop_roles
from feira.sql.loader import Connection, fetch_one


async def team_roles(
    con: Connection, shop_id: ShopId, principal: Principal | None
) -> frozenset[Role]:
    """Return the caller's relations to a shop: `owner`, `staff`, or none."""
    return frozenset() if principal is None else await shop_roles(con, shop_id, principal)


async def may_read_drafts(con: Connection, shop_id: ShopId, principal: Principal | None) -> bool:
    """Whether the caller sees what the public does not."""
    roles = await team_roles(con, shop_id, principal)
    return is_allowed("product.read_draft", principal, roles)


async def require_shop(
    con: Connection, shop_id: ShopId, principal: Principal, action: Action
) -> ShopFacts:
    """Return a shop on whose products the caller may act.

    Raises:
        NotFound: `shop.not_found`, for other people's shops too.
        NotAllowed: `auth.not_allowed`, for the shop's own people.
    """
    shop = await fetch_one(con, SQL["read_shop"], ShopFacts, shop_id)
    roles = await team_roles(con, shop_id, principal)
    if shop is None or not (roles or is_allowed(action, principal)):
        raise NotFound("shop.not_found", "There is no such shop among yours.")
    require(action, principal, roles)
    return shop


async def require_on_product(
    con: Connection, shop_id: ShopId, principal: Principal, action: Action
) -> None:
    """Pass when the caller may act on a product of this shop.

    Raises:
        NotFound: `product.not_found`, for other people's products too.
        NotAllowed: `auth.not_allowed`, for those who may see but not change it.
    """
    roles = await team_roles(con, shop_id, principal)
    found(True if is_allowed("product.read_draft", principal, roles) else None)
    require(action, principal, roles)
