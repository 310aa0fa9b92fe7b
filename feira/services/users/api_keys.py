"""Keys for a shop's programs: made and revoked by its owner, shown once, kept as a hash.

A key acts as whoever made it, for that shop alone, and does nothing that its scopes do not name. It is good only while its maker owns
the shop and the shop is open.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from feira.platform.domain.api_keys import (
    KEYS_PER_SHOP_MAX,
    KeyUse,
    Scope,
    format_key,
    is_wellformed,
)
from feira.platform.domain.audit import Origin
from feira.platform.domain.errors import Conflict, InvalidInput, NotFound, NotSignedIn
from feira.platform.domain.ids import SessionId, ShopId, UserId
from feira.platform.domain.permissions import Principal, is_allowed, require
from feira.services.audit.recording import record
from feira.services.users.accounts import principal_roles
from feira.services.users.shops import shop_roles
from feira.sql.database import Database, Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("api_keys")


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `expires_at` it is good until it is revoked."""

    name: Annotated[str, Meta(min_length=1, max_length=80, pattern=r"\S")]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=10)]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without what is secret of it. `last_used_at` is exact to a minute."""

    id: UUID
    name: str
    scopes: list[Scope]
    made_by: UserId
    made_by_name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """`key` is shown this once, and null to a repeat of the request. `repr` keeps it to itself."""

    shown: KeyView
    key: str | None

    def __repr__(self) -> str:
        return f"MadeKey(id={self.shown.id!r})"


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; a shop has 20 at most."""

    items: list[KeyView]


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    shop_id: ShopId
    scopes: list[Scope]
    user_id: UserId
    display_name: str
    good: bool
    verified: bool
    last_use_is_old: bool


async def make_key(
    tx: Tx, principal: Principal, shop_id: ShopId, wanted: NewKey
) -> tuple[KeyView, str]:
    """Make a key, and return it in clear for the only time.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
        NotAllowed: `auth.not_allowed`, for its staff.
        InvalidInput: `api_key.expires_in_the_past`.
        Conflict: `api_key.too_many`.
    """
    await _require_owner(tx.con, principal, shop_id)
    if wanted.expires_at is not None and wanted.expires_at <= tx.now:
        raise InvalidInput(
            "api_key.expires_in_the_past", "Choose a later end, or none.", field="$.expires_at"
        )
    await tx.con.execute(SQL["lock_shop"], shop_id)
    if await tx.con.fetchval(SQL["count_keys"], shop_id) >= KEYS_PER_SHOP_MAX:
        raise Conflict(
            "api_key.too_many", f"A shop has {KEYS_PER_SHOP_MAX} keys at most; revoke one first."
        )
    key, scopes = format_key(secrets.token_bytes(32)), sorted(set(wanted.scopes))
    key_id: UUID = await tx.con.fetchval(
        SQL["insert_key"],
        shop_id,
        principal.user_id,
        wanted.name,
        scopes,
        _sha256(key),
        wanted.expires_at,
    )
    await record(
        tx,
        principal,
        "api_key.make",
        "api_key",
        key_id,
        account=principal.user_id,
        after={
            "shop": shop_id,
            "name": wanted.name,
            "scopes": scopes,
            "expires_at": wanted.expires_at,
        },
    )
    shown = await fetch_one(tx.con, SQL["read_key"], KeyView, key_id)
    assert shown is not None, "just made"
    return shown, key


async def list_keys(con: Connection, principal: Principal, shop_id: ShopId) -> KeyList:
    """Return a shop's keys to its owner.

    Raises:
        NotFound: `shop.not_found`.
        NotAllowed: `auth.not_allowed`.
    """
    await _require_owner(con, principal, shop_id)
    return KeyList(items=await fetch_all(con, SQL["list_keys"], KeyView, shop_id))


async def revoke_key(tx: Tx, principal: Principal, shop_id: ShopId, key_id: UUID) -> None:
    """End a key: its next request is refused.

    Raises:
        NotFound: `shop.not_found`, `api_key.not_found`.
        NotAllowed: `auth.not_allowed`.
    """
    await _require_owner(tx.con, principal, shop_id)
    row = await tx.con.fetchrow(SQL["revoke_key"], key_id, shop_id, tx.now)
    if row is None:
        raise NotFound("api_key.not_found", "There is no such key; it may be revoked already.")
    await record(
        tx,
        principal,
        "api_key.revoke",
        "api_key",
        key_id,
        account=row["made_by"],
        before={"shop": shop_id, "name": row["name"], "scopes": row["scopes"]},
    )


async def authenticate_key(database: Database, key: str, origin: Origin) -> Principal:
    """Turn a key into a principal who asks from `origin`.

    Raises:
        NotSignedIn: `auth.api_key_invalid`, whatever is wrong with it.
    """
    if not is_wellformed(key):
        raise _invalid()
    async with database.connection() as con:
        found = await fetch_one(con, SQL["find_key"], _Found, _sha256(key))
        if found is None or not found.good:
            raise _invalid()
        if found.last_use_is_old:
            await con.execute(SQL["touch_key"], found.id)
    return Principal(
        user_id=found.user_id,
        # A key is its own session, of which there is no row.
        session_id=SessionId(found.id),
        display_name=found.display_name,
        # Whatever its maker is for the market, their key is not.
        roles=principal_roles([], verified=found.verified),
        api_key=KeyUse(id=found.id, shop=found.shop_id, scopes=frozenset(found.scopes)),
        origin=origin,
    )


async def _require_owner(con: Connection, principal: Principal, shop_id: ShopId) -> None:
    relations = await shop_roles(con, shop_id, principal)
    if not is_allowed("shop.read_private", principal, relations):
        raise NotFound("shop.not_found", "There is no such shop among those you work for.")
    require("api_key.write", principal, relations)


def _sha256(key: str) -> bytes:
    # 256 random bits: nobody guesses one, so a fast hash without salt is enough, and it can be looked up.
    return hashlib.sha256(key.encode()).digest()


def _invalid() -> NotSignedIn:
    return NotSignedIn(
        "auth.api_key_invalid",
        "The API key is not good: unknown, revoked, expired, or its shop is closed. Make another one.",
    )
