"""Which taxes there are, by the market's table, and whether a shop's prices include them."""

from __future__ import annotations

from typing import Annotated, Final

import asyncpg
import msgspec
from msgspec import Meta

from feira.platform.domain.countries import COUNTRIES
from feira.platform.domain.errors import InvalidInput, NotFound
from feira.platform.domain.ids import ShopId
from feira.platform.domain.permissions import Principal, is_allowed, require
from feira.platform.domain.taxes import TaxMode, TaxRate
from feira.services.audit.recording import record
from feira.services.users import fields
from feira.services.users.shops import shop_roles
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL: Final = load_queries("taxes")
_PRICING: Final = load_queries("pricing")
_RATES_MAX: Final = 500


class ShopTax(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`inclusive`: the shop's prices have the tax inside. `exclusive`: it comes on top. Null: the shop charges none.

    The number stands on the shop's invoices.
    """

    mode: TaxMode | None
    tax_number: Annotated[str, Meta(max_length=40, pattern=r"^[A-Za-z0-9 ./-]*(?![\s\S])")] = ""


class RateInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """2,300 basis points are 23 %. Without a category it is the place's standard rate."""

    basis_points: Annotated[int, Meta(ge=0, le=10_000)]
    name: Annotated[
        str, Meta(min_length=1, max_length=40, pattern=r"^(?![\s\S]*[\x00-\x1f\x7f])\S[\s\S]*")
    ]
    region: fields.OptionalLine = ""
    category: fields.Slug | None = None


class CountryRates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rates of a country."""

    rates: Annotated[list[RateInput], Meta(max_length=_RATES_MAX)]


class TaxRateList(msgspec.Struct, frozen=True, kw_only=True):
    """The table's rates of one country."""

    items: list[TaxRate]


async def read_rates(con: Connection, country: str) -> TaxRateList:
    """Return a country's rates; empty where it has none.

    Raises:
        NotFound: `tax.unknown_country`.
    """
    _require_known(country)
    return TaxRateList(items=await fetch_all(con, _PRICING["read_tax_rates"], TaxRate, country))


async def replace_rates(
    tx: Tx, principal: Principal, country: str, wanted: CountryRates
) -> TaxRateList:
    """Give a country other rates, for later checkouts.

    Raises:
        NotAllowed: `auth.not_allowed`.
        NotFound: `tax.unknown_country`.
        InvalidInput: `tax.unknown_category`, `tax.rate_twice`.
    """
    require("tax.write_rates", principal)
    _require_known(country)
    before = await read_rates(tx.con, country)
    await tx.con.execute(SQL["delete_rates"], country)
    try:
        inserted = await tx.con.fetch(
            SQL["insert_rates"],
            country,
            [" ".join(rate.region.split()) for rate in wanted.rates],
            [rate.category for rate in wanted.rates],
            [rate.basis_points for rate in wanted.rates],
            [rate.name for rate in wanted.rates],
        )
    except asyncpg.UniqueViolationError as error:
        raise InvalidInput(
            "tax.rate_twice", "Name each place and category once.", field="$.rates"
        ) from error
    if len(inserted) != len(wanted.rates):
        raise InvalidInput(
            "tax.unknown_category",
            "Not all of these categories are there; GET /v1/categories lists them.",
            field="$.rates",
        )
    after = await read_rates(tx.con, country)
    await record(tx, principal, "tax.replace_rates", "country", country, before=before, after=after)
    return after


async def read_shop_tax(con: Connection, principal: Principal, shop_id: ShopId) -> ShopTax:
    """Return whether and how a shop charges tax.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
    """
    if not is_allowed("shop.read_private", principal, await shop_roles(con, shop_id, principal)):
        raise _no_such_shop()
    return await fetch_one(con, SQL["read_shop_tax"], ShopTax, shop_id) or ShopTax(mode=None)


async def write_shop_tax(tx: Tx, principal: Principal, shop_id: ShopId, wanted: ShopTax) -> ShopTax:
    """Have a shop charge tax, or not, in later checkouts.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
        NotAllowed: `auth.not_allowed`, for its staff.
    """
    relations = await shop_roles(tx.con, shop_id, principal)
    if not is_allowed("shop.read_private", principal, relations):
        raise _no_such_shop()
    require("shop.update", principal, relations)
    if wanted.mode is None:
        await tx.con.execute(SQL["delete_shop_tax"], shop_id)
        return ShopTax(mode=None)
    await tx.con.execute(SQL["put_shop_tax"], shop_id, wanted.mode, wanted.tax_number)
    return wanted


def _require_known(country: str) -> None:
    if country not in COUNTRIES:
        raise NotFound(
            "tax.unknown_country", "There is no such country; give its two-letter code, such as DE."
        )


def _no_such_shop() -> NotFound:
    return NotFound("shop.not_found", "There is no such shop among those you work for.")
