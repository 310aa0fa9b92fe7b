"""Drafting, changing, publishing and archiving products.

Lock order: the product, its shop (publishing only), new variants, the search version, topics.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from feira.platform.domain.ids import ProductId, ShopId, VariantId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.product_events import ProductArchived, ProductChanged, ProductPublished
from feira.platform.domain.products import (
    VARIANTS_MAX,
    CategorySlug,
    Description,
    Title,
    Version,
    check_publishable,
    check_transition,
    check_version,
    clean_title,
    slugify,
)
from feira.platform.domain.topics import product_topic
from feira.services.products.access import require_on_product, require_shop
from feira.services.products.categories import find_category
from feira.services.products.listings import request_sync
from feira.services.products.rows import SQL, ProductRow, found
from feira.services.products.variants import (
    NewVariant,
    VariantChange,
    VariantSet,
    change_variant,
    insert_variants,
    replace_variants,
)
from feira.sql.database import Tx
from feira.sql.loader import fetch_one


class NewProduct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft; everything but its title may come later. Prices are in the shop's currency."""

    title: Title
    description: Description = ""
    category: CategorySlug | None = None
    variants: Annotated[list[NewVariant], Meta(max_length=VARIANTS_MAX)] = []


class ProductChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. `version` is the one that you have seen."""

    version: Version
    title: Title | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    category: CategorySlug | UnsetType = UNSET


async def create_product(
    tx: Tx, principal: Principal, shop_id: ShopId, new: NewProduct
) -> ProductId:
    """Draft a product, with variants and their first stock if given.

    Raises:
        NotFound: `shop.not_found`.
        InvalidInput: `product.unknown_category` and what `check_variants` raises.
        Rejected: `product.sku_taken`.
    """
    shop = await require_shop(tx.con, shop_id, principal, "product.write")
    title = clean_title(new.title)
    category = None if new.category is None else await find_category(tx.con, new.category)
    product_id: ProductId = await tx.con.fetchval(
        SQL["insert_product"],
        shop_id,
        category,
        slugify(title),
        title,
        new.description,
        shop.currency,
    )
    await insert_variants(tx, principal, product_id, shop_id, new.variants)
    return product_id


async def update_product(
    tx: Tx, principal: Principal, product_id: ProductId, change: ProductChange
) -> None:
    """Change a product's text or category.

    Raises:
        NotFound: `product.not_found`.
        Conflict: `product.stale_version`.
        InvalidInput: `product.unknown_category`, `product.title_empty`.
    """
    product = await lock_for_write(tx, principal, product_id, change.version)
    category = None
    if change.category is not UNSET:
        category = await find_category(tx.con, change.category)
    version: int = await tx.con.fetchval(
        SQL["update_product"],
        product_id,
        None if change.title is UNSET else clean_title(change.title),
        None if change.description is UNSET else change.description,
        category,
    )
    await announce_change(tx, product, version)


async def set_variants(
    tx: Tx, principal: Principal, product_id: ProductId, wanted: VariantSet
) -> None:
    """Give a product another set of variants.

    Raises:
        NotFound: `product.not_found`.
        Conflict: `product.stale_version`.
        InvalidInput: see `check_variants`.
        Rejected: `product.sku_taken`, `product.needs_variant`.
    """
    product = await lock_for_write(tx, principal, product_id, wanted.version)
    await replace_variants(tx, principal, product, wanted.variants)
    version: int = await tx.con.fetchval(SQL["touch_product"], product_id)
    await announce_change(tx, product, version)


async def update_variant(
    tx: Tx, principal: Principal, variant_id: VariantId, change: VariantChange
) -> ProductId:
    """Change one variant and return its product. Raises what `set_variants` does."""
    product = found(await fetch_one(tx.con, SQL["lock_product_of_variant"], ProductRow, variant_id))
    await require_on_product(tx.con, product.shop_id, principal, "product.write")
    check_version(product.version, change.version)
    await change_variant(tx, product, variant_id, change)
    version: int = await tx.con.fetchval(SQL["touch_product"], product.id)
    await announce_change(tx, product, version)
    return product.id


async def publish(tx: Tx, principal: Principal, product_id: ProductId, version: int) -> None:
    """Show a draft or archived product to the public.

    Raises:
        NotFound: `product.not_found`.
        Conflict: `product.stale_version`, `product.wrong_status`.
        Rejected: `shop.not_approved`, `product.incomplete`.
    """
    product = await lock_for_write(tx, principal, product_id, version)
    check_transition(product.status, "published")
    check_publishable(
        shop_approved=await tx.con.fetchval(SQL["lock_shop_open"], product.shop_id),
        has_category=product.category_id is not None,
        has_active_variant=await tx.con.fetchval(SQL["has_active_variant"], product_id),
    )
    following: int = await tx.con.fetchval(SQL["set_product_status"], product_id, "published")
    tx.emit(product_topic(product_id), ProductPublished(product=product_id, version=following))
    await request_sync(tx, [product_id])


async def archive(tx: Tx, principal: Principal, product_id: ProductId, version: int) -> None:
    """Take a product off the market. Orders and holds of it stay as they are.

    Raises:
        NotFound: `product.not_found`.
        Conflict: `product.stale_version`, `product.wrong_status`.
    """
    product = await lock_for_write(tx, principal, product_id, version)
    check_transition(product.status, "archived")
    following: int = await tx.con.fetchval(SQL["set_product_status"], product_id, "archived")
    tx.emit(product_topic(product_id), ProductArchived(product=product_id, version=following))
    await request_sync(tx, [product_id])


async def lock_for_write(
    tx: Tx, principal: Principal, product_id: ProductId, version: int
) -> ProductRow:
    """Lock a product that the caller may change and has seen as it is.

    Raises:
        NotFound: `product.not_found`.
        NotAllowed: `auth.not_allowed`.
        Conflict: `product.stale_version`.
    """
    product = found(await fetch_one(tx.con, SQL["lock_product"], ProductRow, product_id))
    await require_on_product(tx.con, product.shop_id, principal, "product.write")
    check_version(product.version, version)
    return product


async def announce_change(tx: Tx, product: ProductRow, version: int) -> None:
    """Tell watchers of a published product; search looks again in any case.

    A publication that commits at the same time must not miss the change, so drafts are synced too.
    """
    if product.status == "published":
        tx.emit(product_topic(product.id), ProductChanged(product=product.id, version=version))
    await request_sync(tx, [product.id])
