"""Applying for a shop, and what the public, the team and admins see of one."""

from __future__ import annotations

import re
import secrets
import unicodedata
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from feira.platform.domain.countries import require_country
from feira.platform.domain.errors import Conflict, NotFound, Rejected
from feira.platform.domain.ids import ShopId, UserId
from feira.platform.domain.jobs import VerifyShop
from feira.platform.domain.money import require_currency
from feira.platform.domain.permissions import Principal, Role, is_allowed, require
from feira.platform.domain.shops import AccountStatus, ShopStatus, sells
from feira.platform.domain.topics import inbox_topic, shop_topic
from feira.platform.domain.user_events import ShopUpdated
from feira.services.users import fields
from feira.services.users.shops import (
    SQL,
    ShopRow,
    found,
    load_shop,
    lock_shop,
    resync_listings,
    shop_roles,
)
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one

SHOPS_PER_OWNER_MAX: Final = 5
_SLUG_CHARS_MAX: Final = 48
_SLUG_TRIES: Final = 5


class ApplyForShop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An application. Without a `slug` one is made from the name."""

    name: fields.ShopName
    country: fields.Country
    currency: fields.Currency
    description: fields.Description = ""
    slug: fields.Slug | None = None


class UpdateShop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. The slug stays for good: links point there.

    `ship_within_days`, from the payment, is the shop's promise to buyers of later orders; null is the market's time.
    """

    version: fields.Version
    name: fields.ShopName | UnsetType = UNSET
    description: fields.Description | UnsetType = UNSET
    ship_within_days: fields.ShipWithinDays | UnsetType | None = UNSET


class ShopView(msgspec.Struct, frozen=True, kw_only=True):
    """What everybody sees of a shop."""

    id: ShopId
    name: str
    slug: str
    description: str
    ship_within_days: int | None
    country: str
    currency: str
    status: ShopStatus
    created_at: datetime


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody of a shop's team."""

    user_id: UserId
    display_name: str
    role: Literal["owner", "staff"]


class ShopPrivateView(msgspec.Struct, frozen=True, kw_only=True):
    """What a shop's team and the platform's staff see of it."""

    id: ShopId
    name: str
    slug: str
    description: str
    ship_within_days: int | None
    country: str
    currency: str
    status: ShopStatus
    status_reason: str
    provider_status: AccountStatus
    owner_id: UserId
    version: int
    created_at: datetime
    members: list[MemberView]


class ShopSummaryView(msgspec.Struct, frozen=True, kw_only=True):
    """A shop in an admin's list."""

    id: ShopId
    name: str
    slug: str
    country: str
    currency: str
    status: ShopStatus
    status_reason: str
    provider_status: AccountStatus
    owner_id: UserId
    created_at: datetime


