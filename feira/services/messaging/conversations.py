"""Opening, listing and belonging to conversations."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, cast
from uuid import UUID

import msgspec

from feira.platform.domain.errors import InvalidInput, NotFound, Rejected
from feira.platform.domain.ids import ConversationId, OrderId, ProductId, ShopId, UserId
from feira.platform.domain.messaging_events import ConversationOpened, MemberRole
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.spam import (
    NEW_CONVERSATIONS_MAX,
    NEW_CONVERSATIONS_WITHIN_S,
    require_few_new_conversations,
)
from feira.platform.domain.topics import inbox_topic
from feira.services.messaging.hearing import require_may_open
from feira.services.messaging.messages import SQL, not_a_conversation
from feira.services.orders.access import order_roles
from feira.services.users.shops import shop_roles
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one


class OpenConversation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Talk to a shop, about one of its products or an order, or about nothing in particular."""

    shop: ShopId
    product: ProductId | None = None
    order: OrderId | None = None


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """A member and how far they have read and received. Who does not want to be seen has no `last_seen_at` and no presence."""

    user_id: UserId
    display_name: str
    role: MemberRole
    read_seq: int
    delivered_seq: int
    last_seen_at: datetime | None
    last_seen_visible: bool


class ConversationView(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation in somebody's list; `unread` is theirs, `last_message` the last one's body or null."""

    id: ConversationId
    shop_id: ShopId
    shop_name: str
    buyer_id: UserId
    buyer_name: str
    subject_kind: Literal["product", "order"] | None
    subject_id: UUID | None
    subject_title: str | None
    seq: int
    read_seq: int
    unread: int
    active_at: datetime
    last_message: msgspec.Raw


class ConversationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Most recently active first; `next_cursor` is null on the last page."""

    items: list[ConversationView]
    next_cursor: str | None


class _OrderParties(msgspec.Struct, frozen=True, kw_only=True):
    buyer_id: UserId
    shop_id: ShopId


async def open_conversation(
    tx: Tx, principal: Principal, wanted: OpenConversation
) -> ConversationId:
    """Open a conversation with a shop, or return the one that these two already have about the same thing.

    Raises:
        InvalidInput: `conversation.two_subjects`.
        NotFound: the shop, product or order is not there for this user.
        Rejected: `conversation.own_shop`, `conversation.blocked`, `posting.limited`.
        TooMany: `conversation.too_many_new`.
        NotAllowed: see `permissions.require`.
    """
    require("conversation.open", principal)
    if wanted.product is not None and wanted.order is not None:
        raise InvalidInput(
            "conversation.two_subjects",
            "A conversation is about a product or an order, not both.",
            field="$.order",
        )
    buyer, kind, subject = principal.user_id, None, None
    if wanted.order is not None:
        buyer = await _buyer_of_order(tx.con, principal, wanted.shop, wanted.order)
        kind, subject = "order", wanted.order
    else:
        if not await tx.con.fetchval(SQL["is_open_shop"], wanted.shop):
            raise NotFound("shop.not_found", "There is no such shop.", field="$.shop")
        if await shop_roles(tx.con, wanted.shop, principal):
            raise Rejected(
                "conversation.own_shop",
                "This is your own shop; customers open the talk.",
                field="$.shop",
            )
        if wanted.product is not None:
            if not await tx.con.fetchval(SQL["is_product_of_shop"], wanted.product, wanted.shop):
                raise NotFound(
                    "product.not_found", "This shop has no such product.", field="$.product"
                )
            kind, subject = "product", wanted.product
    if buyer == principal.user_id:
        await require_may_open(tx.con, wanted.shop, buyer)
    is_counted = kind != "order"
    if is_counted:
        await tx.con.execute(SQL["lock_openings"], buyer)
    conversation, is_new = await _find_or_open(tx, wanted.shop, buyer, kind, subject)
    if is_new and is_counted:
        await _require_few_new(tx, buyer)
    return conversation


async def conversation_about_order(
    tx: Tx, *, shop: ShopId, buyer: UserId, order: OrderId
) -> ConversationId:
    """The conversation that a dispute needs: opened if it was not, whoever has blocked whom."""
    conversation, _ = await _find_or_open(tx, shop, buyer, "order", order)
    return conversation


async def _find_or_open(
    tx: Tx, shop: ShopId, buyer: UserId, kind: str | None, subject: UUID | None
) -> tuple[ConversationId, bool]:
    dedup = f"{shop}:{buyer}:{kind or ''}:{subject or ''}"
    created = await tx.con.fetchval(SQL["insert_conversation"], shop, buyer, kind, subject, dedup)
    if created is None:
        found = await tx.con.fetchval(SQL["find_conversation"], dedup)
        assert found is not None, "what the insert ran into is there"
        return ConversationId(cast("UUID", found)), False
    conversation = ConversationId(cast("UUID", created))
    members = await tx.con.fetch(SQL["insert_members"], conversation, buyer, shop)
    for member in members:
        tx.emit(
            inbox_topic(UserId(member["user_id"])),
            ConversationOpened(conversation=conversation, shop=shop, buyer=buyer),
        )
    return conversation, True


async def _require_few_new(tx: Tx, buyer: UserId) -> None:
    openings = await tx.con.fetch(
        SQL["list_openings"], buyer, float(NEW_CONVERSATIONS_WITHIN_S), NEW_CONVERSATIONS_MAX + 1
    )
    require_few_new_conversations([opening["created_at"] for opening in openings], tx.now)


async def _buyer_of_order(
    con: Connection, principal: Principal, shop: ShopId, order: OrderId
) -> UserId:
    require_relation = await order_roles(con, order, principal)
    parties = await fetch_one(con, SQL["order_parties"], _OrderParties, order)
    if parties is None or parties.shop_id != shop or not require_relation:
        raise NotFound(
            "order.not_found", "There is no such order with this shop among yours.", field="$.order"
        )
    return parties.buyer_id


async def list_conversations(
    con: Connection, user: UserId, *, cursor: ConversationId | None, limit: int
) -> ConversationPage:
    """Return a user's conversations, the most recently active first. `cursor` is the last id of the page before."""
    rows = await fetch_all(
        con, SQL["list_conversations"], ConversationView, user, cursor, None, limit + 1
    )
    items = rows[:limit]
    return ConversationPage(
        items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None
    )


async def read_conversation(
    con: Connection, user: UserId, conversation: ConversationId
) -> ConversationView:
    """Return one of the user's conversations.

    Raises:
        NotFound: `conversation.not_found`.
    """
    row = await fetch_one(
        con, SQL["list_conversations"], ConversationView, user, None, conversation, 1
    )
    if row is None:
        raise not_a_conversation()
    return row


async def read_members(con: Connection, conversation: ConversationId) -> list[MemberView]:
    """Return a conversation's members in the order in which they joined."""
    return await fetch_all(con, SQL["read_members"], MemberView, conversation)


async def is_member(con: Connection, conversation: ConversationId, user: UserId) -> bool:
    return bool(await con.fetchval(SQL["is_member"], conversation, user))
