"""Offers over the socket."""

from __future__ import annotations

from feira.platform.domain.ids import ConversationId
from feira.platform.domain.permissions import Principal
from feira.services.deals.offers import OfferView, command_offer, make_offer
from feira.services.market import Market
from feira.ws.messages import OfferMovedOn
from feira.ws.once import transact_once
from feira.ws.protocol import CommandOfferBy, MakeOfferIn


async def make(
    market: Market, principal: Principal, conversation: ConversationId, command: MakeOfferIn
) -> OfferMovedOn:
    """Make an offer; see `deals.offers.make_offer` for what it raises."""
    view = await transact_once(
        market,
        principal,
        command,
        OfferView,
        lambda tx: make_offer(tx, principal, conversation, command.offer),
    )
    return _moved_on(view)


async def answer(market: Market, principal: Principal, command: CommandOfferBy) -> OfferMovedOn:
    """Answer an offer; see `deals.offers.command_offer` for what it raises."""
    view = await transact_once(
        market,
        principal,
        command,
        OfferView,
        lambda tx: command_offer(tx, market.config, principal, command.offer, command.command),
    )
    return _moved_on(view)


def _moved_on(view: OfferView) -> OfferMovedOn:
    # The log has the whole of it; this is what the sender may not wait for.
    offer = view.offer
    return OfferMovedOn(offer=offer.id, status=offer.status, order=offer.order, group=offer.group)
