"""Reading the catalogue: product pages, lists of a shop, and what may be sold right now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from feira.platform.domain.errors import InvalidInput, NotFound
from feira.platform.domain.ids import CategoryId, ProductId, ShopId, VariantId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.products import ProductStatus
from feira.services.products.access import may_read_drafts, require_shop
from feira.services.products.rows import SQL, ShopFacts, decode_options, found
from feira.services.products.views import ProductPage, ProductView, view_products
from feira.sql.loader import Connection, fetch_all, fetch_one


class SellableVariant(msgspec.Struct, frozen=True, kw_only=True):
    """What carts and checkouts know of a variant; `sellable` says whether it may be bought at all."""

    variant_id: VariantId
    product_id: ProductId
    shop_id: ShopId
    shop_name: str
    title: str
    sku: str
    options: dict[str, str]
    price_minor: int
    currency: str
    category_id: CategoryId | None
    weight_g: int
    available: int
    sellable: bool


class _SellableRow(msgspec.Struct, frozen=True, kw_only=True):
    variant_id: VariantId
    product_id: ProductId
    shop_id: ShopId
    shop_name: str
    title: str
    sku: str
    options: msgspec.Raw
    price_minor: int
    currency: str
    category_id: CategoryId | None
    weight_g: int
    available: int
    sellable: bool


class _Owner(msgspec.Struct, frozen=True, kw_only=True):
    id: ProductId
    shop_id: ShopId
    is_public: bool


async def load_sellable(con: Connection, variant_ids: Sequence[VariantId]) -> list[SellableVariant]:
    """Return those of the variants that exist, in the order asked for."""
    rows = await fetch_all(con, SQL["read_sellable"], _SellableRow, list(variant_ids))
    known = {
        row.variant_id: SellableVariant(
            variant_id=row.variant_id,
            product_id=row.product_id,
            shop_id=row.shop_id,
            shop_name=row.shop_name,
            title=row.title,
            sku=row.sku,
            options=decode_options(row.options),
            price_minor=row.price_minor,
            currency=row.currency,
            category_id=row.category_id,
            weight_g=row.weight_g,
            available=row.available,
            sellable=row.sellable,
        )
        for row in rows
    }
    return [known[variant] for variant in dict.fromkeys(variant_ids) if variant in known]


async def read_product(
    con: Connection,
    product_id: ProductId,
    principal: Principal | None,
    public_url: Callable[[str], str],
) -> ProductView:
    """Return a product to whoever may see it; its team sees it whole, in any state.

    Raises:
        NotFound: `product.not_found`.
    """
    owner = found(await fetch_one(con, SQL["read_product_owner"], _Owner, product_id))
    for_team = await may_read_drafts(con, owner.shop_id, principal)
    found(owner if owner.is_public or for_team else None)
    views = await view_products(con, [product_id], for_team=for_team, public_url=public_url)
    return views[0]


async def list_public_products(
    con: Connection,
    shop_id: ShopId,
    public_url: Callable[[str], str],
    *,
    limit: int,
    cursor: str | None,
) -> ProductPage:
    """Return a page of what an approved shop sells, newest first.

    Raises:
        NotFound: `shop.not_found`: no such shop, or it is not open.
        InvalidInput: `product.bad_cursor`.
    """
    shop = await fetch_one(con, SQL["read_shop"], ShopFacts, shop_id)
    if shop is None or not shop.approved:
        raise NotFound("shop.not_found", "There is no such shop.")
    records = await con.fetch(SQL["list_public_products"], shop_id, _before(cursor), limit + 1)
    ids: list[ProductId] = [record["id"] for record in records]
    return await _page(con, ids, limit, public_url, for_team=False)


async def list_team_products(
    con: Connection,
    shop_id: ShopId,
    principal: Principal,
    public_url: Callable[[str], str],
    *,
    status: ProductStatus | None,
    limit: int,
    cursor: str | None,
) -> ProductPage:
    """Return a page of all that a shop has, drafts too, newest first.

    Raises:
        NotFound: `shop.not_found`, for other people's shops too.
        InvalidInput: `product.bad_cursor`.
    """
    await require_shop(con, shop_id, principal, "product.read_draft")
    records = await con.fetch(
        SQL["list_team_products"], shop_id, _before(cursor), limit + 1, status
    )
    ids: list[ProductId] = [record["id"] for record in records]
    return await _page(con, ids, limit, public_url, for_team=True)


async def _page(
    con: Connection,
    ids: list[ProductId],
    limit: int,
    public_url: Callable[[str], str],
    *,
    for_team: bool,
) -> ProductPage:
    shown = ids[:limit]
    items = await view_products(con, shown, for_team=for_team, public_url=public_url)
    return ProductPage(items=items, next_cursor=str(shown[-1]) if len(ids) > limit else None)


def _before(cursor: str | None) -> ProductId | None:
    """Ids sort by creation time: the last one of a page is where the next begins."""
    if cursor is None:
        return None
    try:
        return ProductId(UUID(cursor))
    except ValueError:
        raise InvalidInput(
            "product.bad_cursor",
            "The cursor is not one of this list; pass next_cursor back as it was.",
            field="$.cursor",
        ) from None
