"""Offers as their verbs read and lock them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import (
    ConversationId,
    OfferId,
    OrderGroupId,
    OrderId,
    ProductId,
    UserId,
    VariantId,
)
from feira.platform.domain.offer_events import Offer
from feira.platform.domain.offers import OfferState, OfferStatus, Side
from feira.services.orders.views import ShippingAddress
from feira.sql.loader import load_queries

SQL: Final = load_queries("offers")


class OfferRow(msgspec.Struct, frozen=True, kw_only=True):
    """An offer; `options` and `shipping_address` are JSON, the latter `null` where the buyer has not said yet."""

    id: OfferId
    conversation_id: ConversationId
    side: Side
    maker_id: UserId
    answers_id: OfferId | None
    product_id: ProductId
    variant_id: VariantId
    title: str
    options: msgspec.Raw
    quantity: int
    unit_price_minor: int
    currency: str
    shipping_address: msgspec.Raw
    status: OfferStatus
    expires_at: datetime
    group_id: OrderGroupId | None
    order_id: OrderId | None

    @property
    def state(self) -> OfferState:
        return OfferState(side=self.side, status=self.status, expires_at=self.expires_at)

    @property
    def address(self) -> ShippingAddress | None:
        return _address.decode(self.shipping_address)

    @property
    def offer(self) -> Offer:
        """What both sides see."""
        return Offer(
            id=self.id,
            answers=self.answers_id,
            side=self.side,
            maker=self.maker_id,
            product=self.product_id,
            variant=self.variant_id,
            title=self.title,
            options=_options.decode(self.options),
            quantity=self.quantity,
            unit_price_minor=self.unit_price_minor,
            total_minor=self.unit_price_minor * self.quantity,
            currency=self.currency,
            status=self.status,
            expires_at=self.expires_at,
            has_address=self.address is not None,
            order=self.order_id,
            group=self.group_id,
        )


_options = msgspec.json.Decoder(dict[str, str])
_address: msgspec.json.Decoder[ShippingAddress | None] = msgspec.json.Decoder(
    ShippingAddress | None
)


def no_such_offer() -> NotFound:
    """For offers that do not exist and for those of other people's conversations: they look the same."""
    return NotFound("offer.not_found", "There is no such offer in your conversations.")
