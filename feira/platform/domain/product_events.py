"""What product topics tell anyone who watches, and shop topics their team."""

from __future__ import annotations

from typing import Literal

from feira.platform.domain.events import Event
from feira.platform.domain.ids import MediaId, ProductId, VariantId


class StockChanged(Event, tag="product.stock_changed", frozen=True):
    """How many of a variant can be bought right now."""

    variant: VariantId
    available: int


class ProductPublished(Event, tag="product.published", frozen=True):
    product: ProductId
    version: int


class ProductChanged(Event, tag="product.changed", frozen=True):
    """A published product's text, prices, variants or images changed: load it again."""

    product: ProductId
    version: int


class ProductArchived(Event, tag="product.archived", frozen=True):
    product: ProductId
    version: int


class MediaChecked(Event, tag="media.checked", frozen=True):
    """On the shop's topic: an upload was looked at. `reason` says why it was rejected."""

    media: MediaId
    product: ProductId
    state: Literal["ready", "rejected"]
    reason: str = ""
