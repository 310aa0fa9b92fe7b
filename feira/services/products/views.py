"""Products as the API shows them: to anyone, or with all that their team sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from feira.platform.domain.ids import MediaId, ProductId, ShopId, VariantId
from feira.platform.domain.products import ProductStatus
from feira.services.products.rows import SQL, decode_options
from feira.sql.loader import Connection, fetch_all

MediaState = Literal["awaiting_upload", "checking", "ready", "rejected"]

# A prefix in the bucket that anyone may read; what is not checked yet stands elsewhere.
PUBLIC_PREFIX: Final = "public/"


class VariantView(msgspec.Struct, frozen=True, kw_only=True):
    """`available` can be bought right now. `on_hand` and `reserved` are for the shop's team only."""

    id: VariantId
    sku: str
    options: dict[str, str]
    price_minor: int
    weight_g: int
    active: bool
    available: int
    on_hand: int | None
    reserved: int | None


class MediaView(msgspec.Struct, frozen=True, kw_only=True):
    """An image. `url` is there once it is ready; `reason` says why it was rejected."""

    id: MediaId
    product_id: ProductId
    state: MediaState
    content_type: str
    url: str | None
    reason: str


class ProductView(msgspec.Struct, frozen=True, kw_only=True):
    """A product. The public sees active variants and ready images; its team sees all of them."""

    id: ProductId
    shop_id: ShopId
    shop_name: str
    slug: str
    title: str
    description: str
    category: str | None
    currency: str
    status: ProductStatus
    sellable: bool
    """Published, in an approved shop."""
    in_stock: bool
    price_min_minor: int | None
    variants: list[VariantView]
    media: list[MediaView]
    version: int
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None


class ProductPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[ProductView]
    next_cursor: str | None


class MediaRow(msgspec.Struct, frozen=True, kw_only=True):
    id: MediaId
    product_id: ProductId
    key: str
    content_type: str
    state: MediaState
    reason: str


class _ProductRow(msgspec.Struct, frozen=True, kw_only=True):
    id: ProductId
    shop_id: ShopId
    shop_name: str
    shop_approved: bool
    slug: str
    title: str
    description: str
    category: str | None
    currency: str
    status: ProductStatus
    version: int
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None


class _VariantRow(msgspec.Struct, frozen=True, kw_only=True):
    id: VariantId
    product_id: ProductId
    sku: str
    options: msgspec.Raw
    price_minor: int
    weight_g: int
    active: bool
    on_hand: int
    reserved: int


async def view_products(
    con: Connection,
    ids: Sequence[ProductId],
    *,
    for_team: bool,
    public_url: Callable[[str], str],
) -> list[ProductView]:
    """Return products in the order of `ids`. Whether the caller may see them was asked before."""
    if not ids:
        return []
    products = {row.id: row for row in await fetch_all(con, SQL["read_products"], _ProductRow, ids)}
    variants: dict[ProductId, list[VariantView]] = {}
    for row in await fetch_all(con, SQL["read_variants_with_stock"], _VariantRow, ids):
        if row.active or for_team:
            variants.setdefault(row.product_id, []).append(_view_variant(row, for_team=for_team))
    media: dict[ProductId, list[MediaView]] = {}
    for image in await fetch_all(con, SQL["read_media"], MediaRow, ids):
        if image.state == "ready" or for_team:
            media.setdefault(image.product_id, []).append(view_media(image, public_url))
    return [
        _view_product(products[product], variants.get(product, []), media.get(product, []))
        for product in ids
        if product in products
    ]


def view_media(row: MediaRow, public_url: Callable[[str], str]) -> MediaView:
    """Return an image as its product's team sees it."""
    return MediaView(
        id=row.id,
        product_id=row.product_id,
        state=row.state,
        content_type=row.content_type,
        url=public_url(PUBLIC_PREFIX + row.key) if row.state == "ready" else None,
        reason=row.reason,
    )


def _view_variant(row: _VariantRow, *, for_team: bool) -> VariantView:
    return VariantView(
        id=row.id,
        sku=row.sku,
        options=decode_options(row.options),
        price_minor=row.price_minor,
        weight_g=row.weight_g,
        active=row.active,
        available=row.on_hand - row.reserved,
        on_hand=row.on_hand if for_team else None,
        reserved=row.reserved if for_team else None,
    )


def _view_product(
    row: _ProductRow, variants: list[VariantView], media: list[MediaView]
) -> ProductView:
    active = [variant for variant in variants if variant.active]
    return ProductView(
        id=row.id,
        shop_id=row.shop_id,
        shop_name=row.shop_name,
        slug=row.slug,
        title=row.title,
        description=row.description,
        category=row.category,
        currency=row.currency,
        status=row.status,
        sellable=row.status == "published" and row.shop_approved,
        in_stock=any(variant.available > 0 for variant in active),
        price_min_minor=min((variant.price_minor for variant in active), default=None),
        variants=variants,
        media=media,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        published_at=row.published_at,
    )
