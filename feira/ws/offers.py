"""Offers over the socket: the same verbs as over REST, once for each of the sender's idempotency keys."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

import msgspec

from feira.platform.domain.ids import ConversationId
from feira.platform.domain.permissions import Principal
from feira.services.deals.offers import OfferView, command_offer, make_offer
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.idempotency import once
from feira.ws.messages import OfferMovedOn
from feira.ws.protocol import CommandOfferBy, MakeOfferIn


async def make(
    market: Market, principal: Principal, conversation: ConversationId, command: MakeOfferIn
) -> OfferMovedOn:
    """Make an offer; see `deals.offers.make_offer` for what it raises."""
    return await _once(
        market,
        principal,
        command,
        lambda tx: make_offer(tx, principal, conversation, command.offer),
    )


async def answer(market: Market, principal: Principal, command: CommandOfferBy) -> OfferMovedOn:
    """Answer an offer; see `deals.offers.command_offer` for what it raises."""
    return await _once(
        market,
        principal,
        command,
        lambda tx: command_offer(tx, market.config, principal, command.offer, command.command),
    )


async def _once(
    market: Market,
    principal: Principal,
    command: MakeOfferIn | CommandOfferBy,
    work: Callable[[Tx], Awaitable[OfferView]],
) -> OfferMovedOn:
    digest = hashlib.sha256(msgspec.json.encode([type(command).__name__, command])).digest()
    view = await market.database.transact(
        lambda tx: once(
            tx,
            user=principal.user_id,
            key=command.idempotency_key,
            request_sha256=digest,
            returns=OfferView,
            work=work,
        )
    )
    # The log has the whole of it; this is what the sender may not wait for.
    offer = view.offer
    return OfferMovedOn(offer=offer.id, status=offer.status, order=offer.order, group=offer.group)
