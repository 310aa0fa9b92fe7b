"""Who somebody is to an order: its buyer, its shop's team, or nobody."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from feira.platform.domain.ids import OrderId, ShopId, UserId
from feira.platform.domain.order_state import ActorRole
from feira.platform.domain.permissions import Principal, Role, is_allowed
from feira.services.orders.rows import no_such_order
from feira.services.orders.states import SQL
from feira.services.users.shops import shop_roles
from feira.sql.loader import Connection, fetch_one

_ACTOR_ROLES: Final[dict[Role, ActorRole]] = {
    "buyer": "buyer",
    "owner": "seller",
    "staff": "seller",
    "support": "support",
}


class _Parties(msgspec.Struct, frozen=True, kw_only=True):
    buyer_id: UserId
    shop_id: ShopId


async def order_roles(con: Connection, order_id: OrderId, principal: Principal) -> frozenset[Role]:
    """Return the caller's relations to an order: `buyer`, `owner`, `staff`; empty for strangers.

    An order that does not exist has no relations either.
    """
    parties = await fetch_one(con, SQL["read_parties"], _Parties, order_id)
    if parties is None:
        return frozenset()
    relations: set[Role] = set(await shop_roles(con, parties.shop_id, principal))
    # A shop's key buys nothing.
    if parties.buyer_id == principal.user_id and principal.api_key is None:
        relations.add("buyer")
    return frozenset(relations)


async def require_readable(
    con: Connection, order_id: OrderId, principal: Principal
) -> frozenset[Role]:
    """Return the caller's relations to an order that they may see.

    Raises:
        NotFound: `order.not_found`, for other people's orders too.
    """
    relations = await order_roles(con, order_id, principal)
    if not is_allowed("order.read", principal, relations):
        raise no_such_order()
    return relations


def actor_roles(principal: Principal, relations: AbstractSet[Role]) -> frozenset[ActorRole]:
    """Translate platform roles and relations to the order machine's."""
    held = principal.roles | relations
    return frozenset(actor for role, actor in _ACTOR_ROLES.items() if role in held)
