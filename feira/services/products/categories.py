"""The category tree."""

from __future__ import annotations

import msgspec

from feira.platform.domain.errors import InvalidInput
from feira.platform.domain.ids import CategoryId
from feira.services.products.rows import SQL
from feira.sql.loader import Connection, fetch_all


class CategoryView(msgspec.Struct, frozen=True, kw_only=True):
    """A category. `parent` is its parent's slug, `depth` counts from 0."""

    id: CategoryId
    slug: str
    name: str
    parent: str | None
    depth: int


async def list_categories(con: Connection) -> list[CategoryView]:
    """Return the whole tree, each parent before its children, in the order in which pages show it."""
    return await fetch_all(con, SQL["read_categories"], CategoryView)


async def find_category(con: Connection, slug: str, *, field: str = "$.category") -> CategoryId:
    """Return a category's id.

    Raises:
        InvalidInput: `product.unknown_category`.
    """
    category: CategoryId | None = await con.fetchval(SQL["find_category"], slug)
    if category is None:
        raise unknown_category(slug, field=field)
    return category


def unknown_category(slug: str, *, field: str) -> InvalidInput:
    return InvalidInput(
        "product.unknown_category",
        f"There is no category {slug[:80]!r}; GET /v1/categories lists them.",
        field=field,
    )
