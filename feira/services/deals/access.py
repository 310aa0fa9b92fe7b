"""On which side of a conversation somebody sits: the buyer's, its shop's, or neither."""

from __future__ import annotations

import msgspec

from feira.platform.domain.ids import ConversationId, ShopId, UserId
from feira.platform.domain.offers import Side
from feira.platform.domain.permissions import Action, Principal, Role, require
from feira.services.deals.rows import SQL
from feira.services.messaging.messages import not_a_conversation
from feira.services.users.shops import shop_roles
from feira.sql.loader import Connection, fetch_one


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation's two sides, and which of them the caller speaks for."""

    conversation: ConversationId
    shop_id: ShopId
    buyer_id: UserId
    side: Side


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: ConversationId
    shop_id: ShopId
    buyer_id: UserId


async def require_party(
    con: Connection, principal: Principal, conversation: ConversationId, action: Action
) -> Party:
    """Return the caller's side of a conversation that they belong to.

    The buyer stays the buyer even after joining the shop's team, so that nobody says yes to themselves.

    Raises:
        NotFound: `conversation.not_found`, for other people's too.
        NotAllowed: `auth.not_allowed`: a member who speaks for neither side.
    """
    row = await fetch_one(con, SQL["read_party"], _Row, conversation, principal.user_id)
    if row is None:
        raise not_a_conversation()
    is_buyer = row.buyer_id == principal.user_id
    relations: frozenset[Role] = (
        frozenset({"buyer"}) if is_buyer else await shop_roles(con, row.shop_id, principal)
    )
    require(action, principal, relations)
    return Party(
        conversation=row.id,
        shop_id=row.shop_id,
        buyer_id=row.buyer_id,
        side="buyer" if is_buyer else "seller",
    )
