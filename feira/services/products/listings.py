"""What search is to show of a product, and when it has to look again.

Every change that search shows takes the product's next search version in its own transaction, after stock and
before topics, and leaves a job. The job reads the state and its version in one snapshot, so a higher version
is always a newer state, and a late job cannot roll the index back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from feira.platform.domain.ids import ProductId, ShopId
from feira.platform.domain.jobs import SyncProductToSearch
from feira.platform.gateways.search.port import SearchDocument
from feira.services.products.rows import SQL
from feira.services.products.views import PUBLIC_PREFIX
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What search is to know: a document, or that there is nothing to show at this version."""

    version: int
    document: SearchDocument | None


class _Version(msgspec.Struct, frozen=True, kw_only=True):
    product_id: ProductId
    version: int


class _ListingRow(msgspec.Struct, frozen=True, kw_only=True):
    product_id: ProductId
    version: int
    is_public: bool
    shop_id: ShopId
    shop_name: str
    slug: str
    title: str
    description: str
    currency: str
    published_at: datetime | None
    category_slugs: list[str]
    price_min_minor: int | None
    in_stock: bool
    image_key: str | None


async def request_sync(tx: Tx, product_ids: Iterable[ProductId]) -> None:
    """Have search look at products again once this transaction has committed.

    Call it once a transaction, after all stock is locked: it locks in the order of the products' ids.
    """
    wanted = sorted(set(product_ids))
    if not wanted:
        return
    for taken in await fetch_all(tx.con, SQL["bump_search_versions"], _Version, wanted):
        tx.enqueue(
            SyncProductToSearch(product=taken.product_id),
            dedup=f"search:{taken.product_id}:{taken.version}",
        )


async def resync_shop(tx: Tx, shop_id: ShopId) -> None:
    """Have search look at all of a shop's published products again: its status or name changed.

    The caller has changed the shop's row in this transaction. Publishing shares that row's lock, so no product
    is published unseen meanwhile.
    """
    records = await tx.con.fetch(SQL["list_published_ids"], shop_id)
    await request_sync(tx, [record["id"] for record in records])


async def read_listing(
    con: Connection, product_id: ProductId, public_url: Callable[[str], str]
) -> Listing:
    """Return what search is to know of a product right now."""
    row = await fetch_one(con, SQL["read_listing"], _ListingRow, product_id)
    assert row is not None, "products are never deleted"
    if not row.is_public or row.price_min_minor is None or row.published_at is None:
        return Listing(version=row.version, document=None)
    document = SearchDocument(
        product_id=row.product_id,
        version=row.version,
        shop_id=row.shop_id,
        shop_name=row.shop_name,
        slug=row.slug,
        title=row.title,
        description=row.description,
        category_slugs=row.category_slugs,
        currency=row.currency,
        price_min_minor=row.price_min_minor,
        in_stock=row.in_stock,
        image_url=None if row.image_key is None else public_url(PUBLIC_PREFIX + row.image_key),
        published_at=row.published_at,
    )
    return Listing(version=row.version, document=document)
