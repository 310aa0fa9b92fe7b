"""The signed-in user's own account."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from feira.platform.domain.errors import Conflict, InvalidInput
from feira.platform.domain.ids import ShopId, UserId
from feira.platform.domain.shops import ShopStatus
from feira.platform.domain.topics import inbox_topic
from feira.platform.domain.user_events import VisibilityChanged
from feira.services.users import fields
from feira.services.users.accounts import PlatformRole
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("users")


class UpdateProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. `version` is the one that the change was made from."""

    version: fields.Version
    display_name: fields.DisplayName | UnsetType = UNSET
    locale: fields.Locale | UnsetType = UNSET
    time_zone: fields.TimeZone | UnsetType = UNSET
    last_seen_visible: bool | UnsetType = UNSET


class MembershipView(msgspec.Struct, frozen=True, kw_only=True):
    """A shop whose team the user is on."""

    id: ShopId
    slug: str
    name: str
    status: ShopStatus
    role: Literal["owner", "staff"]


class MeView(msgspec.Struct, frozen=True, kw_only=True):
    """The user's own account."""

    id: UserId
    email: str
    email_verified: bool
    display_name: str
    locale: str
    time_zone: str
    last_seen_visible: bool
    roles: list[PlatformRole]
    version: int
    created_at: datetime
    shops: list[MembershipView]


class _ProfileRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UserId
    email: str
    email_verified: bool
    display_name: str
    locale: str
    time_zone: str
    last_seen_visible: bool
    roles: list[PlatformRole]
    version: int
    created_at: datetime


async def load_me(con: Connection, user: UserId) -> MeView:
    """The account, with the shops the user belongs to."""
    row = await fetch_one(con, SQL["read_profile"], _ProfileRow, user)
    assert row is not None, "accounts are never deleted"
    shops = await fetch_all(con, SQL["list_memberships"], MembershipView, user)
    return MeView(**msgspec.structs.asdict(row), shops=shops)


async def update_profile(tx: Tx, user: UserId, change: UpdateProfile) -> MeView:
    """Change the profile.

    Raises:
        Conflict: `user.stale_version`, with the current version in `details`.
        InvalidInput: `user.unknown_time_zone`.
    """
    if change.time_zone is not UNSET:
        _require_time_zone(change.time_zone)
    changed: UserId | None = await tx.con.fetchval(
        SQL["update_profile"],
        user,
        change.version,
        *(
            None if value is UNSET else value
            for value in (
                change.display_name,
                change.locale,
                change.time_zone,
                change.last_seen_visible,
            )
        ),
    )
    me = await load_me(tx.con, user)
    if changed is None:
        raise Conflict(
            "user.stale_version",
            "Your profile was changed elsewhere since; load it again and repeat the change.",
            details={"version": me.version},
        )
    if change.last_seen_visible is not UNSET:
        tx.emit(inbox_topic(user), VisibilityChanged(last_seen_visible=change.last_seen_visible))
    return me


def _require_time_zone(name: str) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    # OSError: a folder of zones, such as "America".
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(
            "user.unknown_time_zone",
            f"{name!r} is no time zone; give an IANA name such as Europe/Lisbon.",
            field="$.time_zone",
        ) from error
