"""Rows of the catalogue as its verbs read and lock them."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import CategoryId, ProductId, ShopId, VariantId
from feira.platform.domain.products import ProductStatus
from feira.sql.loader import load_queries

T = TypeVar("T")

SQL = load_queries("products")


class ShopFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a shop's products depend on."""

    id: ShopId
    name: str
    currency: str
    approved: bool


class ProductRow(msgspec.Struct, frozen=True, kw_only=True):
    """A product whose row this transaction holds."""

    id: ProductId
    shop_id: ShopId
    category_id: CategoryId | None
    title: str
    currency: str
    status: ProductStatus
    version: int


class VariantRow(msgspec.Struct, frozen=True, kw_only=True):
    """A variant; `options` is JSON: read it with `decode_options`."""

    id: VariantId
    product_id: ProductId
    sku: str
    options: msgspec.Raw
    price_minor: int
    position: int
    active: bool


_options = msgspec.json.Decoder(dict[str, str])


def decode_options(raw: msgspec.Raw) -> dict[str, str]:
    """Return a variant's option values by name."""
    return _options.decode(raw)


def found(value: T | None) -> T:
    """Return what was looked for.

    Raises:
        NotFound: `product.not_found`, which is also what strangers hear of drafts.
    """
    if value is None:
        raise NotFound("product.not_found", "There is no such product among those you may see.")
    return value
