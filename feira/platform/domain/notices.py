"""What a notification says, by kind. Stored with it, so that it stays true when names change."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.ids import (
    ConversationId,
    OfferId,
    OrderGroupId,
    OrderId,
    RefundId,
    ReportId,
    ReturnId,
    ShipmentId,
    ShopId,
)
from feira.platform.domain.offers import OfferStep
from feira.platform.domain.payout_notices import PayoutNotice
from feira.platform.domain.reports import ReportState
from feira.platform.domain.return_commands import ReturnKind
from feira.platform.domain.return_state import ReturnFact


class OrderPaidNotice(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="order.paid"
):
    """To the buyer: the payment arrived."""

    order: OrderId
    number: int
    shop: ShopId
    shop_name: str
    total_minor: int
    currency: str


class OrderReceivedNotice(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="order.received"
):
    """To a shop's team: there is something to accept and ship."""

    order: OrderId
    number: int
    shop: ShopId
    shop_name: str
    buyer_name: str
    total_minor: int
    currency: str


class OrderShippedNotice(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="order.shipped"
):
    """To the buyer: a parcel is on its way."""

    order: OrderId
    number: int
    shop: ShopId
    shop_name: str
    shipment: ShipmentId
    carrier: str
    tracking_number: str


class OrderMovedNotice(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="order.moved"
):
    """To whoever of an order's sides should know: something changed, or is about to. `text` says it in a sentence."""

    order: OrderId
    number: int
    shop: ShopId
    shop_name: str
    cause: str
    text: str
    reason: str


class UnreadMessagesNotice(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="messages.unread"
):
    """To a member who has not read for a while."""

    conversation: ConversationId
    sender_name: str
    count: int


class OfferNotice(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="offer.moved"):
    """To the side that did not do it: what became of an offer. `group` is what the buyer of an accepted one pays."""

    conversation: ConversationId
    offer: OfferId
    step: OfferStep
    other_name: str
    title: str
    quantity: int
    unit_price_minor: int
    currency: str
    group: OrderGroupId | None


class RefundNotice(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="refund.promised"
):
    """To the buyer: the shop, or the market's support, gives money back."""

    order: OrderId
    number: int
    refund: RefundId
    shop_name: str
    amount_minor: int
    currency: str


class ReturnNotice(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="return.moved"):
    """To the side that did not do it, or to both where the timer did: what became of a return or claim."""

    order: OrderId
    number: int
    returned: ReturnId
    return_kind: ReturnKind
    fact: ReturnFact
    other_name: str


class ReportDecidedNotice(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="report.decided"
):
    """To the reporter: what the moderators made of it."""

    report: ReportId
    conversation: ConversationId
    state: ReportState


class PostingLimitedNotice(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="posting.limited"
):
    """To somebody whom the moderators keep from posting for a while."""

    until: datetime


Notice = (
    PayoutNotice
    | OrderPaidNotice
    | OrderReceivedNotice
    | OrderShippedNotice
    | OrderMovedNotice
    | UnreadMessagesNotice
    | OfferNotice
    | RefundNotice
    | ReturnNotice
    | ReportDecidedNotice
    | PostingLimitedNotice
)
