"""What notifications need to know of orders, conversations and people."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from feira.platform.domain.ids import ConversationId, OrderId, ShipmentId, ShopId, UserId
from feira.services.notifications.notifications import SQL
from feira.sql.loader import Connection, fetch_all, fetch_one


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom mail may reach: active, with a confirmed address."""

    id: UserId
    email: str
    display_name: str


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    id: OrderId
    number: int
    total_minor: int
    currency: str
    shop_id: ShopId
    shop_name: str
    buyer_id: UserId
    buyer_name: str


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    carrier: str
    tracking_number: str


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """How far a member is behind: `count` messages, the last of them by `sender_name`."""

    read_seq: int
    count: int
    shop_id: ShopId
    sender_id: UserId
    sender_name: str


async def read_order(con: Connection, order: OrderId) -> OrderFacts:
    facts = await fetch_one(con, SQL["read_order_notice"], OrderFacts, order)
    assert facts is not None, "orders are never deleted"
    return facts


async def read_parcel(con: Connection, order: OrderId, shipment: ShipmentId) -> Parcel:
    parcel = await fetch_one(con, SQL["read_parcel"], Parcel, shipment, order)
    assert parcel is not None, "shipments are never deleted"
    return parcel


async def list_team(con: Connection, shop: ShopId) -> list[UserId]:
    return [row["user_id"] for row in await con.fetch(SQL["list_team"], shop)]


async def list_people(con: Connection, users: Iterable[UserId]) -> list[Person]:
    """Those of the users whom mail may reach, in the order of their ids."""
    return await fetch_all(con, SQL["list_people"], Person, list(users))


async def read_unread(con: Connection, conversation: ConversationId, user: UserId) -> Unread | None:
    """None when the user is not a member, or nothing was said yet."""
    return await fetch_one(con, SQL["read_unread"], Unread, conversation, user)
