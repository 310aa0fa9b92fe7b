"""Products, variants, stock and categories."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.http.body import UnsupportedMedia
from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import ProductId, ShopId, VariantId
from feira.platform.domain.products import ProductStatus, Version
from feira.services.products import editing
from feira.services.products.catalogue import list_public_products, list_team_products, read_product
from feira.services.products.categories import CategoryView, list_categories
from feira.services.products.importing import ImportReport, import_products
from feira.services.products.inventory import StockCount, StockView, count_stock
from feira.services.products.variants import VariantChange, VariantSet
from feira.services.products.views import ProductPage, ProductView
from feira.sql.database import Tx


class ProductsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `status`, what the public sees; with it, what the shop's team sees."""

    status: ProductStatus | Literal["all"] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 24
    cursor: Annotated[str, Meta(max_length=64)] | None = None


class SeenVersion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`version` is the product's that you have seen."""

    version: Version


class CategoryList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[CategoryView]


@endpoint(
    "GET",
    "/v1/categories",
    service="products",
    summary="The category tree, parents before their children.",
    signed_in=False,
)
async def get_categories(call: Call) -> CategoryList:
    async with call.market.database.connection() as con:
        return CategoryList(items=await list_categories(con))


@endpoint(
    "GET",
    "/v1/shops/{shop}/products",
    service="products",
    scope="products:read",
    summary="A shop's products, newest first.",
    signed_in=False,
)
async def get_shop_products(call: Call, shop: ShopId, query: ProductsQuery) -> ProductPage:
    """Anyone sees what an approved shop has published; `status` is for its team."""
    url = call.market.storage.public_url
    async with call.market.database.connection() as con:
        if query.status is None:
            return await list_public_products(
                con, shop, url, limit=query.limit, cursor=query.cursor
            )
        return await list_team_products(
            con,
            shop,
            call.principal,
            url,
            status=None if query.status == "all" else query.status,
            limit=query.limit,
            cursor=query.cursor,
        )


@endpoint(
    "POST",
    "/v1/shops/{shop}/products",
    service="products",
    scope="products:write",
    summary="Draft a product.",
    status=201,
)
async def post_product(call: Call, shop: ShopId, body: editing.NewProduct) -> ProductView:
    """Prices are in the minor unit of the shop's currency. Nobody but the shop's team sees a draft."""

    async def work(tx: Tx) -> ProductView:
        product = await editing.create_product(tx, call.principal, shop, body)
        return await _view(tx, call, product)

    return await call.transact(ProductView, work)


@endpoint(
    "POST",
    "/v1/shops/{shop}/products/import",
    service="products",
    summary="Create, change and publish products from a CSV list.",
)
async def post_import(call: Call, shop: ShopId) -> ImportReport:
    """The body is text/csv in UTF-8, up to 1 MiB and 1,000 rows, delimited by commas or semicolons.

    The first row names the columns: sku, title, category and price, and optionally description, currency, stock and
    options (`Colour=Blue|Size=M`). A price is written as decimal text, such as 19.99. A row whose SKU the shop has
    already changes that product. Rows with errors are left out, and all others are kept.
    """
    if call.request.content_type != "text/csv":
        raise UnsupportedMedia(
            "request.not_csv",
            "Send the list with Content-Type: text/csv.",
            field="Content-Type",
        )

    async def work(tx: Tx) -> ImportReport:
        return await import_products(tx, call.principal, shop, call.raw_body)

    return await call.transact(ImportReport, work)


@endpoint(
    "GET",
    "/v1/products/{product}",
    service="products",
    summary="One product with its variants and images.",
    signed_in=False,
)
async def get_product(call: Call, product: ProductId) -> ProductView:
    """Drafts and archived products are for the shop's team, who also see inactive variants and stock."""
    async with call.market.database.connection() as con:
        return await read_product(con, product, call.caller, call.market.storage.public_url)


@endpoint(
    "PATCH",
    "/v1/products/{product}",
    service="products",
    summary="Change a product's title, description or category.",
)
async def patch_product(call: Call, product: ProductId, body: editing.ProductChange) -> ProductView:
    async def work(tx: Tx) -> ProductView:
        await editing.update_product(tx, call.principal, product, body)
        return await _view(tx, call, product)

    return await call.transact(ProductView, work)


@endpoint(
    "POST",
    "/v1/products/{product}/publish",
    service="products",
    summary="Show a product to the public.",
)
async def post_publish(call: Call, product: ProductId, body: SeenVersion) -> ProductView:
    """Needs an approved shop, a category and an active variant."""

    async def work(tx: Tx) -> ProductView:
        await editing.publish(tx, call.principal, product, body.version)
        return await _view(tx, call, product)

    return await call.transact(ProductView, work)


@endpoint(
    "POST",
    "/v1/products/{product}/archive",
    service="products",
    summary="Take a product off the market.",
)
async def post_archive(call: Call, product: ProductId, body: SeenVersion) -> ProductView:
    """Orders of it stay as they are; it can be published again."""

    async def work(tx: Tx) -> ProductView:
        await editing.archive(tx, call.principal, product, body.version)
        return await _view(tx, call, product)

    return await call.transact(ProductView, work)


@endpoint(
    "PUT",
    "/v1/products/{product}/variants",
    service="products",
    summary="Replace a product's variants.",
)
async def put_variants(call: Call, product: ProductId, body: VariantSet) -> ProductView:
    """Variants are known by their SKU: those missing here become inactive, their stock stays."""

    async def work(tx: Tx) -> ProductView:
        await editing.set_variants(tx, call.principal, product, body)
        return await _view(tx, call, product)

    return await call.transact(ProductView, work)


@endpoint(
    "PATCH",
    "/v1/variants/{variant}",
    service="products",
    summary="Change a variant's SKU, options, price, or whether it is active.",
)
async def patch_variant(call: Call, variant: VariantId, body: VariantChange) -> ProductView:
    async def work(tx: Tx) -> ProductView:
        product = await editing.update_variant(tx, call.principal, variant, body)
        return await _view(tx, call, product)

    return await call.transact(ProductView, work)


@endpoint(
    "PUT",
    "/v1/variants/{variant}/stock",
    service="products",
    summary="Set or adjust how many of a variant are on hand.",
)
async def put_stock(call: Call, variant: VariantId, body: StockCount) -> StockView:
    """`{"set": 12}` after counting, `{"adjust": -1}` for what broke. Never below what orders hold."""

    async def work(tx: Tx) -> StockView:
        return await count_stock(tx, call.principal, variant, body)

    return await call.transact(StockView, work)


async def _view(tx: Tx, call: Call, product: ProductId) -> ProductView:
    return await read_product(tx.con, product, call.caller, call.market.storage.public_url)


ENDPOINTS: Final = (
    get_categories,
    get_shop_products,
    post_product,
    post_import,
    get_product,
    patch_product,
    post_publish,
    post_archive,
    put_variants,
    patch_variant,
    put_stock,
)
