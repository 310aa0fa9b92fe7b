"""Who may watch which topic."""

from __future__ import annotations

from typing import cast

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import ConversationId, OrderId, ShopId
from feira.platform.domain.permissions import Action, Principal, Role, is_allowed
from feira.platform.domain.topics import Topic
from feira.services.messaging.conversations import is_member
from feira.services.orders.access import order_roles
from feira.services.users.shops import shop_roles
from feira.sql.loader import Connection, load_queries

SQL = load_queries("watching")


async def require_watch(con: Connection, principal: Principal, topic: Topic) -> None:
    """Pass when the user may watch the topic.

    Raises:
        NotFound: `topic.not_found`: it is not there, or not theirs to know of.
    """
    if topic.kind == "product":
        allowed = bool(await con.fetchval(SQL["is_public_product"], topic.id))
    else:
        action, relations = await _relation(con, principal, topic)
        allowed = is_allowed(action, principal, relations)
    if not allowed:
        raise NotFound(
            "topic.not_found", f"There is no topic {topic} that you may watch.", field="$.topic"
        )


async def _relation(
    con: Connection, principal: Principal, topic: Topic
) -> tuple[Action, frozenset[Role]]:
    match topic.kind:
        case "conversation":
            member = await is_member(con, cast("ConversationId", topic.id), principal.user_id)
            return "conversation.read", frozenset({"member"} if member else ())
        case "order":
            return "order.read", await order_roles(con, cast("OrderId", topic.id), principal)
        case "shop":
            return "topic.watch_shop", await shop_roles(con, cast("ShopId", topic.id), principal)
        case "inbox":
            return "topic.watch_inbox", frozenset({"self"} if topic.id == principal.user_id else ())
        case "ops":
            return "topic.watch_ops", frozenset()
        case "product":
            raise AssertionError("products are public")
