"""Searching what is for sale."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import ProductId, ShopId
from feira.platform.domain.money import AMOUNT_MINOR_MAX
from feira.platform.domain.products import CategorySlug
from feira.platform.gateways.search.port import SearchDocument, SearchQuery, Sort

_PriceBound = Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]


class SearchParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Price bounds are in minor units, whatever the currency. `cursor` comes from the page before."""

    q: Annotated[str, Meta(max_length=200)] = ""
    category: CategorySlug | None = None
    shop: UUID | None = None
    price_min: _PriceBound | None = None
    price_max: _PriceBound | None = None
    in_stock: bool | None = None
    sort: Sort = "relevance"
    limit: Annotated[int, Meta(ge=1, le=100)] = 24
    cursor: Annotated[str, Meta(max_length=200)] | None = None


class HitView(msgspec.Struct, frozen=True, kw_only=True):
    """A product as a card shows it. `price_min_minor` is its cheapest variant's."""

    product_id: ProductId
    shop_id: ShopId
    shop_name: str
    slug: str
    title: str
    categories: list[str]
    currency: str
    price_min_minor: int
    in_stock: bool
    image_url: str | None
    published_at: datetime


class SearchResults(msgspec.Struct, frozen=True, kw_only=True):
    items: list[HitView]
    next_cursor: str | None


@endpoint(
    "GET",
    "/v1/search",
    service="products",
    summary="Find published products of approved shops.",
    signed_in=False,
)
async def search_products(call: Call, query: SearchParameters) -> SearchResults:
    """Words are found in titles, categories and descriptions; typos in titles are forgiven where nothing else is found.

    A category includes those below it. Without `q`, `relevance` is newest first.
    """
    page = await call.market.search.search(
        SearchQuery(
            text=query.q,
            category=query.category,
            shop_id=query.shop,
            price_min_minor=query.price_min,
            price_max_minor=query.price_max,
            in_stock=query.in_stock,
            sort=query.sort,
            limit=query.limit,
            cursor=query.cursor,
        )
    )
    return SearchResults(items=[_view(hit) for hit in page.hits], next_cursor=page.next_cursor)


def _view(hit: SearchDocument) -> HitView:
    return HitView(
        product_id=ProductId(hit.product_id),
        shop_id=ShopId(hit.shop_id),
        shop_name=hit.shop_name,
        slug=hit.slug,
        title=hit.title,
        categories=hit.category_slugs,
        currency=hit.currency,
        price_min_minor=hit.price_min_minor,
        in_stock=hit.in_stock,
        image_url=hit.image_url,
        published_at=hit.published_at,
    )


ENDPOINTS: Final = (search_products,)
