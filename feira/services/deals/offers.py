"""Making and answering offers. Each step is an entry of the conversation's log, in the transaction that makes it true.

Lock order: the offer, then whatever an order needs (stock), then the conversation. An offer is locked before it is
looked at, so of all who answer it at once the first decides and the others find it over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NoReturn

import msgspec

from feira.platform.domain.errors import Conflict, NotAllowed, NotFound, Rejected
from feira.platform.domain.ids import ConversationId, OfferId
from feira.platform.domain.offer_events import Offer, OfferCountered, OfferMade
from feira.platform.domain.offers import (
    AcceptOffer,
    Action,
    CounterOffer,
    ExpireOffer,
    MakeOffer,
    OfferCommand,
    Side,
    allowed_actions,
    decide,
)
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.permissions import Principal
from feira.platform.runtime.config import Config
from feira.services.deals.acceptance import place_order
from feira.services.deals.access import Party, require_party
from feira.services.deals.goods import address_needed, read_destination, require_goods
from feira.services.deals.rows import SQL, OfferRow, no_such_offer
from feira.services.deals.steps import NewOffer, already_open, end, end_quietly, insert, tell
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one

OFFERS_A_TIME: Final = 20


class OfferView(msgspec.Struct, frozen=True, kw_only=True):
    """An offer, where it was made, and what the caller may do about it."""

    offer: Offer
    conversation: ConversationId
    actions: list[Action]


async def get_offer(con: Connection, principal: Principal, offer_id: OfferId) -> OfferView:
    """Return an offer of one of the caller's conversations. `actions` go by the database's clock.

    Raises:
        NotFound: `offer.not_found`, for other people's too.
        NotAllowed: `auth.not_allowed`: a member who speaks for neither side.
    """
    party = await _require_party(con, principal, offer_id)
    row = await fetch_one(con, SQL["read_offer"], OfferRow, offer_id)
    assert row is not None, "offers are never deleted"
    return _view(row, party.side, await con.fetchval("SELECT now()"))


async def make_offer(
    tx: Tx, principal: Principal, conversation: ConversationId, wanted: MakeOffer
) -> OfferView:
    """Put an offer on the table; the other side may accept it until it expires.

    Raises:
        NotFound: `conversation.not_found`, `offer.unknown_variant`, `address.not_found`.
        NotAllowed: `auth.not_allowed`.
        InvalidInput: `offer.address_needed`, `offer.not_your_address`.
        Conflict: `offer.already_open`: answer or withdraw that one (`details.offer`) first;
            `offer.not_sellable`, `offer.shop_closed`, `offer.currency_changed`.
    """
    party = await require_party(tx.con, principal, conversation, "offer.make")
    goods = await require_goods(tx.con, party.shop_id, wanted.variant, wanted.currency)
    address = await read_destination(tx.con, party.buyer_id, party.side, wanted.address)
    if party.side == "buyer" and address is None:
        raise address_needed()
    before = await fetch_one(tx.con, SQL["lock_open_offer"], OfferRow, conversation, wanted.variant)
    if before is not None:
        # Its time may be over without the timer having come round.
        if decide(before.state, ExpireOffer(), None, tx.now) != "expired":
            raise already_open(before.id)
        await end(tx, before, "expired", actor=None)
    new = NewOffer(goods=goods, terms=wanted, address=address)
    row = await insert(tx, principal, party, new)
    await tell(tx, row, OfferMade(offer=row.offer, actor=principal.user_id))
    return _view(row, party.side, tx.now)


async def command_offer(
    tx: Tx, config: Config, principal: Principal, offer_id: OfferId, command: OfferCommand
) -> OfferView:
    """Accept, counter, decline or withdraw an offer; a counter-offer comes back as the new offer that it is.

    Raises:
        NotFound: `offer.not_found`, for other people's too; `address.not_found`.
        NotAllowed: `auth.not_allowed`, `offer.not_yours_to_answer`.
        InvalidInput: `offer.address_needed`, `offer.not_your_address`.
        Conflict: `offer.countered`, `offer.accepted`, `offer.declined`, `offer.withdrawn`, `offer.expired`: it is
            over, `details.offer` says how. When accepting also `offer.out_of_stock`, `offer.not_sellable`,
            `offer.shop_closed`, `offer.currency_changed`, `offer.buyer_unavailable`: it stays open.
    """
    party = await _require_party(tx.con, principal, offer_id)
    row = await fetch_one(tx.con, SQL["lock_offer"], OfferRow, offer_id)
    assert row is not None, "offers are never deleted"
    status = decide(row.state, command, party.side, tx.now)
    if isinstance(status, Rejection):
        _raise(row, status)
    if isinstance(command, CounterOffer):
        return await _counter(tx, principal, party, row, command)
    placed = None
    if isinstance(command, AcceptOffer):
        address = await read_destination(tx.con, party.buyer_id, party.side, command.address)
        placed = await place_order(tx, config, principal, party, row, address or row.address)
    ended = await end(tx, row, status, actor=principal.user_id, placed=placed)
    return _view(ended, party.side, tx.now)


async def expire_offers(tx: Tx) -> int:
    """End some offers whose time is over and return how many; 0 when none is left.

    One that somebody answers right now is passed by: whichever commits first decides.
    """
    rows = await fetch_all(tx.con, SQL["lock_expired_offers"], OfferRow, OFFERS_A_TIME)
    # Conversations are locked in the order of their ids.
    for row in sorted(rows, key=lambda row: row.conversation_id):
        await end(tx, row, "expired", actor=None)
    return len(rows)


async def _counter(
    tx: Tx, principal: Principal, party: Party, answered: OfferRow, command: CounterOffer
) -> OfferView:
    goods = await require_goods(tx.con, party.shop_id, answered.variant_id, answered.currency)
    address = await read_destination(tx.con, party.buyer_id, party.side, command.address)
    # What the buyer said once holds for the whole haggling.
    address = address or answered.address
    if party.side == "buyer" and address is None:
        raise address_needed()
    await end_quietly(tx, answered, "countered")
    new = NewOffer(goods=goods, terms=command, address=address, answers=answered.id)
    row = await insert(tx, principal, party, new)
    await tell(tx, row, OfferCountered(offer=row.offer, actor=principal.user_id))
    return _view(row, party.side, tx.now)


async def _require_party(con: Connection, principal: Principal, offer_id: OfferId) -> Party:
    conversation = await con.fetchval(SQL["conversation_of_offer"], offer_id)
    if conversation is None:
        raise no_such_offer()
    try:
        return await require_party(con, principal, conversation, "offer.answer")
    except NotFound as stranger:
        raise no_such_offer() from stranger


def _view(row: OfferRow, side: Side, now: datetime) -> OfferView:
    return OfferView(
        offer=row.offer,
        conversation=row.conversation_id,
        actions=list(allowed_actions(row.state, side, now)),
    )


def _raise(row: OfferRow, rejection: Rejection) -> NoReturn:
    """Those who come too late are shown how it ended; clients need not ask again."""
    offer = row.offer
    if rejection.code == "offer.expired":
        offer = msgspec.structs.replace(offer, status="expired")
    kinds = {"conflict": Conflict, "role": NotAllowed, "rule": Rejected}
    raise kinds[rejection.kind](
        rejection.code, rejection.message, field=rejection.field, details={"offer": offer}
    )
