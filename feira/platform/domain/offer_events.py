"""What a conversation's log says about offers: between the messages, in the order in which it happened.

Every event carries the whole offer as it is after it, so a reader needs no other event to show it. A counter-offer
is a new offer whose `answers` names the one that it ends.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.events import Event
from feira.platform.domain.ids import OfferId, OrderGroupId, OrderId, ProductId, UserId, VariantId
from feira.platform.domain.offers import OfferStatus, Side


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer as both sides see it. `order` and `group` (what the buyer pays) are there once it is accepted.

    `has_address`: the buyer has said where it goes. Where is theirs to know until there is an order.
    """

    id: OfferId
    answers: OfferId | None
    side: Side
    maker: UserId
    product: ProductId
    variant: VariantId
    title: str
    options: dict[str, str]
    quantity: int
    unit_price_minor: int
    total_minor: int
    currency: str
    status: OfferStatus
    expires_at: datetime
    has_address: bool
    order: OrderId | None = None
    group: OrderGroupId | None = None


class OfferEvent(Event, frozen=True, kw_only=True):
    """`actor` did it; null for the timer."""

    offer: Offer
    actor: UserId | None


class OfferMade(OfferEvent, frozen=True, kw_only=True, tag="offer.made"):
    pass


class OfferCountered(OfferEvent, frozen=True, kw_only=True, tag="offer.countered"):
    """`offer` is the counter-offer, open; `offer.answers` is the one that was countered."""


class OfferAccepted(OfferEvent, frozen=True, kw_only=True, tag="offer.accepted"):
    """Its order is placed and its stock held: the buyer has to pay."""


class OfferDeclined(OfferEvent, frozen=True, kw_only=True, tag="offer.declined"):
    pass


class OfferWithdrawn(OfferEvent, frozen=True, kw_only=True, tag="offer.withdrawn"):
    pass


class OfferExpired(OfferEvent, frozen=True, kw_only=True, tag="offer.expired"):
    pass


AnyOfferEvent = (
    OfferMade | OfferCountered | OfferAccepted | OfferDeclined | OfferWithdrawn | OfferExpired
)
