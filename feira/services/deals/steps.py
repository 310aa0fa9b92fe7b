"""Writing an offer's steps: the row, the entry of the conversation's log, and the news for the other side."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from feira.platform.domain.errors import Conflict
from feira.platform.domain.ids import OfferId, UserId
from feira.platform.domain.jobs import NotifyOffer
from feira.platform.domain.offer_events import (
    AnyOfferEvent,
    OfferAccepted,
    OfferCountered,
    OfferDeclined,
    OfferExpired,
    OfferMade,
    OfferWithdrawn,
)
from feira.platform.domain.offers import CounterOffer, MakeOffer, OfferStatus, OfferStep
from feira.platform.domain.permissions import Principal
from feira.services.deals.access import Party
from feira.services.deals.rows import SQL, OfferRow
from feira.services.messaging.appending import append_event
from feira.services.messaging.changes import append_change
from feira.services.orders.placement import Placed
from feira.services.orders.views import ShippingAddress
from feira.services.products.catalogue import SellableVariant
from feira.sql.database import Tx
from feira.sql.loader import fetch_one

_STEPS: Final[Mapping[type[AnyOfferEvent], OfferStep]] = {
    OfferMade: "made",
    OfferCountered: "countered",
    OfferAccepted: "accepted",
    OfferDeclined: "declined",
    OfferWithdrawn: "withdrawn",
    OfferExpired: "expired",
}
_ENDINGS: Final[Mapping[OfferStatus, type[AnyOfferEvent]]] = {
    "accepted": OfferAccepted,
    "declined": OfferDeclined,
    "withdrawn": OfferWithdrawn,
    "expired": OfferExpired,
}


class NewOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that was found to be sound. `address` may be missing from a seller's."""

    goods: SellableVariant
    terms: MakeOffer | CounterOffer
    address: ShippingAddress | None
    answers: OfferId | None = None


async def insert(tx: Tx, principal: Principal, party: Party, new: NewOffer) -> OfferRow:
    """Put an offer on the table.

    Raises:
        Conflict: `offer.already_open`: another one for the same thing was put there this very moment.
    """
    goods, terms = new.goods, new.terms
    made: UUID | None = await tx.con.fetchval(
        SQL["insert_offer"],
        party.conversation,
        party.side,
        principal.user_id,
        new.answers,
        goods.product_id,
        goods.variant_id,
        goods.title,
        goods.options,
        terms.quantity,
        terms.unit_price_minor,
        goods.currency,
        new.address,
        tx.now + timedelta(seconds=terms.valid_s),
        tx.now,
    )
    if made is None:
        raise already_open(None)
    row = await fetch_one(tx.con, SQL["read_offer"], OfferRow, made)
    assert row is not None, "what was inserted is there"
    return row


async def end(
    tx: Tx,
    offer: OfferRow,
    status: OfferStatus,
    *,
    actor: UserId | None,
    placed: Placed | None = None,
) -> OfferRow:
    """End a locked open offer and tell the conversation; `placed` is the order of an accepted one."""
    ended = await end_quietly(tx, offer, status, placed=placed)
    await tell(tx, ended, _ENDINGS[status](offer=ended.offer, actor=actor))
    return ended


async def end_quietly(
    tx: Tx, offer: OfferRow, status: OfferStatus, *, placed: Placed | None = None
) -> OfferRow:
    """The same, where what comes after it tells the story: a counter-offer names what it answers."""
    group_id, order_id = (None, None) if placed is None else (placed.group_id, placed.order_ids[0])
    ended = await tx.con.fetchval(SQL["end_offer"], offer.id, status, tx.now, group_id, order_id)
    assert ended, "an offer that is locked and open can be ended"
    return msgspec.structs.replace(offer, status=status, group_id=group_id, order_id=order_id)


async def tell(tx: Tx, offer: OfferRow, event: AnyOfferEvent) -> None:
    """Write a step into the conversation, which is locked from here on, and have the other side notified."""
    if event.actor is not None:
        await append_event(tx, offer.conversation_id, event, actor=event.actor)
    else:
        # What the timer does, people see; nobody has to read it.
        await append_change(tx, offer.conversation_id, event, actor=offer.maker_id, shown=True)
    step = _STEPS[type(event)]
    tx.enqueue(NotifyOffer(offer=offer.id, step=step), dedup=f"offer:{offer.id}:{step}")


def already_open(offer: OfferId | None) -> Conflict:
    """One offer at a time for the same thing; `offer` where it is known."""
    return Conflict(
        "offer.already_open",
        "There is an open offer for this already: answer it, or withdraw it, before making another.",
        details={} if offer is None else {"offer": offer},
    )
