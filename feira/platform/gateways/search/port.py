"""What Feira needs of a search engine. All engines behave alike; one conformance test holds them to it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

Sort = Literal["relevance", "newest", "price_asc", "price_desc"]


class SearchDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A published product as search knows it. `version` grows with every change of it."""

    product_id: UUID
    version: int
    shop_id: UUID
    shop_name: str
    slug: str
    title: str
    description: str
    category_slugs: list[str]
    currency: str
    price_min_minor: int
    in_stock: bool
    image_url: str | None
    published_at: datetime


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`cursor` is opaque and comes from the page before."""

    text: str = ""
    category: str | None = None
    shop_id: UUID | None = None
    price_min_minor: int | None = None
    price_max_minor: int | None = None
    in_stock: bool | None = None
    sort: Sort = "relevance"
    limit: int = 24
    cursor: str | None = None


class SearchPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of hits; `next_cursor` is null on the last."""

    hits: list[SearchDocument]
    next_cursor: str | None


class SearchEngine(Protocol):
    """An index of published products."""

    async def upsert(self, document: SearchDocument) -> None:
        """Put a document, unless the index already holds a newer version of it."""
        ...

    async def remove(self, product_id: UUID, version: int) -> None:
        """Take a product out, unless the index already holds a newer version of it."""
        ...

    async def search(self, query: SearchQuery) -> SearchPage: ...

    async def close(self) -> None: ...
