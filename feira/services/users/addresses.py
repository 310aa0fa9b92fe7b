"""Address books. While a book has an address, exactly one of them is the default."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from feira.platform.domain.countries import require_country
from feira.platform.domain.errors import NotFound, Rejected
from feira.platform.domain.ids import AddressId, UserId
from feira.services.users import fields
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("users")

ADDRESSES_MAX: Final = 50


class AddressInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A postal address as its country writes it. The first one of a book is its default in any case."""

    name: fields.Line
    line1: fields.Line
    line2: fields.OptionalLine = ""
    city: fields.Line
    region: fields.OptionalLine = ""
    postal_code: fields.PostalCode
    country: fields.Country
    phone: fields.Phone = ""
    is_default: bool = False


class AddressView(msgspec.Struct, frozen=True, kw_only=True):
    """An address of the user's own book."""

    id: AddressId
    name: str
    line1: str
    line2: str
    city: str
    region: str
    postal_code: str
    country: str
    phone: str
    is_default: bool


class AddressPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: list[AddressView]
    next_cursor: str | None


async def list_addresses(
    con: Connection, user: UserId, *, cursor: UUID | None, limit: int
) -> AddressPage:
    rows = await fetch_all(con, SQL["list_addresses"], AddressView, user, cursor, limit + 1)
    items = rows[:limit]
    return AddressPage(items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None)


async def load_address(con: Connection, user: UserId, address: AddressId) -> AddressView:
    """One address of the user's book.

    Raises:
        NotFound: `address.not_found`, also for somebody else's.
    """
    found = await fetch_one(con, SQL["read_address"], AddressView, user, address)
    if found is None:
        raise _not_found()
    return found


async def add_address(tx: Tx, user: UserId, given: AddressInput) -> AddressView:
    """Add an address to the user's book.

    Raises:
        InvalidInput: `address.unknown_country`.
        Rejected: `address.too_many`.
    """
    require_country(given.country)
    await tx.con.fetchval(SQL["lock_user"], user)
    count: int = await tx.con.fetchval(SQL["count_addresses"], user)
    if count >= ADDRESSES_MAX:
        raise Rejected(
            "address.too_many",
            f"An address book holds {ADDRESSES_MAX}; delete one that you don't use.",
        )
    is_default = given.is_default or count == 0
    if is_default:
        await tx.con.execute(SQL["clear_default_address"], user)
    added: AddressId = await tx.con.fetchval(
        SQL["insert_address"], user, *_columns(given), is_default
    )
    return await load_address(tx.con, user, added)


async def replace_address(
    tx: Tx, user: UserId, address: AddressId, given: AddressInput
) -> AddressView:
    """Replace an address. The default stays the default until another one takes its place.

    Raises:
        InvalidInput: `address.unknown_country`.
        NotFound: `address.not_found`.
    """
    require_country(given.country)
    await tx.con.fetchval(SQL["lock_user"], user)
    before = await load_address(tx.con, user, address)
    is_default = given.is_default or before.is_default
    if given.is_default:
        await tx.con.execute(SQL["clear_default_address"], user)
    await tx.con.fetchval(SQL["update_address"], user, address, *_columns(given), is_default)
    return await load_address(tx.con, user, address)


async def delete_address(tx: Tx, user: UserId, address: AddressId) -> None:
    """Take an address out of the book; the newest of the rest becomes the default where it was.

    Raises:
        NotFound: `address.not_found`.
    """
    await tx.con.fetchval(SQL["lock_user"], user)
    was_default: bool | None = await tx.con.fetchval(SQL["delete_address"], user, address)
    if was_default is None:
        raise _not_found()
    if was_default:
        await tx.con.execute(SQL["promote_newest_address"], user)


def _columns(given: AddressInput) -> tuple[str, ...]:
    return (
        given.name,
        given.line1,
        given.line2,
        given.city,
        given.region,
        given.postal_code,
        given.country,
        given.phone,
    )


def _not_found() -> NotFound:
    return NotFound("address.not_found", "There is no such address in your book.")