class ShopPage(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first: who waited longest comes first."""

    items: list[ShopSummaryView]
    next_cursor: str | None


async def apply_for_shop(tx: Tx, principal: Principal, wanted: ApplyForShop) -> ShopPrivateView:
    """Make an application; a job opens the shop's account at the payment provider.

    Raises:
        NotAllowed: `auth.email_unverified`.
        InvalidInput: `address.unknown_country`, `money.unknown_currency`.
        Rejected: `shop.too_many`.
        Conflict: `shop.slug_taken`.
    """
    require("shop.apply", principal)
    require_country(wanted.country)
    require_currency(wanted.currency)
    # Two applications at once are counted one after the other.
    await tx.con.fetchval(SQL["lock_owner"], principal.user_id)
    owned: int = await tx.con.fetchval(SQL["count_owned"], principal.user_id)
    if owned >= SHOPS_PER_OWNER_MAX:
        raise Rejected("shop.too_many", f"One person can have {SHOPS_PER_OWNER_MAX} shops.")
    shop_id = await _insert(tx, principal.user_id, wanted)
    await tx.con.execute(SQL["insert_member"], shop_id, principal.user_id, "owner")
    tx.enqueue(VerifyShop(shop=shop_id), dedup=f"verify_shop:{shop_id}")
    return await private_view(tx.con, await load_shop(tx.con, shop_id))


async def update_shop(
    tx: Tx, principal: Principal, shop_id: ShopId, change: UpdateShop
) -> ShopPrivateView:
    """Change the profile.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
        NotAllowed: `auth.not_allowed`, for its staff.
        Conflict: `shop.stale_version`, with the current version in `details`.
    """
    shop = await lock_shop(tx, shop_id)
    relations = await shop_roles(tx.con, shop_id, principal)
    if not is_allowed("shop.read_private", principal, relations):
        raise _hidden()
    require("shop.update", principal, relations)
    if shop.version != change.version:
        raise Conflict(
            "shop.stale_version",
            "The shop was changed elsewhere since; load it again and repeat the change.",
            details={"version": shop.version},
        )
    name = shop.name if change.name is UNSET else change.name
    description = shop.description if change.description is UNSET else change.description
    days = shop.ship_within_days if change.ship_within_days is UNSET else change.ship_within_days
    await tx.con.execute(SQL["update_shop"], shop_id, name, description, days)
    event = ShopUpdated(shop=shop_id, name=name, version=shop.version + 1)
    tx.emit(shop_topic(shop_id), event)
    tx.emit(inbox_topic(shop.owner_id), event)
    if name != shop.name:
        await resync_listings(tx, shop_id)
    return await private_view(tx.con, await load_shop(tx.con, shop_id))


async def read_public(con: Connection, principal: Principal | None, shop_id: ShopId) -> ShopView:
    """A shop that the caller may see: open to the public, or theirs.

    Raises:
        NotFound: `shop.not_found`.
    """
    return await _public(
        con, principal, found(await fetch_one(con, SQL["read_shop"], ShopRow, shop_id))
    )


async def read_by_slug(con: Connection, principal: Principal | None, slug: str) -> ShopView:
    """See `read_public`."""
    return await _public(
        con, principal, found(await fetch_one(con, SQL["read_shop_by_slug"], ShopRow, slug))
    )


async def read_private(con: Connection, principal: Principal, shop_id: ShopId) -> ShopPrivateView:
    """A shop for its team and the platform's staff.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
    """
    shop = await load_shop(con, shop_id)
    if not is_allowed("shop.read_private", principal, await shop_roles(con, shop_id, principal)):
        raise _hidden()
    return await private_view(con, shop)


async def list_shops(
    con: Connection,
    principal: Principal,
    *,
    status: ShopStatus | None,
    cursor: UUID | None,
    limit: int,
) -> ShopPage:
    """Shops for admins.

    Raises:
        NotAllowed: `auth.not_allowed`.
    """
    require("shop.decide", principal)
    rows = await fetch_all(con, SQL["list_by_status"], ShopRow, status, cursor, limit + 1)
    items = [msgspec.convert(row, ShopSummaryView, from_attributes=True) for row in rows[:limit]]
    return ShopPage(items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None)


async def private_view(con: Connection, shop: ShopRow) -> ShopPrivateView:
    members = await fetch_all(con, SQL["list_members"], MemberView, shop.id)
    columns = msgspec.structs.asdict(shop)
    del columns["provider_account"]
    return ShopPrivateView(**columns, members=members)


def slug_of(name: str) -> str:
    """A readable address from a name: `Café Ó Brasil!` -> `cafe-o-brasil`; `shop` where nothing Latin is left."""
    latin = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", latin).strip("-")[:_SLUG_CHARS_MAX].strip("-")
    return slug if len(slug) > 1 else "shop"


async def _insert(tx: Tx, owner: UserId, wanted: ApplyForShop) -> ShopId:
    wished = wanted.slug or slug_of(wanted.name)
    for attempt in range(_SLUG_TRIES):
        slug = wished if attempt == 0 else f"{wished}-{secrets.token_hex(3)}"
        shop_id: ShopId | None = await tx.con.fetchval(
            SQL["insert_shop"],
            owner,
            wanted.name,
            slug,
            wanted.description,
            wanted.country,
            wanted.currency,
        )
        if shop_id is not None:
            return shop_id
        if wanted.slug is not None:
            break
    raise Conflict(
        "shop.slug_taken", f"The address {wished!r} is taken; choose another.", field="$.slug"
    )


async def _public(con: Connection, principal: Principal | None, shop: ShopRow) -> ShopView:
    if not sells(shop.status):
        relations: frozenset[Role] = frozenset()
        if principal is not None:
            relations = await shop_roles(con, shop.id, principal)
        if not is_allowed("shop.read_private", principal, relations):
            raise _hidden()
    return msgspec.convert(shop, ShopView, from_attributes=True)


def _hidden() -> NotFound:
    return NotFound("shop.not_found", "There is no such shop.")
