"""A shop's own ways of sending, with their tables. Orders keep the method they had as it was."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.platform.domain.countries import require_country
from feira.platform.domain.errors import InvalidInput, NotFound, Rejected
from feira.platform.domain.ids import ShippingMethodId, ShopId
from feira.platform.domain.permissions import Principal, is_allowed, require
from feira.platform.domain.shipping import METHODS_MAX, ZONES_MAX, TableKind, Zone, check_zones
from feira.services.users.shops import shop_roles
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, load_queries

SQL: Final = load_queries("shipping")


class ShippingMethodInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`flat` has one price a zone, `weight` brackets by grams, `value` brackets by the value of the goods.

    Buyers see methods by `position`. Prices are in the shop's currency.
    """

    name: Annotated[
        str, Meta(min_length=1, max_length=80, pattern=r"^(?![\s\S]*[\x00-\x1f\x7f])\S[\s\S]*")
    ]
    kind: TableKind
    zones: Annotated[tuple[Zone, ...], Meta(min_length=1, max_length=ZONES_MAX)]
    days_min: Annotated[int, Meta(ge=0, le=365)]
    days_max: Annotated[int, Meta(ge=0, le=365)]
    position: Annotated[int, Meta(ge=0, le=1_000)] = 0
    active: bool = True


class ShippingMethodView(msgspec.Struct, frozen=True, kw_only=True):
    """A method as its shop keeps it."""

    id: ShippingMethodId
    name: str
    kind: TableKind
    zones: tuple[Zone, ...]
    days_min: int
    days_max: int
    position: int
    active: bool
    version: int
    created_at: datetime


class ShippingMethodList(msgspec.Struct, frozen=True, kw_only=True):
    """All of a shop's methods, as buyers see them in order."""

    items: list[ShippingMethodView]


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: ShippingMethodId
    name: str
    kind: TableKind
    zones: msgspec.Raw
    days_min: int
    days_max: int
    position: int
    active: bool
    version: int
    created_at: datetime


async def list_methods(
    con: Connection, principal: Principal, shop_id: ShopId
) -> ShippingMethodList:
    """Return a shop's methods to its team and the market's people.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
    """
    if not is_allowed("shop.read_private", principal, await shop_roles(con, shop_id, principal)):
        raise _no_such_shop()
    return ShippingMethodList(items=await _read(con, shop_id))


async def add_method(
    tx: Tx, principal: Principal, shop_id: ShopId, wanted: ShippingMethodInput
) -> ShippingMethodView:
    """Add a way of sending.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
        NotAllowed: `auth.not_allowed`.
        InvalidInput: `shipping.days_out_of_order`, `address.unknown_country`, and see `check_zones`.
        Rejected: `shipping.too_many`.
    """
    await _require_writer(tx, principal, shop_id)
    _check(wanted)
    # Two additions at once are counted one after the other.
    await tx.con.execute(SQL["lock_shop"], shop_id)
    if len(await _read(tx.con, shop_id)) >= METHODS_MAX:
        raise Rejected("shipping.too_many", f"A shop has up to {METHODS_MAX} ways of sending.")
    method_id = ShippingMethodId(
        await tx.con.fetchval(SQL["insert_method"], shop_id, *_columns(wanted))
    )
    return await _find(tx.con, shop_id, method_id)


async def replace_method(
    tx: Tx,
    principal: Principal,
    shop_id: ShopId,
    method_id: ShippingMethodId,
    wanted: ShippingMethodInput,
) -> ShippingMethodView:
    """Give a method other tables, for later checkouts.

    Raises:
        NotFound: `shop.not_found`, `shipping.not_found`.
        NotAllowed: `auth.not_allowed`.
        InvalidInput: as for `add_method`.
    """
    await _require_writer(tx, principal, shop_id)
    _check(wanted)
    if await tx.con.fetchval(SQL["update_method"], shop_id, method_id, *_columns(wanted)) is None:
        raise _no_such_method()
    return await _find(tx.con, shop_id, method_id)


async def remove_method(
    tx: Tx, principal: Principal, shop_id: ShopId, method_id: ShippingMethodId
) -> None:
    """Take a method away.

    Raises:
        NotFound: `shop.not_found`, `shipping.not_found`.
        NotAllowed: `auth.not_allowed`.
    """
    await _require_writer(tx, principal, shop_id)
    if await tx.con.fetchval(SQL["delete_method"], shop_id, method_id) is None:
        raise _no_such_method()


def _check(wanted: ShippingMethodInput) -> None:
    if wanted.days_min > wanted.days_max:
        raise InvalidInput(
            "shipping.days_out_of_order",
            "It cannot take fewer days at most than at least.",
            field="$.days_max",
        )
    check_zones(wanted.kind, wanted.zones)
    for place, zone in enumerate(wanted.zones):
        for country in zone.countries:
            require_country(country, field=f"$.zones[{place}].countries")


def _columns(wanted: ShippingMethodInput) -> tuple[object, ...]:
    return (
        wanted.name,
        wanted.kind,
        msgspec.Raw(msgspec.json.encode(wanted.zones)),
        wanted.days_min,
        wanted.days_max,
        wanted.position,
        wanted.active,
    )


async def _read(con: Connection, shop_id: ShopId) -> list[ShippingMethodView]:
    rows = await fetch_all(con, SQL["read_methods"], _Row, shop_id)
    return [
        ShippingMethodView(
            id=row.id,
            name=row.name,
            kind=row.kind,
            zones=msgspec.json.decode(row.zones, type=tuple[Zone, ...]),
            days_min=row.days_min,
            days_max=row.days_max,
            position=row.position,
            active=row.active,
            version=row.version,
            created_at=row.created_at,
        )
        for row in rows
    ]


async def _find(
    con: Connection, shop_id: ShopId, method_id: ShippingMethodId
) -> ShippingMethodView:
    return next(view for view in await _read(con, shop_id) if view.id == method_id)


async def _require_writer(tx: Tx, principal: Principal, shop_id: ShopId) -> None:
    relations = await shop_roles(tx.con, shop_id, principal)
    if not is_allowed("shop.read_private", principal, relations):
        raise _no_such_shop()
    require("shipping.write", principal, relations)


def _no_such_shop() -> NotFound:
    return NotFound("shop.not_found", "There is no such shop among those you work for.")


def _no_such_method() -> NotFound:
    return NotFound("shipping.not_found", "The shop has no such way of sending.")
