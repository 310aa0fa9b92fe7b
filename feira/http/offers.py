"""Offers inside conversations: make one, look at it, answer it."""

from __future__ import annotations

from typing import Final

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import ConversationId, OfferId
from feira.platform.domain.offers import MakeOffer, OfferCommand
from feira.services.deals.offers import OfferView, command_offer, get_offer, make_offer
from feira.sql.database import Tx


@endpoint(
    "POST",
    "/v1/conversations/{conversation}/offers",
    service="messaging",
    status=201,
    summary="Offer to buy or to sell something at a price.",
)
async def make(call: Call, conversation: ConversationId, body: MakeOffer) -> OfferView:
    """The buyer offers to buy, and says where it goes; the shop's team offers to sell.

    One offer for a variant is open at a time. The conversation's log tells of it (`offer.made`).
    """

    async def work(tx: Tx) -> OfferView:
        return await make_offer(tx, call.principal, conversation, body)

    return await call.transact(OfferView, work)


@endpoint(
    "GET",
    "/v1/offers/{offer}",
    service="messaging",
    summary="Show an offer and what the caller may do about it.",
)
async def read(call: Call, offer: OfferId) -> OfferView:
    async with call.market.database.connection() as con:
        return await get_offer(con, call.principal, offer)


@endpoint(
    "POST",
    "/v1/offers/{offer}/commands",
    service="messaging",
    summary="Accept, counter, decline or withdraw an offer.",
)
async def command(call: Call, offer: OfferId, body: OfferCommand) -> OfferView:
    """An accepted offer has an `order`, and a `group` for the buyer to pay: `GET /v1/order-groups/{group}`.

    A counter-offer is answered with the new offer. An offer that is over is a conflict whose `details` say how it
    ended; what cannot be had right now is a conflict too, and the offer stays open.
    """

    async def work(tx: Tx) -> OfferView:
        return await command_offer(tx, call.market.config, call.principal, offer, body)

    return await call.transact(OfferView, work)


ENDPOINTS: Final = (make, read, command)
