"""Whom a step of an offer is news to, and what it says to them."""

from __future__ import annotations

from typing import Final

import msgspec

from feira.platform.domain.ids import ConversationId, OfferId, OrderGroupId, UserId
from feira.platform.domain.notices import Notice, OfferNotice
from feira.platform.domain.offers import OfferStep, Side, other_side
from feira.services.deals.rows import SQL
from feira.sql.loader import Connection, fetch_one

# The maker did these; the rest comes back to the maker's side.
_BY_THE_MAKER: Final = frozenset[OfferStep]({"made", "countered", "withdrawn"})


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    id: OfferId
    conversation_id: ConversationId
    side: Side
    title: str
    quantity: int
    unit_price_minor: int
    currency: str
    group_id: OrderGroupId | None
    buyer_id: UserId
    buyer_name: str
    shop_name: str


async def notices_of(con: Connection, offer: OfferId, step: OfferStep) -> dict[UserId, Notice]:
    """Return what to tell whom: the buyer, or those of the conversation who are on the shop's team now."""
    facts = await fetch_one(con, SQL["read_notice"], _Facts, offer)
    assert facts is not None, "offers are never deleted"
    to = other_side(facts.side) if step in _BY_THE_MAKER else facts.side
    notice = OfferNotice(
        conversation=facts.conversation_id,
        offer=facts.id,
        step=step,
        other_name=facts.shop_name if to == "buyer" else facts.buyer_name,
        title=facts.title,
        quantity=facts.quantity,
        unit_price_minor=facts.unit_price_minor,
        currency=facts.currency,
        group=facts.group_id if to == "buyer" else None,
    )
    if to == "buyer":
        return {facts.buyer_id: notice}
    sellers = await con.fetch(SQL["list_sellers"], facts.conversation_id)
    return {UserId(seller["user_id"]): notice for seller in sellers}
